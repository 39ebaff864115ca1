"""Webhooks: the Standard Webhooks signature, the body, and each rejection with its remedy."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from sync_core.domain.ids import MisId
from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import NotSignedIn, Unreadable
from sync_core.http.webhooks.schemas import read_event, read_wonde
from sync_core.http.webhooks.signature import NOT_SET_UP, signed_id, usable_secrets
from tests.builders import NOON

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([number]) * 24).decode() for number in range(1, 4))
BODY = b'{"type": "groups.changed", "timestamp": "2026-09-07T12:00:00Z", "data": {"groups": ["G1"]}}'


def sign(secret: str, body: bytes = BODY, id_: str = "msg_1", ago: float = 0.0) -> dict[str, str]:
    """The headers of a webhook that was signed `ago` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    signature = Webhook(secret).sign(id_, at, body.decode())
    return {"Webhook-Id": id_, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


@pytest.mark.parametrize("secrets", [[NEW], [OLD, NEW], [NEW, OLD], ["", NEW], [f" {NEW}\n"]])
def test_either_secret_is_accepted_during_a_rotation(secrets: list[str]) -> None:
    assert signed_id(usable_secrets(secrets), sign(NEW), BODY) == "msg_1"


def test_one_of_several_signatures_is_enough() -> None:
    headers = sign(NEW)
    headers["webhook-signature"] = f"v1,{base64.b64encode(b'x' * 32).decode()} v1a,other {headers['webhook-signature']}"
    assert signed_id([NEW], headers, BODY) == "msg_1"


UNSIGNED = [
    ("no secret", [], {}, BODY, "no matching signature found"),
    ("secret not set", [""], {}, BODY, "no matching signature found"),
    ("short secret", ["whsec_c2hvcnQ="], {}, BODY, "no matching signature found"),
    ("secret that is no base64", ["whsec_ä"], {}, BODY, "no matching signature found"),
    ("another's secret", [OTHER], {}, BODY, "no matching signature found"),
    ("other body", [NEW], {}, BODY.replace(b"G1", b"G2"), "no matching signature found"),
    ("other id", [NEW], {"Webhook-Id": "msg_2"}, BODY, "no matching signature found"),
    ("no id", [NEW], {"Webhook-Id": ""}, BODY, "missing required headers"),
    ("no signature", [NEW], {"webhook-signature": ""}, BODY, "missing required headers"),
    ("no time", [NEW], {"webhook-timestamp": ""}, BODY, "missing required headers"),
    ("time that is none", [NEW], {"webhook-timestamp": "noon"}, BODY, "invalid signature headers"),
    ("endless time", [NEW], {"webhook-timestamp": "inf"}, BODY, "invalid signature headers"),
    ("another version", [NEW], {"webhook-signature": "v2,abc"}, BODY, "no matching signature found"),
    ("signature without version", [NEW], {"webhook-signature": "abc"}, BODY, "invalid signature headers"),
    ("signature that is no base64", [NEW], {"webhook-signature": "v1,a"}, BODY, "invalid signature headers"),
    ("body that is no text", [NEW], {}, b"\xff\xfe", "invalid signature headers"),
]


@pytest.mark.parametrize(
    ("secrets", "headers", "body", "message"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED]
)
def test_a_webhook_without_a_valid_signature_is_rejected(
    secrets: list[str], headers: dict[str, str], body: bytes, message: str
) -> None:
    with pytest.raises(NotSignedIn) as caught:
        signed_id(usable_secrets(secrets), sign(NEW) | headers, body)
    assert message in caught.value.message
    assert caught.value.remedy
    assert "whsec_" + NEW[6:12] not in str(caught.value)


@pytest.mark.parametrize("secrets", [[], [NEW]])
@pytest.mark.parametrize("id_", ["m" * 201, "m\n", "é", "m\ud800"])
def test_a_webhook_whose_id_cannot_be_used_is_unreadable(id_: str, secrets: list[str]) -> None:
    with pytest.raises(Unreadable) as caught:
        signed_id(secrets, sign(NEW) | {"Webhook-Id": id_}, BODY)
    assert str(caught.value) == (
        "the webhook-id cannot be used — send an id of at most 200 printable characters of ASCII"
    )


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_c2hvcnQ="], ["whsec_ä"], [OTHER[:20]]])
def test_a_secret_that_cannot_be_used_is_none(secrets: list[str]) -> None:
    assert usable_secrets(secrets) == []
    assert "whsec_" in NOT_SET_UP.remedy


@pytest.mark.parametrize(("ago", "message"), [(301, "timestamp too old"), (-302, "timestamp too new")])
def test_an_old_or_future_webhook_is_rejected(ago: float, message: str) -> None:
    with pytest.raises(NotSignedIn) as caught:
        signed_id([NEW], sign(NEW, ago=ago), BODY)
    assert message in caught.value.message


def make_body(**data: object) -> bytes:
    return json.dumps({"type": "x", "timestamp": "2026-09-07T12:00:00Z", "data": data, "more": 1}).encode()


@pytest.mark.parametrize(
    ("content", "groups", "people"),
    [
        (make_body(groups=["G2", "G1", "G2"]), ("G1", "G2"), ()),
        (make_body(people=[" p1 "]), (), ("p1",)),
        (make_body(groups=["G1"], people=["p1"]), ("G1",), ("p1",)),
        (make_body(), (), ()),
        (b'{"type": "x", "timestamp": 1789000000}', (), ()),
    ],
)
def test_groups_and_people_are_read_from_the_body(
    content: bytes, groups: tuple[MisId, ...], people: tuple[MisId, ...]
) -> None:
    assert read_event("msg_1", NOON, content) == WebhookEvent(id="msg_1", at=NOON, groups=groups, people=people)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "body: Invalid JSON"),
        (b"[]", "body: Input should be an object"),
        (b'{"data": {}}', "type: Field required; timestamp: Field required"),
        (make_body(group="G1"), "data.(unknown): Extra inputs are not permitted"),
        (make_body(groups="G1"), "data.groups: should be a list"),
        (make_body(groups=[7]), "data.groups.0: Input should be a valid string"),
        (make_body(groups=[" "]), "data.groups.0: String should have at least 1 character"),
        (make_body(people=["Amy\nPupil"]), "data.people.0: has characters that are not allowed here"),
        (make_body(people=["p" * 201]), "data.people.0: String should have at most 200 characters"),
        (make_body(people=["p"] * 1001), "data.people: should have at most 1000 items"),
    ],
)
def test_an_invalid_body_is_rejected_without_repeating_its_values(content: bytes, message: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_event("msg_1", NOON, content)
    assert message in caught.value.message
    assert "Amy" not in str(caught.value)
    assert '"data"' in caught.value.remedy


def test_only_event_and_school_are_read_from_a_wonde_event() -> None:
    event = read_wonde(b'{"payload_type": "accessRevoked", "school_id": "A1", "revoke_reason": "a name"}')
    assert (event.payload_type, event.school_id) == ("accessRevoked", "A1")
    with pytest.raises(Unreadable):
        read_wonde(b'{"payload_type": "accessRevoked"}')
