"""Who may announce, and what: the Standard Webhooks signature, the body, and each refusal with its remedy."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import NotSignedIn, Unreadable
from sync_core.http.webhooks.schemas import read_event, read_wonde
from sync_core.http.webhooks.signature import signed_id
from tests.builders import NOON

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([number]) * 24).decode() for number in range(1, 4))
BODY = b'{"type": "groups.changed", "timestamp": "2026-09-07T12:00:00Z", "data": {"groups": ["G1"]}}'


def signed(secret: str, body: bytes = BODY, id_: str = "msg_1", ago: float = 0.0) -> dict[str, str]:
    """The headers of a webhook that was signed so many seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    signature = Webhook(secret).sign(id_, at, body.decode())
    return {"Webhook-Id": id_, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


@pytest.mark.parametrize("secrets", [[NEW], [OLD, NEW], [NEW, OLD], ["", NEW], [f" {NEW}\n"]])
def test_either_secret_is_good_while_one_takes_the_place_of_the_other(secrets: list[str]) -> None:
    assert signed_id(secrets, signed(NEW), BODY) == "msg_1"


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed(NEW)
    headers["webhook-signature"] = f"v1,{base64.b64encode(b'x' * 32).decode()} v1a,other {headers['webhook-signature']}"
    assert signed_id([NEW], headers, BODY) == "msg_1"


UNSIGNED = [
    ("no secret", [], {}, BODY, "no webhook is set up"),
    ("secret not set", [""], {}, BODY, "no webhook is set up"),
    ("short secret", ["whsec_c2hvcnQ="], {}, BODY, "no webhook is set up"),
    ("secret that is no base64", ["whsec_ä"], {}, BODY, "no webhook is set up"),
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
    ("long id", [NEW], {"Webhook-Id": "m" * 201}, BODY, "the webhook-id cannot be used"),
    ("id with a line break", [NEW], {"Webhook-Id": "m\n"}, BODY, "the webhook-id cannot be used"),
]


@pytest.mark.parametrize(
    ("secrets", "headers", "body", "words"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED]
)
def test_who_did_not_sign_is_refused(secrets: list[str], headers: dict[str, str], body: bytes, words: str) -> None:
    with pytest.raises(NotSignedIn) as refused:
        signed_id(secrets, signed(NEW) | headers, body)
    assert words in refused.value.message
    assert refused.value.remedy
    assert "whsec_" + NEW[6:12] not in str(refused.value)


@pytest.mark.parametrize(("ago", "words"), [(301, "timestamp too old"), (-302, "timestamp too new")])
def test_a_stale_webhook_is_refused(ago: float, words: str) -> None:
    with pytest.raises(NotSignedIn) as refused:
        signed_id([NEW], signed(NEW, ago=ago), BODY)
    assert words in refused.value.message


def body(**data: object) -> bytes:
    return json.dumps({"type": "x", "timestamp": "2026-09-07T12:00:00Z", "data": data, "more": 1}).encode()


@pytest.mark.parametrize(
    ("said", "groups", "people"),
    [
        (body(groups=["G2", "G1", "G2"]), ("G1", "G2"), ()),
        (body(people=[" p1 "]), (), ("p1",)),
        (body(groups=["G1"], people=["p1"]), ("G1",), ("p1",)),
        (body(), (), ()),
        (b'{"type": "x", "timestamp": 1789000000}', (), ()),
    ],
)
def test_what_a_body_says(said: bytes, groups: tuple[str, ...], people: tuple[str, ...]) -> None:
    assert read_event("msg_1", NOON, said) == WebhookEvent(id="msg_1", at=NOON, groups=groups, people=people)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "body: Invalid JSON"),
        (b"[]", "body: Input should be an object"),
        (b'{"data": {}}', "type: Field required; timestamp: Field required"),
        (body(group="G1"), "data.group: Extra inputs are not permitted"),
        (body(groups="G1"), "data.groups: Input should be a valid"),
        (body(groups=[7]), "data.groups.0: Input should be a valid string"),
        (body(groups=[" "]), "data.groups.0: String should have at least 1 character"),
        (body(people=["Amy\nPupil"]), "data.people.0: String should match pattern"),
        (body(people=["p" * 201]), "data.people.0: String should have at most 200 characters"),
        (body(people=["p"] * 1001), "data.people: Tuple should have at most 1000 items"),
    ],
)
def test_a_body_that_is_not_understood_is_refused_without_its_values(said: bytes, words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_event("msg_1", NOON, said)
    assert words in refused.value.message
    assert "Amy" not in str(refused.value)
    assert '"data"' in refused.value.remedy


def test_of_wondes_word_only_event_and_school_are_read() -> None:
    said = read_wonde(b'{"payload_type": "accessRevoked", "school_id": "A1", "revoke_reason": "a name"}')
    assert (said.payload_type, said.school_id) == ("accessRevoked", "A1")
    with pytest.raises(Unreadable):
        read_wonde(b'{"payload_type": "accessRevoked"}')
