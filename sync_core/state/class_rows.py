"""A class in Azure Tables: its row, its history, what was asked for with it, how it is pinned."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sync_core.domain.classes import (
    ActualClass,
    AppliedDelta,
    ClassName,
    ClassRecord,
    ClassRequest,
    DesiredClass,
    Pin,
    Reason,
    RowError,
    Rule,
)
from sync_core.domain.roster import GroupType
from sync_core.state.row_codec import Entity, decode_key, encode_key, listed, one_word, people, words


def class_row_key(key: str) -> str:
    return f"c:{encode_key(key)}"


def request_row_key(key: str) -> str:
    return f"q:{encode_key(key)}"


def pin_row_key(key: str) -> str:
    return f"p:{encode_key(key)}"


def history_prefix(key: str) -> str:
    return f"h:{encode_key(key)}:"


def desired_columns(wanted: DesiredClass) -> Entity:
    return {
        "group_id": wanted.group_id,
        "group_type": wanted.group_type.value,
        "class_key": wanted.key,
        "desired_name": wanted.name.display_name,
        "desired_nickname": wanted.name.mail_nickname,
        **listed("desired_members", wanted.members),
        **listed("desired_owners", wanted.owners),
        "group_name": wanted.group_name,
        "academic_year": wanted.academic_year,
        "desired_description": wanted.description,
        "revoke_departed": wanted.revoke,
        "ended": wanted.ended,
        "deleted_by_admin": wanted.deleted,
        "pinned": wanted.pinned,
        "desired_generation": wanted.generation,
        **_reason_columns(wanted.reasons),
    }


def actual_columns(record: ClassRecord) -> Entity:
    """All columns that apply owns. Nothing is left out: a merge would keep what stood there before."""
    actual, error = record.actual, record.error
    return {
        "intended_nickname": record.intent or "",
        "intended_at": record.intent_at.isoformat() if record.intent_at else "",
        "stale": record.stale,
        "gone": record.gone,
        "generation": record.generation,
        **listed("previous_class_ids", record.previous_ids),
        "error_code": error.code if error else "",
        "error_message": error.message if error else "",
        "error_remedy": error.remedy if error else "",
        "class_id": actual.class_id if actual else "",
        "class_name": actual.name.display_name if actual else "",
        "class_nickname": actual.name.mail_nickname if actual else "",
        "class_created_at": actual.created_at.isoformat() if actual else "",
        "members_known": bool(actual and actual.members is not None),
        **listed("members", (actual.members if actual else None) or ()),
        **listed("owners", actual.owners if actual else ()),
        **listed("owners_granted", actual.granted if actual else ()),
    }


def read_class(school: str, row: Mapping[str, Any], etag: str) -> ClassRecord:
    wanted = DesiredClass(
        key=row["class_key"],
        group_id=row["group_id"],
        group_type=GroupType(row["group_type"]),
        name=ClassName(row["desired_name"], row["desired_nickname"]),
        members=people(row, "desired_members"),
        owners=people(row, "desired_owners"),
        group_name=row.get("group_name", ""),
        academic_year=row.get("academic_year", 0),
        description=row.get("desired_description", ""),
        revoke=row.get("revoke_departed", False),
        ended=row.get("ended", False),
        deleted=row.get("deleted_by_admin", False),
        pinned=row.get("pinned", False),
        reasons=_read_reasons(row),
        generation=row.get("desired_generation", 0),
    )
    actual = None
    if row.get("class_id"):
        actual = ActualClass(
            class_id=row["class_id"],
            name=ClassName(row["class_name"], row["class_nickname"]),
            created_at=datetime.fromisoformat(row["class_created_at"]),
            members=people(row, "members") if row["members_known"] else None,
            owners=people(row, "owners"),
            granted=people(row, "owners_granted"),
        )
    error = None
    if row.get("error_code"):
        error = RowError(row["error_code"], row["error_message"], row["error_remedy"])
    return ClassRecord(
        school=school,
        desired=wanted,
        actual=actual,
        intent=row.get("intended_nickname") or None,
        intent_at=datetime.fromisoformat(row["intended_at"]) if row.get("intended_at") else None,
        stale=row.get("stale", False),
        gone=row.get("gone", False),
        generation=row.get("generation", 0),
        previous_ids=people(row, "previous_class_ids"),
        error=error,
        etag=etag,
    )


def delta_columns(key: str, delta: AppliedDelta) -> Entity:
    return {
        "class_key": key,
        "run": delta.run,
        "cause": delta.cause,
        "at": delta.at.isoformat(),
        "created": delta.created,
        "deleted": delta.deleted,
        "restored": delta.restored,
        **listed("members_added", delta.members_added),
        **listed("members_removed", delta.members_removed),
        **listed("owners_granted", delta.owners_granted),
        **listed("owners_revoked", delta.owners_revoked),
        **_reason_columns(delta.reasons),
    }


def read_delta(row: Mapping[str, Any]) -> AppliedDelta:
    return AppliedDelta(
        run=row["run"],
        cause=row["cause"],
        at=datetime.fromisoformat(row["at"]),
        created=row["created"],
        members_added=people(row, "members_added"),
        members_removed=people(row, "members_removed"),
        owners_granted=people(row, "owners_granted"),
        owners_revoked=people(row, "owners_revoked"),
        deleted=row.get("deleted", False),
        restored=row.get("restored", False),
        reasons=_read_reasons(row),
    )


def request_columns(request: ClassRequest) -> Entity:
    return {
        "class_key": request.key,
        "creator": request.creator,
        "requested_at": request.requested_at.isoformat(),
        "display_name": request.display_name,
        "description": request.description,
        "required_until": request.required_until.isoformat() if request.required_until else "",
        "generation": request.generation,
    }


def read_request(row: Mapping[str, Any]) -> ClassRequest:
    until = row["required_until"]
    return ClassRequest(
        key=row["class_key"],
        creator=row["creator"],
        requested_at=datetime.fromisoformat(row["requested_at"]),
        display_name=row["display_name"],
        description=row["description"],
        required_until=date.fromisoformat(until) if until else None,
        generation=row["generation"],
    )


def pin_columns(pin: Pin) -> Entity:
    return {
        "class_key": pin.key,
        **listed("members", pin.members),
        **listed("owners", pin.owners),
        "undone_run": pin.undone,
        "run": pin.run,
    }


def read_pin(row: Mapping[str, Any]) -> Pin:
    return Pin(row["class_key"], people(row, "members"), people(row, "owners"), row["undone_run"], row["run"])


def _reason_columns(reasons: Mapping[str, Reason]) -> Entity:
    """`person:rule:record` each, so that an admin can read them in the table."""
    return listed("reasons", (f"{person}:{why.rule}:{one_word(why.record)}" for person, why in reasons.items()))


def _read_reasons(row: Mapping[str, Any]) -> dict[str, Reason]:
    parts = (word.split(":", 2) for word in words(row, "reasons"))
    return {person: Reason(Rule(rule), decode_key(record)) for person, rule, record in parts}
