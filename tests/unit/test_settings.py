"""Settings: of the deployment and of a school; every fault named at once, with what would be right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync_core.errors import UnknownSetting
from sync_core.model import GroupType, SchoolSettings, TeachingOwners
from sync_core.school_settings import parse_school_settings
from sync_core.settings import parse_settings
from tests.builders import SCHOOL

CLOUD = {
    "TENANT_ID": "T",
    "STATE_TABLES_ENDPOINT": "https://x.table.core.windows.net",
    "ServiceBusConnection__fullyQualifiedNamespace": "x.servicebus.windows.net",
}


def test_a_cloud_environment() -> None:
    settings = parse_settings(CLOUD)
    assert settings.graph_base_url == "https://graph.microsoft.com/v1.0"
    assert settings.sync_window == timedelta(hours=1)
    assert (settings.tables_connection, settings.service_bus_connection) == ("", "")


def test_every_fault_of_the_environment_is_named_at_once() -> None:
    with pytest.raises(UnknownSetting) as caught:
        parse_settings({"STATE_TABLES_ENDPOINT": "a", "STATE_TABLES_CONNECTION": "b", "SYNC_WINDOW_MINUTES": "-1"})
    assert caught.value.what == (
        "TENANT_ID is not set; "
        "set one of STATE_TABLES_ENDPOINT and STATE_TABLES_CONNECTION, and only one; "
        "set one of ServiceBusConnection__fullyQualifiedNamespace and ServiceBusConnection, and only one; "
        "SYNC_WINDOW_MINUTES is not a whole number of minutes"
    )
    assert "docs/operations.md" in caught.value.remedy


def parsed(**values: object) -> SchoolSettings:
    return parse_school_settings(values, school=SCHOOL, tenant="T", mis_path="/feed")


def test_defaults_of_a_school() -> None:
    settings = parsed()
    assert settings.types == frozenset(GroupType)
    assert settings.name_identifier == "1234567"
    assert settings.admin_owners == ()
    assert settings.teaching_owners is TeachingOwners.MAIN
    assert settings.account_domain == "school.onmicrosoft.com"


def test_chosen_settings_of_a_school() -> None:
    settings = parsed(types=["year"], name_identifier="ABC", admin_owners=[" a@b.c "], teaching_owners="all")
    assert settings.types == {GroupType.YEAR}
    assert settings.name_identifier == "ABC"
    assert settings.admin_owners == ("a@b.c",)
    assert settings.teaching_owners is TeachingOwners.ALL


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"types": ["house"]}, "types.0"),
        ({"teaching_owners": "some"}, "teaching_owners"),
        ({"admin_owners": ["no address"]}, "admin_owners.0"),
        ({"account_domain": "a b"}, "account_domain"),
        ({"name_identifier": "x" * 31}, "name_identifier"),
    ],
)
def test_a_bad_school_setting_is_named_with_the_settings_there_are(values: dict[str, object], place: str) -> None:
    with pytest.raises(UnknownSetting) as caught:
        parsed(**values, types_=1)
    assert place in caught.value.what
    assert "types_" in caught.value.what
    assert "types, name_identifier, admin_owners, teaching_owners, account_domain" in caught.value.remedy
