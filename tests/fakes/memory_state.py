"""The tables in memory, with etags, merges and transactions within a partition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from sync_core.domain.accounts import Account, AccountChanges, AccountTokens
from sync_core.domain.classes.choices import Choices, ClassChoice, OwnerRule
from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Pin
from sync_core.domain.classes.outcomes import AppliedDelta, FirstChange
from sync_core.domain.classes.record import ClassOutline, ClassRecord
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.nicknames import identifier_in_nickname
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, HoldStatus, LeftOutRows, RunRecord, SettingsChange
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import AfterSync, FileDrop
from sync_core.domain.tenants import Probe, TenantFacts
from sync_core.errors import EtagConflict, UnknownSetting
from sync_core.messaging.port import MessageFault
from sync_core.state.port import EverySchool
from sync_core.state.store import TableState
from tests.fakes.steps import Step, no_step


class MemoryState:
    """`step` is awaited before and after each effect."""

    def __init__(self, step: Step = no_step) -> None:
        self._step = step
        self._etags = count(1)
        self._schools: dict[SchoolId, SchoolSettings] = {}
        self._unreadable: dict[SchoolId, UnknownSetting] = {}
        self._rows: dict[tuple[SchoolId, ClassKey], ClassRecord] = {}
        self._holds: dict[SchoolId, tuple[Hold, ...]] = {}
        self._accepted: dict[SchoolId, FeedStatistics | None] = {}
        self._left_out: dict[SchoolId, LeftOutRows] = {}
        self._changes: list[SettingsChange] = []
        self._requests: dict[tuple[SchoolId, ClassKey], ClassRequest] = {}
        self._pins: dict[tuple[SchoolId, ClassKey], Pin] = {}
        self._choices: dict[tuple[SchoolId, ClassKey], ClassChoice] = {}
        self._rules: dict[tuple[SchoolId, str], OwnerRule] = {}
        self._history: dict[tuple[SchoolId, ClassKey], list[AppliedDelta]] = {}
        self._accounts: dict[str, tuple[Account, ...]] = {}
        self._account_tokens: dict[str, AccountTokens] = {}
        self._groups_tokens: dict[str, str] = {}
        self._facts: dict[str, TenantFacts] = {}
        self._probes: dict[tuple[str, RunId], Probe] = {}
        self._synced_sets: dict[FileDrop, str] = {}
        self._runs: dict[tuple[SchoolId, RunId], RunRecord] = {}
        self._faults: dict[tuple[str, str], MessageFault] = {}

    async def school(self, school: SchoolId) -> SchoolSettings | None:
        await self._step("school")
        if reason := self._unreadable.get(school):
            raise reason
        return self._schools.get(school)

    async def schools(self, tenant: str | None = None) -> tuple[SchoolSettings, ...]:
        return (await self.every_school(tenant)).readable

    async def every_school(self, tenant: str | None = None) -> EverySchool:
        await self._step("schools")
        found = {id_: each for id_, each in sorted(self._schools.items()) if tenant in (None, each.tenant)}
        return EverySchool(
            tuple(each for id_, each in found.items() if id_ not in self._unreadable),
            {id_: why for id_, why in self._unreadable.items() if id_ in found},
        )

    def damage_settings(self, school: SchoolId) -> None:
        """From now on, the settings of the school cannot be read."""
        self._unreadable[school] = UnknownSetting(f"the settings of school {school} cannot be read", "repair them")

    async def save_school(self, settings: SchoolSettings) -> None:
        await self._step("save_school")
        self._schools[settings.school] = settings
        await self._step("save_school answered")

    async def replace_school(self, before: SchoolSettings | None, settings: SchoolSettings) -> None:
        await self._step("replace_school")
        if self._schools.get(settings.school) != before or self._is_taken(settings):
            raise EtagConflict
        self._schools[settings.school] = settings
        await self._step("replace_school answered")

    def _is_taken(self, settings: SchoolSettings) -> bool:
        wanted = identifier_in_nickname(settings.name_identifier).lower()
        of_others = [other for other in self._schools.values() if other.school != settings.school]
        taken = {(other.tenant, identifier_in_nickname(other.name_identifier).lower()) for other in of_others}
        return bool(wanted) and (settings.tenant, wanted) in taken

    async def forget_school(self, school: SchoolId) -> None:
        await self._step("forget_school")
        self._schools.pop(school, None)
        await self._step("forget_school answered")

    async def erase_school(self, school: SchoolId) -> None:
        await self._step("erase_school")
        self._rows = {key: row for key, row in self._rows.items() if key[0] != school}
        self._history = {key: deltas for key, deltas in self._history.items() if key[0] != school}
        self._requests = {key: request for key, request in self._requests.items() if key[0] != school}
        self._pins = {key: pin for key, pin in self._pins.items() if key[0] != school}
        self._choices = {key: choice for key, choice in self._choices.items() if key[0] != school}
        self._rules = {key: rule for key, rule in self._rules.items() if key[0] != school}
        self._runs = {key: run for key, run in self._runs.items() if key[0] != school}
        self._holds.pop(school, None)
        self._accepted.pop(school, None)
        self._left_out.pop(school, None)
        self._changes = [change for change in self._changes if change.school != school]
        await self._step("erase_school answered")

    async def left_out(self, school: SchoolId) -> LeftOutRows | None:
        await self._step("left_out")
        return self._left_out.get(school)

    async def write_left_out(self, school: SchoolId, left_out: LeftOutRows) -> None:
        await self._step("write_left_out")
        self._left_out[school] = left_out
        await self._step("write_left_out answered")

    async def write_settings_change(self, change: SettingsChange) -> None:
        await self._step("write_settings_change")
        self._changes.append(change)
        await self._step("write_settings_change answered")

    async def settings_changes(self, school: SchoolId) -> tuple[SettingsChange, ...]:
        await self._step("settings_changes")
        return tuple(sorted((each for each in self._changes if each.school == school), key=lambda each: each.at))

    async def class_record(self, school: SchoolId, key: ClassKey) -> ClassRecord | None:
        await self._step("class_record")
        row = self._rows.get((school, key))
        return row and row.in_wanted_tenant()

    async def class_records(self, school: SchoolId) -> tuple[ClassRecord, ...]:
        await self._step("class_records")
        return tuple(row.in_wanted_tenant() for (of, _), row in sorted(self._rows.items()) if of == school)

    async def class_outlines(self, school: SchoolId) -> tuple[ClassOutline, ...]:
        return tuple(record.outline for record in await self.class_records(school))

    async def write_desired(self, school: SchoolId, classes: Sequence[DesiredClass]) -> tuple[ClassKey, ...]:
        for wanted in classes:
            await self._step("write_desired")
            row = self._rows.get((school, wanted.key)) or ClassRecord(school=school, desired=wanted)
            self._store(row, desired=wanted)
        await self._step("write_desired answered")
        return ()

    async def holds(self, school: SchoolId) -> tuple[Hold, ...]:
        await self._step("holds")
        return tuple(sorted(self._holds.get(school, ()), key=lambda hold: hold.digest))

    async def open_holds(self, schools: Collection[SchoolId]) -> Mapping[SchoolId, int]:
        return {school: sum(hold.status is HoldStatus.OPEN for hold in await self.holds(school)) for school in schools}

    async def replace_holds(self, school: SchoolId, before: Sequence[Hold], after: Sequence[Hold]) -> None:
        await self._step("replace_holds")
        gone = {hold.digest for hold in before} - {hold.digest for hold in after}
        kept = {hold.digest: hold for hold in self._holds.get(school, ()) if hold.digest not in gone}
        self._holds[school] = tuple({**kept, **{hold.digest: hold for hold in after if hold not in before}}.values())
        await self._step("replace_holds answered")

    async def accepted_statistics(self, school: SchoolId) -> FeedStatistics | None:
        await self._step("accepted_statistics")
        return self._accepted.get(school)

    async def write_accepted_statistics(self, school: SchoolId, statistics: FeedStatistics | None) -> None:
        await self._step("write_accepted_statistics")
        self._accepted[school] = statistics
        await self._step("write_accepted_statistics answered")

    async def class_requests(self, school: SchoolId) -> Mapping[ClassKey, ClassRequest]:
        await self._step("class_requests")
        return {key: request for (of, key), request in self._requests.items() if of == school}

    async def write_class_request(self, school: SchoolId, request: ClassRequest) -> None:
        await self._step("write_class_request")
        self._requests[school, request.key] = request
        await self._step("write_class_request answered")

    async def write_drift(self, school: SchoolId, drifts: Sequence[Drift]) -> None:
        for drift in drifts:
            await self._step("write_drift")
            if row := self._rows.get((school, drift.key)):
                stale = row.stale if drift.stale is None else drift.stale
                self._store(row, stale=stale, gone=row.gone if drift.gone is None else drift.gone)
        await self._step("write_drift answered")

    async def write_actual(self, record: ClassRecord, delta: AppliedDelta | None = None) -> ClassRecord:
        await self._step("write_actual")
        row = self._rows.get((record.school, record.key))
        if row is None or row.etag != record.etag:
            raise EtagConflict
        written = self._store(record, desired=row.desired)
        if delta:
            self._history.setdefault((record.school, record.key), []).append(delta)
        await self._step("write_actual answered")
        return written

    async def history(self, school: SchoolId, key: ClassKey) -> tuple[AppliedDelta, ...]:
        await self._step("history")
        return tuple(self._history.get((school, key), ()))

    async def histories(
        self, school: SchoolId, keys: Collection[ClassKey], since: datetime
    ) -> Mapping[ClassKey, tuple[AppliedDelta, ...]]:
        await self._step("histories")
        return {key: tuple(each for each in self._history.get((school, key), ()) if each.at >= since) for key in keys}

    async def classes_of_run(self, school: SchoolId, run: RunId) -> Mapping[ClassKey, FirstChange]:
        await self._step("classes_of_run")
        changes = {
            key: [delta for delta in deltas if delta.run == run]
            for (of, key), deltas in sorted(self._history.items())
            if of == school
        }
        return {
            key: FirstChange(of_run[0].at, any(delta.created for delta in of_run))
            for key, of_run in changes.items()
            if of_run
        }

    async def forget_history(self, school: SchoolId, before: datetime) -> None:
        await self._step("forget_history")
        for (of, _), deltas in self._history.items():
            if of == school:
                deltas[:] = [delta for delta in deltas if delta.at >= before]
        self._runs = {key: run for key, run in self._runs.items() if key[0] != school or run.at >= before}
        self._changes = [change for change in self._changes if change.school != school or change.at >= before]
        await self._step("forget_history answered")

    async def pins(self, school: SchoolId) -> Mapping[ClassKey, Pin]:
        await self._step("pins")
        return {key: pin for (of, key), pin in self._pins.items() if of == school}

    async def pinned(self, school: SchoolId) -> frozenset[ClassKey]:
        return frozenset(await self.pins(school))

    async def write_pins(self, school: SchoolId, pins: Sequence[Pin]) -> None:
        for pin in pins:
            await self._step("write_pins")
            self._pins[school, pin.key] = pin
        await self._step("write_pins answered")

    async def forget_pin(self, school: SchoolId, key: ClassKey) -> None:
        await self._step("forget_pin")
        self._pins.pop((school, key), None)
        await self._step("forget_pin answered")

    async def choices(self, school: SchoolId) -> Choices:
        await self._step("choices")
        classes = {key: choice for (of, key), choice in self._choices.items() if of == school}
        return Choices(classes, tuple(rule for (of, _), rule in sorted(self._rules.items()) if of == school))

    async def write_choice(self, school: SchoolId, choice: ClassChoice) -> None:
        await self._step("write_choice")
        self._choices[school, choice.key] = choice
        await self._step("write_choice answered")

    async def forget_choice(self, school: SchoolId, key: ClassKey) -> None:
        await self._step("forget_choice")
        self._choices.pop((school, key), None)
        await self._step("forget_choice answered")

    async def write_owner_rule(self, school: SchoolId, rule: OwnerRule) -> None:
        await self._step("write_owner_rule")
        self._rules[school, rule.id] = rule
        await self._step("write_owner_rule answered")

    async def forget_owner_rule(self, school: SchoolId, rule: str) -> None:
        await self._step("forget_owner_rule")
        self._rules.pop((school, rule), None)
        await self._step("forget_owner_rule answered")

    async def accounts(self, tenant: str) -> tuple[Account, ...] | None:
        await self._step("accounts")
        followed = self._account_tokens.get(tenant, AccountTokens()).delta is not None
        return self._accounts[tenant] if followed else None

    async def account_tokens(self, tenant: str) -> AccountTokens:
        await self._step("account_tokens")
        return self._account_tokens.get(tenant, AccountTokens())

    async def write_accounts(self, tenant: str, changes: AccountChanges) -> None:
        await self._step("write_accounts")
        known = {} if changes.full else {account.id: account for account in self._accounts.get(tenant, ())}
        known.update({change.id: change.on(known.get(change.id)) for change in changes.accounts})
        self._accounts[tenant] = tuple(account for id_, account in known.items() if id_ not in changes.removed)
        self._account_tokens[tenant] = self._account_tokens.get(tenant, AccountTokens()).after(changes)
        await self._step("write_accounts answered")

    async def groups_token(self, tenant: str) -> str | None:
        await self._step("groups_token")
        return self._groups_tokens.get(tenant)

    async def facts(self, tenant: str) -> TenantFacts:
        return self._facts.get(tenant, TenantFacts())

    async def write_facts(self, tenant: str, facts: TenantFacts) -> None:
        await self._step("write_facts")
        self._facts[tenant] = facts
        await self._step("write_facts answered")

    async def write_probe(self, probe: Probe) -> None:
        await self._step("write_probe")
        self._probes[probe.tenant, probe.id] = probe
        await self._step("write_probe answered")

    async def probes(self, tenant: str) -> tuple[Probe, ...]:
        found = [probe for (of, _), probe in self._probes.items() if of == tenant]
        return tuple(sorted(found, key=lambda probe: probe.began_at))

    async def write_groups_token(self, tenant: str, token: str) -> None:
        await self._step("write_groups_token")
        self._groups_tokens[tenant] = token
        await self._step("write_groups_token answered")

    async def synced_set(self, drop: FileDrop) -> str | None:
        await self._step("synced_set")
        return self._synced_sets.get(replace(drop, after_sync=AfterSync.KEEP))

    async def write_synced_set(self, drop: FileDrop, fingerprint: str, at: datetime) -> None:
        await self._step("write_synced_set")
        self._synced_sets[replace(drop, after_sync=AfterSync.KEEP)] = fingerprint
        await self._step("write_synced_set answered")

    async def write_run(self, run: RunRecord) -> None:
        await self._step("write_run")
        self._runs[run.school, run.id] = run
        await self._step("write_run answered")

    async def run(self, school: SchoolId, run: RunId) -> RunRecord | None:
        await self._step("run")
        return self._runs.get((school, run))

    async def runs(self, school: SchoolId, since: datetime | None = None) -> tuple[RunRecord, ...]:
        await self._step("runs")
        runs = [run for (of, _), run in self._runs.items() if of == school and (since is None or run.at >= since)]
        return tuple(sorted(runs, key=lambda run: run.at))

    async def write_message_fault(self, fault: MessageFault) -> None:
        await self._step("write_message_fault")
        self._faults[fault.queue, fault.message_id] = fault
        await self._step("write_message_fault answered")

    async def message_faults(self, queue: str) -> tuple[MessageFault, ...]:
        await self._step("message_faults")
        return tuple(fault for (of, _), fault in sorted(self._faults.items()) if of == queue)

    async def forget_message_faults(self, before: datetime) -> None:
        await self._step("forget_message_faults")
        self._faults = {key: fault for key, fault in self._faults.items() if fault.at >= before}
        await self._step("forget_message_faults answered")

    def _store(self, record: ClassRecord, **changes: Any) -> ClassRecord:
        stored = replace(record, etag=str(next(self._etags)), **changes)
        self._rows[record.school, record.key] = stored
        return stored


Store = MemoryState | TableState
"""The stores that pass the same contract tests."""
