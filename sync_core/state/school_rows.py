"""A school in Azure Tables: settings, accepted snapshot, holds, runs; and a tenant: accounts, delta tokens, faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.roster import FeedStatistics, GroupType
from sync_core.domain.runs import Hold, HoldKind, HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school import (
    AfterSync,
    DepartedOwners,
    FeedContainer,
    FeedFolder,
    FileDrop,
    Limits,
    Matching,
    Mis,
    MisLocation,
    MisProperty,
    OneRosterApi,
    OneRosterVersion,
    Rollover,
    SchoolSettings,
    TeachingOwners,
    WondeApi,
)
from sync_core.errors import SyncError
from sync_core.messaging.port import MessageFault
from sync_core.state.row_codec import CHUNK, Entity, chunked, decode_key, encode_key, joined, listed, one_word, words

_ACCOUNT_COLUMNS = {
    AccountProperty.UPN: "upn",
    AccountProperty.MAIL: "mail",
    AccountProperty.MAIL_NICKNAME: "mail_nickname",
    AccountProperty.EMPLOYEE_ID: "employee_id",
    AccountProperty.SAM_ACCOUNT_NAME: "sam_account_name",
}


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
        **_source_columns(settings.source),
        "types": " ".join(sorted(settings.types)),
        "name_identifier": settings.name_identifier,
        "admin_owners": " ".join(settings.admin_owners),
        "teaching_owners": settings.teaching_owners.value,
        "departed_owners": settings.departed_owners.value,
        "rollover": settings.rollover.value,
        **_matching_columns("students", settings.students),
        **_matching_columns("staff", settings.staff),
        "access": " ".join(settings.access),
        "webhook_secrets": " ".join(settings.webhook_secrets),
        **{f"limit_{name}": value for name, value in asdict(settings.limits).items()},
    }


def read_school(row: Mapping[str, Any]) -> SchoolSettings:
    return SchoolSettings(
        school=row["school"],
        tenant=row["tenant"],
        enabled=row["enabled"],
        mis=Mis(row["mis"]),
        source=_read_source(row),
        types=frozenset(GroupType(type_) for type_ in row["types"].split()),
        name_identifier=row["name_identifier"],
        admin_owners=tuple(row["admin_owners"].split()),
        teaching_owners=TeachingOwners(row["teaching_owners"]),
        departed_owners=DepartedOwners(row["departed_owners"]),
        rollover=Rollover(row["rollover"]),
        students=_read_matching(row, "students"),
        staff=_read_matching(row, "staff"),
        access=tuple(row["access"].split()),
        webhook_secrets=tuple(row.get("webhook_secrets", "").split()),
        limits=Limits(
            **{field.name: row[f"limit_{field.name}"] for field in fields(Limits) if f"limit_{field.name}" in row}
        ),
    )


_SOURCES: dict[str, type[MisLocation]] = {
    "folder": FeedFolder,
    "container": FeedContainer,
    "oneroster": OneRosterApi,
    "wonde": WondeApi,
}


def file_drop_key(drop: FileDrop) -> str:
    """The same whatever becomes of its sets."""
    return encode_key(f"folder {drop.path}" if isinstance(drop, FeedFolder) else f"container {drop.folder}")


def _source_columns(source: MisLocation) -> Entity:
    (kind,) = (kind for kind, type_ in _SOURCES.items() if isinstance(source, type_))
    return {"source": kind, **{f"source_{name}": str(value) for name, value in asdict(source).items()}}


def _read_source(row: Mapping[str, Any]) -> MisLocation:
    match row["source"]:
        case "folder":
            return FeedFolder(row["source_path"], AfterSync(row["source_after_sync"]))
        case "container":
            return FeedContainer(row["source_folder"], AfterSync(row["source_after_sync"]))
        case "wonde":
            return WondeApi(row["source_url"], row["source_school"], row["source_secret"])
        case "oneroster":
            return OneRosterApi(
                row["source_url"],
                OneRosterVersion(row["source_version"]),
                row["source_token_url"],
                row["source_client"],
                row["source_secret"],
            )
        case unknown:
            raise SyncError(
                f"school {row['school']} is read from {unknown}, which this version of the app does not know",
                "finish the deployment, or save the school's settings anew",
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


def statistics_columns(statistics: FeedStatistics) -> Entity:
    return {
        "dfe_code": statistics.dfe_code,
        "academic_year": statistics.academic_year,
        "groups": statistics.groups,
        "students": statistics.students,
        "staff": statistics.staff,
        "enrolments": statistics.enrolments,
        "domain": statistics.domain,
        "taken_at": statistics.taken_at.isoformat(),
    }


def read_statistics(row: Mapping[str, Any]) -> FeedStatistics:
    return FeedStatistics(
        dfe_code=row["dfe_code"],
        academic_year=row["academic_year"],
        groups=row["groups"],
        students=row["students"],
        staff=row["staff"],
        enrolments=row["enrolments"],
        domain=row["domain"],
        taken_at=datetime.fromisoformat(row["taken_at"]),
    )


def hold_columns(hold: Hold) -> Entity:
    return {
        "digest": hold.digest,
        "kind": hold.kind.value,
        "status": hold.status.value,
        **listed("held_classes", hold.classes),
        "what": hold.what[:CHUNK],
        "remedy": hold.remedy[:CHUNK],
        "run": hold.run,
        "at": hold.at.isoformat(),
    }


def read_hold(row: Mapping[str, Any]) -> Hold:
    return Hold(
        digest=row["digest"],
        kind=HoldKind(row["kind"]),
        classes=words(row, "held_classes"),
        what=row["what"],
        remedy=row["remedy"],
        run=row["run"],
        at=datetime.fromisoformat(row["at"]),
        status=HoldStatus(row["status"]),
    )


def run_columns(run: RunRecord) -> Entity:
    return {
        "run": run.id,
        "cause": run.cause,
        "at": run.at.isoformat(),
        "outcome": run.outcome.value,
        "action": run.action,
        "requested_by": run.requested_by,
        "groups": run.groups,
        **listed("created", run.created),
        **listed("changed", run.changed),
        "unchanged": run.unchanged,
        **listed("held", run.held),
        "removals": run.removals,
        **listed("gone", run.gone),
        **listed("ended", run.ended),
        **listed("expired", run.expired),
        **listed("people_without_account", map(one_word, run.people_without_account)),
        **listed("people_disabled", map(one_word, run.people_disabled)),
        **listed("people_ambiguous", map(one_word, run.people_ambiguous)),
        **chunked("notes", "\n".join(run.notes)),
    }


def read_run(school: str, row: Mapping[str, Any]) -> RunRecord:
    return RunRecord(
        school=school,
        id=row["run"],
        cause=row["cause"],
        at=datetime.fromisoformat(row["at"]),
        outcome=RunOutcome(row["outcome"]),
        action=row.get("action", ""),
        requested_by=row.get("requested_by", ""),
        groups=row["groups"],
        created=words(row, "created"),
        changed=words(row, "changed"),
        unchanged=row["unchanged"],
        held=words(row, "held"),
        removals=row.get("removals", 0),
        gone=words(row, "gone"),
        ended=words(row, "ended"),
        expired=words(row, "expired"),
        people_without_account=tuple(map(decode_key, words(row, "people_without_account"))),
        people_disabled=tuple(map(decode_key, words(row, "people_disabled"))),
        people_ambiguous=tuple(map(decode_key, words(row, "people_ambiguous"))),
        notes=tuple(filter(None, joined(row, "notes").split("\n"))),
    )


def fault_columns(fault: MessageFault) -> Entity:
    return {
        "queue": fault.queue,
        "message_id": fault.message_id,
        "session": fault.session,
        "deliveries": fault.deliveries,
        "message": fault.message[:CHUNK],
        "remedy": fault.remedy[:CHUNK],
        "at": fault.at.isoformat(),
    }


def read_fault(row: Mapping[str, Any]) -> MessageFault:
    return MessageFault(
        queue=row["queue"],
        message_id=row["message_id"],
        session=row["session"],
        deliveries=row["deliveries"],
        message=row["message"],
        remedy=row["remedy"],
        at=datetime.fromisoformat(row["at"]),
    )


def token_columns(token: str) -> Entity:
    return chunked("token", token)


def read_token(row: Mapping[str, Any]) -> str:
    return joined(row, "token")
