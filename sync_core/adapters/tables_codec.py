"""How rows look in Azure Tables: plain words and readable ids, because admins inspect them in the portal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from sync_core.errors import SyncError
from sync_core.model import (
    ActualClass,
    AppliedDelta,
    ClassName,
    ClassRecord,
    DesiredClass,
    GroupType,
    RowError,
    RunOutcome,
    RunRecord,
    SchoolSettings,
    TeachingOwners,
)
from sync_core.ports import MessageFault

Entity = dict[str, Any]

_CHUNK = 32_000
"""Characters in one property: 64 KiB of UTF-16 is the limit."""
_LARGEST_ENTITY = 1_000_000
"""Bytes in one entity: 1 MiB is the limit, of which some is kept for keys and names."""


def encode_key(text: str) -> str:
    """A partition or row key for any text: Tables refuses `/ \\ # ?` and control characters, and mishandles `%`."""
    return quote(text, safe="|:. ").replace("%", "!")


def decode_key(key: str) -> str:
    return unquote(key.replace("!", "%"))


def class_row_key(key: str) -> str:
    return f"c:{encode_key(key)}"


def history_prefix(key: str) -> str:
    return f"h:{encode_key(key)}:"


def desired_columns(wanted: DesiredClass) -> Entity:
    return {
        "group_id": wanted.group_id,
        "group_type": wanted.group_type.value,
        "class_key": wanted.key,
        "desired_name": wanted.name.display_name,
        "desired_nickname": wanted.name.mail_nickname,
        **_listed("desired_members", wanted.members),
        **_listed("desired_owners", wanted.owners),
    }


def actual_columns(record: ClassRecord) -> Entity:
    """All columns that apply owns. Nothing is left out: a merge would keep what stood there before."""
    actual, error = record.actual, record.error
    return {
        "intended_nickname": record.intent or "",
        "stale": record.stale,
        "gone": record.gone,
        "error_code": error.code if error else "",
        "error_words": error.words if error else "",
        "error_remedy": error.remedy if error else "",
        "class_id": actual.class_id if actual else "",
        "class_name": actual.name.display_name if actual else "",
        "class_nickname": actual.name.mail_nickname if actual else "",
        "class_created_at": actual.created_at.isoformat() if actual else "",
        "members_known": bool(actual and actual.members is not None),
        **_listed("members", (actual.members if actual else None) or ()),
        **_listed("owners", actual.owners if actual else ()),
        **_listed("owners_granted", actual.granted if actual else ()),
    }


def read_class(school: str, row: Mapping[str, Any], etag: str) -> ClassRecord:
    wanted = DesiredClass(
        key=row["class_key"],
        group_id=row["group_id"],
        group_type=GroupType(row["group_type"]),
        name=ClassName(row["desired_name"], row["desired_nickname"]),
        members=_people(row, "desired_members"),
        owners=_people(row, "desired_owners"),
    )
    actual = None
    if row.get("class_id"):
        actual = ActualClass(
            class_id=row["class_id"],
            name=ClassName(row["class_name"], row["class_nickname"]),
            created_at=datetime.fromisoformat(row["class_created_at"]),
            members=_people(row, "members") if row["members_known"] else None,
            owners=_people(row, "owners"),
            granted=_people(row, "owners_granted"),
        )
    error = None
    if row.get("error_code"):
        error = RowError(row["error_code"], row["error_words"], row["error_remedy"])
    return ClassRecord(
        school=school,
        desired=wanted,
        actual=actual,
        intent=row.get("intended_nickname") or None,
        stale=row.get("stale", False),
        gone=row.get("gone", False),
        error=error,
        etag=etag,
    )


def delta_columns(delta: AppliedDelta) -> Entity:
    return {
        "run": delta.run,
        "cause": delta.cause,
        "at": delta.at.isoformat(),
        "created": delta.created,
        **_listed("members_added", delta.members_added),
        **_listed("members_removed", delta.members_removed),
        **_listed("owners_granted", delta.owners_granted),
    }


def read_delta(row: Mapping[str, Any]) -> AppliedDelta:
    return AppliedDelta(
        run=row["run"],
        cause=row["cause"],
        at=datetime.fromisoformat(row["at"]),
        created=row["created"],
        members_added=_people(row, "members_added"),
        members_removed=_people(row, "members_removed"),
        owners_granted=_people(row, "owners_granted"),
    )


def school_columns(settings: SchoolSettings) -> Entity:
    return {
        "school": settings.school,
        "tenant": settings.tenant,
        "mis_path": settings.mis_path,
        "types": " ".join(sorted(settings.types)),
        "name_identifier": settings.name_identifier,
        "admin_owners": " ".join(settings.admin_owners),
        "teaching_owners": settings.teaching_owners.value,
        "account_domain": settings.account_domain,
    }


def read_school(row: Mapping[str, Any]) -> SchoolSettings:
    return SchoolSettings(
        school=row["school"],
        tenant=row["tenant"],
        mis_path=row["mis_path"],
        types=frozenset(GroupType(type_) for type_ in row["types"].split()),
        name_identifier=row["name_identifier"],
        admin_owners=tuple(row["admin_owners"].split()),
        teaching_owners=TeachingOwners(row["teaching_owners"]),
        account_domain=row["account_domain"],
    )


def run_columns(run: RunRecord) -> Entity:
    return {
        "run": run.run,
        "cause": run.cause,
        "at": run.at.isoformat(),
        "outcome": run.outcome.value,
        "groups": run.groups,
        **_listed("created", run.created),
        **_listed("changed", run.changed),
        "unchanged": run.unchanged,
        **_listed("held", run.held),
        **_listed("gone", run.gone),
        **_listed("people_without_account", (_one_word(person) for person in run.people_without_account)),
        **_chunked("notes", "\n".join(run.notes)),
    }


def read_run(school: str, row: Mapping[str, Any]) -> RunRecord:
    return RunRecord(
        school=school,
        run=row["run"],
        cause=row["cause"],
        at=datetime.fromisoformat(row["at"]),
        outcome=RunOutcome(row["outcome"]),
        groups=row["groups"],
        created=_words(row, "created"),
        changed=_words(row, "changed"),
        unchanged=row["unchanged"],
        held=_words(row, "held"),
        gone=_words(row, "gone"),
        people_without_account=tuple(decode_key(person) for person in _words(row, "people_without_account")),
        notes=tuple(filter(None, _joined(row, "notes").split("\n"))),
    )


def fault_columns(fault: MessageFault) -> Entity:
    return {
        "queue": fault.queue,
        "message_id": fault.message_id,
        "session": fault.session,
        "deliveries": fault.deliveries,
        "what": fault.what[:_CHUNK],
        "remedy": fault.remedy[:_CHUNK],
        "at": fault.at.isoformat(),
    }


def read_fault(row: Mapping[str, Any]) -> MessageFault:
    return MessageFault(
        queue=row["queue"],
        message_id=row["message_id"],
        session=row["session"],
        deliveries=row["deliveries"],
        what=row["what"],
        remedy=row["remedy"],
        at=datetime.fromisoformat(row["at"]),
    )


def token_columns(token: str) -> Entity:
    return _chunked("token", token)


def read_token(row: Mapping[str, Any]) -> str:
    return _joined(row, "token")


def entity_size(entity: Mapping[str, Any]) -> int:
    """Bytes that `entity` takes in Tables, a little more than less. Raises SyncError past the limit of one entity.

    The local emulator takes larger entities than Azure does, so this is checked here.
    """
    size = sum(
        8 + 2 * len(name) + (2 * len(value) + 4 if isinstance(value, str) else 8) for name, value in entity.items()
    )
    if size > _LARGEST_ENTITY or len(entity) > 252:
        raise SyncError(
            f"row {entity['RowKey']} of {entity['PartitionKey']} has {size} bytes and does not fit into Table storage",
            "a class of this size cannot be followed: split the group in the MIS, or leave its type out",
        )
    return size


def _listed(name: str, items: Iterable[str]) -> Entity:
    ordered = sorted(items)
    return {f"{name}_count": len(ordered), **_chunked(name, " ".join(ordered))}


def _chunked(name: str, text: str) -> Entity:
    """`text` over as many properties as it needs, and their number: a merge leaves older, longer tails behind."""
    chunks = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]
    return {f"{name}_parts": len(chunks), **{f"{name}_{at}": chunk for at, chunk in enumerate(chunks)}}


def _joined(row: Mapping[str, Any], name: str) -> str:
    return "".join(row[f"{name}_{at}"] for at in range(row.get(f"{name}_parts", 0)))


def _one_word(text: str) -> str:
    return encode_key(text).replace(" ", "!20")


def _words(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_joined(row, name).split())


def _people(row: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(_words(row, name))
