"""Settings of the deployment and of a school. An error names every fault at once, with the valid settings."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from local.school_settings import parse_school_settings
from sync_core.admin.classes.requests import ClassOptions
from sync_core.admin.school_settings import (
    SchoolBody,
    encryption_faults,
    identifier_faults,
    merge_patch,
    refuse,
    settings_of,
    values_of,
)
from sync_core.config import parse_settings
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.constraints import CONTROLS as PATTERN
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.school.limits import Limits
from sync_core.domain.school.matching import Matching, MatchingChoice, MisProperty
from sync_core.domain.school.settings import (
    DepartedOwners,
    Mis,
    Rollover,
    SchoolChoices,
    SchoolSettings,
    TeachingOwners,
)
from sync_core.domain.school.sources import FeedFolder
from sync_core.domain.school.year import SchoolYear
from sync_core.errors import UnknownSetting, faults_for_sender
from tests.builders import SCHOOL, TENANT

BODY = TypeAdapter(SchoolBody)
OPTIONS = TypeAdapter(ClassOptions)
CLOUD = {
    "TENANT_ID": "T",
    "STATE_TABLES_ENDPOINT": "https://x.table.core.windows.net",
    "ServiceBusConnection__fullyQualifiedNamespace": "x.servicebus.windows.net",
}


def test_a_cloud_environment_has_defaults() -> None:
    settings = parse_settings(CLOUD)
    assert settings.graph_base_url == "https://graph.microsoft.com/v1.0"
    assert settings.sync_window == timedelta(hours=1)
    assert settings.history == timedelta(days=400)
    assert (settings.file_drop_container, settings.file_drop_settle) == ("", timedelta(minutes=1))
    assert (settings.tables_connection, settings.service_bus_connection) == ("", "")


def test_ids_of_the_environment_are_compared_without_case() -> None:
    """Entra writes ids in lower case. People who copy one elsewhere may have capitals, and mean the same."""
    named = "7C1F8E2A-4D3B-4F6A-9B0E-2D5C8A1E7F90"
    settings = parse_settings(CLOUD | {"TENANT_ID": named, "ALL_SCHOOLS_ACCESS": named})
    assert (settings.tenant, settings.everywhere) == (named.lower(), frozenset({named.lower()}))


def test_every_fault_of_the_environment_is_named_at_once() -> None:
    environment = {
        "STATE_TABLES_ENDPOINT": "a",
        "STATE_TABLES_CONNECTION": "b",
        "SYNC_WINDOW_MINUTES": "-1",
        "HISTORY_DAYS": "0",
        "FILE_DROP_CONTAINER_URL": "c",
        "FILE_DROP_CONNECTION": "d",
        "FILE_DROP_SETTLE_SECONDS": "soon",
        "GRAPH_SIMULATOR": "https://graph.microsoft.us/v1.0",
    }
    with pytest.raises(UnknownSetting) as caught:
        parse_settings(environment)
    assert caught.value.message == (
        "TENANT_ID is not set; "
        "set one of STATE_TABLES_ENDPOINT and STATE_TABLES_CONNECTION, and only one; "
        "set one of ServiceBusConnection__fullyQualifiedNamespace and ServiceBusConnection, and only one; "
        "SYNC_WINDOW_MINUTES is not a whole number of minutes; "
        "HISTORY_DAYS is not a whole number of days from 1 to 36500; "
        "set one of FILE_DROP_CONTAINER_URL and FILE_DROP_CONNECTION, or neither; "
        "FILE_DROP_SETTLE_SECONDS is not a whole number of seconds; "
        "GRAPH_SIMULATOR is not at http://127.0.0.1: education classes are in the global cloud alone"
    )
    assert "docs/operations.md" in caught.value.remedy


def parse(**values: object) -> SchoolSettings:
    return parse_school_settings(values, school=SCHOOL.id, tenant="T", source=FeedFolder("/feed"))


def test_a_school_has_defaults() -> None:
    settings = parse()
    by_either = Matching(MisProperty.USERNAME_OR_EMAIL, None, "")
    assert settings == SchoolSettings(
        school=SCHOOL.id,
        tenant="T",
        enabled=True,
        mis=Mis.OTHER,
        source=FeedFolder("/feed"),
        types=frozenset(GroupType),
        name_identifier="",
        admin_owners=(),
        teaching_owners=TeachingOwners.MAIN,
        departed_owners=DepartedOwners.KEEP,
        rollover=Rollover.NEW,
        students=MatchingChoice(),
        staff=MatchingChoice(),
        access=(),
        webhook_secrets=(),
        limits=Limits(),
    )
    assert settings.student_matching == settings.staff_matching == by_either
    assert settings.account_properties == {AccountProperty.UPN, AccountProperty.MAIL}


def test_chosen_settings_replace_the_defaults() -> None:
    settings = parse(types=["year"], name_identifier="ABC", admin_owners=[" a@b.c "], teaching_owners="all")
    assert settings.types == {GroupType.YEAR}
    assert settings.name_identifier == "ABC"
    assert settings.admin_owners == ("a@b.c",)
    assert settings.teaching_owners is TeachingOwners.ALL


def test_defaults_follow_the_mis() -> None:
    assert parse(mis="seemis").teaching_owners is TeachingOwners.ALL
    assert parse(mis="scholarpack").types == {GroupType.YEAR, GroupType.REGISTRATION}


def test_matching_is_set_by_role_and_only_addresses_are_completed() -> None:
    settings = parse(
        account_domain="x.org",
        students={"mis": "id", "account": "employeeId"},
        staff={"account": "mail", "domain": "staff.x.org"},
    )
    assert settings.student_matching == Matching(MisProperty.ID, AccountProperty.EMPLOYEE_ID, "")
    assert settings.staff_matching == Matching(MisProperty.USERNAME_OR_EMAIL, AccountProperty.MAIL, "staff.x.org")
    assert settings.account_properties == {AccountProperty.UPN, AccountProperty.MAIL, AccountProperty.EMPLOYEE_ID}
    assert parse(account_domain="x.org").student_matching == Matching(domain="x.org")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mis": "scholarpack", "access": ["7C1F8E2A-4D3B-4F6A-9B0E-2D5C8A1E7F90"]},
        {"account_domain": "x.org", "staff": {"domain": ""}, "rollover": "reuse", "departed_owners": "revoke"},
        {"enabled": False, "types": [], "students": {"mis": "id", "account": "employeeId"}},
    ],
)
def test_settings_survive_a_round_trip_through_the_api(values: dict[str, object]) -> None:
    settings = parse_school_settings(values, school="S", tenant=TENANT, source=FeedFolder("/feed"))
    saved = SchoolBody(tenant=TENANT, source=settings.source, **values_of(settings, SchoolChoices))
    body = BODY.validate_json(BODY.dump_json(saved))
    assert settings_of(body, school=SchoolId("S"), tenant=body.tenant, source=body.source) == settings


NO_DOMAINS = ["..", "-", ".", "x", "x.", ".x", "x..org", "-x.org", "x-.org", "x.org-", "x_y.org", "é.org", "x.org/"]
CONTROLS = ["\0", "\t", "\n", "\x1f", "\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\u202e", "\u2066"]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"types": ["house"]}, "types.0"),
        ({"teaching_owners": "some"}, "teaching_owners"),
        ({"admin_owners": ["no address"]}, "admin_owners.0"),
        ({"account_domain": "a b"}, "account_domain"),
        ({"name_identifier": "x" * 31}, "name_identifier"),
        ({"name_identifier": "a\nb"}, "name_identifier"),
        ({"name_identifier": "[.]"}, "name_identifier: nothing of it can stand in a mail address"),
        ({"mis": "capita"}, "mis"),
        ({"rollover": "keep"}, "rollover"),
        ({"departed_owners": "delete"}, "departed_owners"),
        ({"students": {"mis": "birthday"}}, "students.mis"),
        ({"staff": {"account": "displayName"}}, "staff.account"),
        ({"access": ["somebody"]}, "access.0"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"limits": {"class_loss": 40}}, "limits.class_loss"),
        ({"limits": {"patience": 1}}, "limits.patience"),
        ({"limits": {"class_loss": "0.5"}}, "limits.class_loss: Input should be a valid number"),
        ({"limits": {"class_loss": True}}, "limits.class_loss: Input should be a valid number"),
        ({"limits": {"class_loss": float("nan")}}, "limits.class_loss"),
        ({"limits": {"class_loss_people": "5"}}, "limits.class_loss_people: Input should be a valid integer"),
        ({"limits": {"new_classes": "3"}}, "limits.new_classes: Input should be a valid number"),
        ({"year_starts_in": "9"}, "year_starts_in: Input should be a valid integer"),
        ({"enabled": "yes"}, "enabled: Input should be a valid boolean"),
        ({"enabled": 1}, "enabled: Input should be a valid boolean"),
        ({"types": "year"}, "types: should be a list"),
        ({"types": ["year", "year"]}, "types: has a value twice"),
        ({"admin_owners": ["a@b.c", "a@b.c"]}, "admin_owners: has a value twice"),
        ({"admin_owners": "a@b.c"}, "admin_owners: should be a list"),
        ({"webhook_secrets": ["MIS_SECRET_A", "MIS_SECRET_A"]}, "webhook_secrets: has a value twice"),
        *(({"account_domain": domain}, "account_domain: should be a domain") for domain in NO_DOMAINS),
        *(({"students": {"domain": domain}}, "students.domain: should be a domain") for domain in NO_DOMAINS),
        *(({"name": f"a{control}b"}, "name: should be text on one line") for control in CONTROLS),
        *(({"name_identifier": f"a{control}b"}, "name_identifier: should be text") for control in CONTROLS),
        *(
            ({"admin_owners": [f"a{control}@b.c"]}, "admin_owners.0: should be a user principal")
            for control in CONTROLS
        ),
        ({"name": "\ud800"}, "name: Input should be a valid string"),
    ],
)
def test_an_invalid_school_setting_is_named_with_the_valid_settings(values: dict[str, object], place: str) -> None:
    with pytest.raises(UnknownSetting) as caught:
        parse(**values, types_=1)
    assert place in caught.value.message
    assert "types_" in caught.value.message
    assert "enabled, mis, types, name_identifier, admin_owners, teaching_owners" in caught.value.remedy


@pytest.mark.parametrize("domain", ["x.org", "a-b.x1.org", "1.2", "X.ORG", " x.org ", ""])
def test_a_domain_is_labels_with_dots_between_them(domain: str) -> None:
    assert parse(account_domain=domain).account_domain == domain.strip()


def test_types_of_null_are_all_types() -> None:
    assert parse(types=None).types == frozenset(GroupType)


def test_teaching_groups_of_scholarpack_are_rejected() -> None:
    with pytest.raises(
        UnknownSetting, match="not understood: types: teaching groups are not extracted from ScholarPack"
    ):
        parse(mis="scholarpack", types=["teaching", "year"])


def test_two_schools_of_a_tenant_may_not_share_an_identifier() -> None:
    first, second = (
        parse_school_settings({"name_identifier": name}, school=name, tenant="T", source=FeedFolder("/f"))
        for name in ("ABC", "a/bc")
    )

    def faults(settings: SchoolSettings, others: list[SchoolSettings]) -> list[str]:
        found = identifier_faults(settings.name_identifier, settings.school, settings.tenant, others)
        return [fault.message for fault in found]

    taken = ["name_identifier: school ABC of the same tenant has it already"]
    assert faults(second, [first]) == taken
    assert faults(second, [replace(first, tenant="U")]) == []
    assert faults(second, [second]) == []
    assert faults(replace(second, name_identifier=""), [replace(first, name_identifier="")]) == []
    with pytest.raises(UnknownSetting, match=taken[0]):
        refuse(identifier_faults(second.name_identifier, second.school, second.tenant, [first]))


EVERYTHING_WRONG: dict[str, Any] = {
    "id": 7,
    "tenant": "T",
    "source": {"kind": "oneroster", "url": "http://mis.example", "secret": "hush", "version": "2", "client": "a\nb"},
    "name": "a\nb",
    "enabled": "perhaps",
    "mis": "capita",
    "types": ["house"],
    "name_identifier": "[.]",
    "admin_owners": ["nobody"],
    "teaching_owners": "some",
    "departed_owners": "delete",
    "teams": "all",
    "team_types": ["house"],
    "rollover": "keep",
    "time_zone": "Mars/Olympus",
    "year_starts_in": 13,
    "calendar": {
        **{field.name: "31/02/2027" for field in fields(SchoolYear)},
        "pause": "all",
        "first_day": "1999-12-31",
        "archive_on": 5,
    },
    "account_domain": "a b",
    "students": {"mis": "birthday", "account": "displayName", "domain": "a b"},
    "staff": [],
    "access": ["a\nb"],
    "webhook_secrets": ["hush"],
    "limits": {field.name: -1 for field in fields(Limits)},
    "pause_reason": "x" * 201,
}


def test_if_every_setting_is_wrong_every_fault_is_named_in_words() -> None:
    with pytest.raises(ValidationError) as caught:
        BODY.validate_python(EVERYTHING_WRONG)
    faults = faults_for_sender(caught.value.errors())
    places = {"source.oneroster." + name for name in ("url", "secret", "version", "client")}
    places |= {
        "students.mis",
        "students.account",
        "students.domain",
        *(f"limits.{field.name}" for field in fields(Limits)),
        *(f"calendar.{field.name}" for field in fields(SchoolYear)),
    }
    places |= {"types.0", "team_types.0", "admin_owners.0", "access.0", "webhook_secrets.0"}
    nested = {
        "source",
        "students",
        "limits",
        "calendar",
        "types",
        "team_types",
        "admin_owners",
        "access",
        "webhook_secrets",
    }
    places |= EVERYTHING_WRONG.keys() - nested
    assert EVERYTHING_WRONG.keys() == {field.name for field in fields(SchoolBody)}
    assert sorted(places_in(faults)) == sorted(places)
    for mark in ("^", "[A-Z", "\\", "pattern", "hush", "nobody"):
        assert mark not in faults, mark
    assert "admin_owners.0: should be a user principal name, such as head@school.org" in faults
    assert "pause_reason: should have at most 200 characters" in faults


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"mis": "scholarpack", "types": ["teaching"]},
            "types: teaching groups are not extracted from ScholarPack; leave teaching out",
        ),
        (
            {"source": {"kind": "folder", "path": "f.ZIP", "after_sync": "archive", "colour": "red"}},
            "source.folder.after_sync: a single zip file stays where it is; name its folder to have sets moved",
        ),
        *(
            (
                {"source": {"kind": "oneroster", "url": "ftp://a", "secret": "hush", **alone}},
                "source.oneroster.client: token_url and client go together; leave both out for a bearer token",
            )
            for alone in ({"client": "c"}, {"token_url": "https://a/token"})
        ),
        ({"types": "year"}, "types: should be a list"),
        ({"access": "somebody"}, "access: should be a list"),
        ({"admin_owners": [f"a{number}@b.c" for number in range(51)]}, "admin_owners: should have at most 50 items"),
        (
            {"source": {"kind": "wonde", "school": "A1", "secret": "MIS_SECRET_A", "staff_email": []}},
            "source.wonde.staff_email: should have 1 or more items",
        ),
    ],
)
def test_a_fault_is_named_beside_those_of_other_settings(values: dict[str, object], fault: str) -> None:
    """Also a setting that is wrong only beside another one."""
    with pytest.raises(ValidationError) as caught:
        BODY.validate_python({"tenant": "T", "source": {}, "colour": "red", **values})
    faults = faults_for_sender(caught.value.errors())
    assert fault in faults
    assert {"tenant", "colour"} <= {*places_in(faults)}


def test_a_setting_beside_one_that_is_wrong_is_not_blamed() -> None:
    source = {"kind": "oneroster", "url": "https://a", "secret": "MIS_SECRET_A", "token_url": "ftp://a", "client": ""}
    with pytest.raises(ValidationError) as caught:
        BODY.validate_python({"tenant": TENANT, "source": source, "mis": "scholar pack", "types": ["teaching"]})
    assert sorted(places_in(faults_for_sender(caught.value.errors()))) == ["mis", "source.oneroster.token_url"]


def places_in(faults: str) -> list[str]:
    """The place of each fault in a text that names several."""
    return re.findall(r"(?:^|; )([a-z_.0-9]+): ", faults)


@pytest.mark.parametrize("written", ["31/07/2027", " 31/7/2027 ", "2027-07-31"])
def test_a_date_may_be_written_as_in_the_uk(written: str) -> None:
    assert OPTIONS.validate_python({"required_until": written}).required_until == date(2027, 7, 31)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("31/02/2027", "there is no such day; write the day, the month and the year, such as 31/07/2027"),
        ("07/31/2027", "there is no such day; write the day, the month and the year, such as 31/07/2027"),
        ("next July", "should be a date, such as 31/07/2027 or 2027-07-31"),
        ("31.07.2027", "should be a date, such as 31/07/2027 or 2027-07-31"),
    ],
)
def test_a_day_that_does_not_exist_is_named_with_the_form_of_a_date(written: str, fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OPTIONS.validate_python({"required_until": written})
    assert faults_for_sender(caught.value.errors()) == f"required_until: {fault}"


HERE = "http://127.0.0.1:8080"
SOURCES: list[dict[str, object]] = [
    {"kind": "folder", "path": "/feed"},
    {"kind": "folder", "path": "/feed", "after_sync": "archive"},
    {"kind": "container", "folder": "trust-1/oak.csv", "after_sync": "archive"},
    {"kind": "oneroster", "url": "https://mis.example/", "secret": "MIS_SECRET_OAK", "version": "1.1"},
    {"kind": "oneroster", "url": HERE, "secret": "MIS_SECRET_OAK", "token_url": f"{HERE}/token", "client": "c"},
    {"kind": "wonde", "school": "A1930499544", "secret": "MIS_SECRET_OAK"},
    {"kind": "wonde", "url": "https://api-ap-southeast-2.wonde.com/", "school": "A1", "secret": "MIS_SECRET_OAK"},
    {"kind": "wonde", "url": HERE, "school": "A1", "secret": "MIS_SECRET_OAK"},
    {"kind": "wonde", "school": "A1", "secret": "MIS_SECRET_OAK", "staff_email": ["home"], "student_email": ["email"]},
]


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_survives_a_round_trip_through_the_api(source: dict[str, object]) -> None:
    body = BODY.validate_python({"tenant": TENANT, "source": source})
    assert BODY.validate_json(BODY.dump_json(body)) == body


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "oneroster", "url": "http://mis.example", "secret": "MIS_SECRET_OAK"},
        {"kind": "oneroster", "url": "https://", "secret": "MIS_SECRET_OAK"},
        {"kind": "oneroster", "url": "https://..", "secret": "MIS_SECRET_OAK"},
        {"kind": "oneroster", "url": "https://-", "secret": "MIS_SECRET_OAK"},
        {"kind": "oneroster", "url": "https://mis..example", "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "school": "A1", "secret": "MIS_SECRET_OAK", "staff_email": ["work", "work"]},
        {"kind": "oneroster", "url": "https://mis.example:99999", "secret": "MIS_SECRET_OAK"},
        {"kind": "oneroster", "url": "https://mis.example:0", "secret": "MIS_SECRET_OAK"},
        {"kind": "oneroster", "url": "https://mis.example", "secret": "IDENTITY_HEADER"},
        {"kind": "oneroster", "url": "https://mis.example", "secret": "MIS_SECRET_OAK", "client": "c"},
        {"kind": "oneroster", "url": "https://mis.example", "secret": "MIS_SECRET_OAK", "version": "2"},
        {"kind": "wonde", "url": "http://api.wonde.com", "school": "A1", "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "url": "api.wonde.com", "school": "A1", "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "url": "https://api.wonde.com@evil.example", "school": "A1", "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "school": "A1/../A2", "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "school": "..", "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "school": "A" * 41, "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "school": "", "secret": "MIS_SECRET_OAK"},
        {"kind": "wonde", "school": "A1", "secret": "a token"},
        {"kind": "wonde", "school": "A1", "secret": "MIS_SECRET_OAK", "staff_email": ["private"]},
        {"kind": "wonde", "school": "A1", "secret": "MIS_SECRET_OAK", "student_email": []},
        {"kind": "wonde", "school": "A1"},
        {"kind": "ftp", "path": "/feed"},
        {"kind": "folder", "path": "/feed.ZIP", "after_sync": "archive"},
        {"kind": "container", "folder": ""},
        {"kind": "container", "folder": "/oak"},
        {"kind": "container", "folder": "oak/"},
        {"kind": "container", "folder": "oak/../elm"},
        {"kind": "container", "folder": "oak//csv"},
        {"kind": "container", "folder": "oak", "after_sync": "delete"},
        {"path": "/feed"},
    ],
)
def test_an_unsafe_or_incomplete_source_is_rejected(
    source: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        BODY.validate_python({"tenant": TENANT, "source": source})


def test_a_deployed_app_takes_no_address_without_tls() -> None:
    for source in SOURCES:
        parsed = BODY.validate_python({"tenant": TENANT, "source": source}).source
        named = [f"source.{name}" for name in ("url", "token_url") if HERE in str(source.get(name, ""))]
        faults = encryption_faults(parsed)
        assert [fault.message for fault in faults] == [
            f"{name}: a deployed app takes no address that begins with http://" for name in named
        ]
        assert {fault.remedy for fault in faults} <= {"give the https:// address of the MIS server"}


def test_an_unknown_kind_of_source_is_rejected_without_repeating_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        BODY.validate_python({"tenant": TENANT, "source": {"kind": "Amy Smith"}})
    assert (
        faults_for_sender(caught.value.errors())
        == "source: 'kind' should be one of 'folder', 'container', 'oneroster', 'wonde'"
    )


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_is_merged_as_in_the_examples_of_rfc_7396(target: object, patch: object, merged: object) -> None:
    assert merge_patch(target, patch) == merged


def test_the_api_schema_takes_constraints_and_descriptions_from_the_domain() -> None:
    assert BODY.json_schema()["properties"]["admin_owners"] == {
        "title": "Admin Owners",
        "description": "User principal names of the admins who own every class",
        "type": "array",
        "items": {"type": "string", "pattern": rf"^[^@\s{PATTERN}]+@[^@\s{PATTERN}]+$", "maxLength": 113},
        "maxItems": 50,
        "uniqueItems": True,
        "default": [],
    }


def test_the_domain_does_not_import_pydantic() -> None:
    check = "import sys, sync_core.domain.school; assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
