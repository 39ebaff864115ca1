"""How rows look in Azure Tables: plain words and readable ids, because admins inspect them in the portal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import quote, unquote

from sync_core.choices import (
    DepartedOwners,
    Matching,
    Mis,
    MisProperty,
    Rollover,
    SchoolSettings,
    TeachingOwners,
)
from sync_core.errors import SyncError
from sync_core.model import (
    Account,
    AccountProperty,
    ActualClass,
    AppliedDelta,
    ClassName,
    ClassRecord,
    ClassRequest,
    DesiredClass,
    GroupType,
    RowError,
    RunOutcome,
    RunRecord,
)
from sync_core.ports import MessageFault

Entity = dict[str, Any]

_ACCOUNT_COLUMNS = {
    AccountProperty.UPN: "upn",
    AccountProperty.MAIL: "mail",
    AccountProperty.MAIL_NICKNAME: "mail_nickname",
    AccountProperty.EMPLOYEE_ID: "employee_id",
    AccountProperty.SAM_ACCOUNT_NAME: "sam_account_name",
}

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


def request_row_key(key: str) -> str:
    return f"q:{encode_key(key)}"


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
        "group_name": wanted.group_name,
        "academic_year": wanted.academic_year,
        "desired_description": wanted.description,
        "revoke_departed": wanted.revoke,
        "ended": wanted.ended,
        "deleted_by_admin": wanted.deleted,
        "desired_life": wanted.life,
    }


def actual_columns(record: ClassRecord) -> Entity:
    """All columns that apply owns. Nothing is left out: a merge would keep what stood there before."""
    actual, error = record.actual, record.error
    return {
        "intended_nickname": record.intent or "",
        "intended_at": record.intent_at.isoformat() if record.intent_at else "",
        "stale": record.stale,
        "gone": record.gone,
        "life": record.life,
        **_listed("former_class_ids", record.former),
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
        group_name=row.get("group_name", ""),
        academic_year=row.get("academic_year", 0),
        description=row.get("desired_description", ""),
        revoke=row.get("revoke_departed", False),
        ended=row.get("ended", False),
        deleted=row.get("deleted_by_admin", False),
        life=row.get("desired_life", 0),
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
        intent_at=datetime.fromisoformat(row["intended_at"]) if row.get("intended_at") else None,
        stale=row.get("stale", False),
        gone=row.get("gone", False),
        life=row.get("life", 0),
        former=_people(row, "former_class_ids"),
        error=error,
        etag=etag,
    )


def delta_columns(delta: AppliedDelta) -> Entity:
    return {
        "run": delta.run,
        "cause": delta.cause,
        "at": delta.at.isoformat(),
        "created": delta.created,
        "deleted": delta.deleted,
        "restored": delta.restored,
        **_listed("members_added", delta.members_added),
        **_listed("members_removed", delta.members_removed),
        **_listed("owners_granted", delta.owners_granted),
        **_listed("owners_revoked", delta.owners_revoked),
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
        owners_revoked=_people(row, "owners_revoked"),
        deleted=row.get("deleted", False),
        restored=row.get("restored", False),
    )


def request_columns(request: ClassRequest) -> Entity:
    return {
        "class_key": request.key,
        "creator": request.creator,
        "asked_at": request.asked_at.isoformat(),
        "display_name": request.display_name,
        "description": request.description,
        "required_until": request.required_until.isoformat() if request.required_until else "",
        "life": request.life,
    }


def read_request(row: Mapping[str, Any]) -> ClassRequest:
    until = row["required_until"]
    return ClassRequest(
        key=row["class_key"],
        creator=row["creator"],
        asked_at=datetime.fromisoformat(row["asked_at"]),
        display_name=row["display_name"],
        description=row["description"],
        required_until=date.fromisoformat(until) if until else None,
        life=row["life"],
    )


def account_columns(account: Account) -> Entity:
    """Every property: a merge would keep a value that was cleared."""
    values = {_ACCOUNT_COLUMNS[name]: account.values.get(name, "") for name in AccountProperty}
    return {**values, "enabled": account.enabled}


def read_account(row: Mapping[str, Any]) -> Account:
    values = {name: row.get(column, "") for name, column in _ACCOUNT_COLUMNS.items()}
    return Account(row["RowKey"], {name: value for name, value in values.items() if value}, row.get("enabled", True))


def school_columns(settings: SchoolSettings) -> Entity:
    return {
        "school": settings.school,
        "tenant": settings.tenant,
        "enabled": settings.enabled,
        "mis": settings.mis.value,
        "mis_path": settings.mis_path,
        "types": " ".join(sorted(settings.types)),
        "name_identifier": settings.name_identifier,
        "admin_owners": " ".join(settings.admin_owners),
        "teaching_owners": settings.teaching_owners.value,
        "departed_owners": settings.departed_owners.value,
        "rollover": settings.rollover.value,
        **_matching_columns("students", settings.students),
        **_matching_columns("staff", settings.staff),
        "access": " ".join(settings.access),
    }


def read_school(row: Mapping[str, Any]) -> SchoolSettings:
    return SchoolSettings(
        school=row["school"],
        tenant=row["tenant"],
        enabled=row["enabled"],
        mis=Mis(row["mis"]),
        mis_path=row["mis_path"],
        types=frozenset(GroupType(type_) for type_ in row["types"].split()),
        name_identifier=row["name_identifier"],
        admin_owners=tuple(row["admin_owners"].split()),
        teaching_owners=TeachingOwners(row["teaching_owners"]),
        departed_owners=DepartedOwners(row["departed_owners"]),
        rollover=Rollover(row["rollover"]),
        students=_read_matching(row, "students"),
        staff=_read_matching(row, "staff"),
        access=tuple(row["access"].split()),
    )


def _matching_columns(role: str, rule: Matching) -> Entity:
    return {
        f"{role}_mis_property": rule.mis_property.value,
        f"{role}_account_property": rule.account_property.value,
        f"{role}_domain": rule.domain,
    }


def _read_matching(row: Mapping[str, Any], role: str) -> Matching:
    return Matching(
        MisProperty(row[f"{role}_mis_property"]),
        AccountProperty(row[f"{role}_account_property"]),
        row[f"{role}_domain"],
    )


def run_columns(run: RunRecord) -> Entity:
    return {
        "run": run.run,
        "cause": run.cause,
        "at": run.at.isoformat(),
        "outcome": run.outcome.value,
        "action": run.action,
        "groups": run.groups,
        **_listed("created", run.created),
        **_listed("changed", run.changed),
        "unchanged": run.unchanged,
        **_listed("held", run.held),
        **_listed("gone", run.gone),
        **_listed("ended", run.ended),
        **_listed("expired", run.expired),
        **_listed("people_without_account", map(_one_word, run.people_without_account)),
        **_listed("people_disabled", map(_one_word, run.people_disabled)),
        **_listed("people_ambiguous", map(_one_word, run.people_ambiguous)),
        **_chunked("notes", "\n".join(run.notes)),
    }


def read_run(school: str, row: Mapping[str, Any]) -> RunRecord:
    return RunRecord(
        school=school,
        run=row["run"],
        cause=row["cause"],
        at=datetime.fromisoformat(row["at"]),
        outcome=RunOutcome(row["outcome"]),
        action=row.get("action", ""),
        groups=row["groups"],
        created=_words(row, "created"),
        changed=_words(row, "changed"),
        unchanged=row["unchanged"],
        held=_words(row, "held"),
        gone=_words(row, "gone"),
        ended=_words(row, "ended"),
        expired=_words(row, "expired"),
        people_without_account=tuple(map(decode_key, _words(row, "people_without_account"))),
        people_disabled=tuple(map(decode_key, _words(row, "people_disabled"))),
        people_ambiguous=tuple(map(decode_key, _words(row, "people_ambiguous"))),
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
