"""Applies one change in Graph, then records it: the applying half of the desired / actual protocol.

A message only says that a class is out of step. The work is the difference between desired and actual on the row now,
so an old, duplicate or replayed message does no harm, and an interrupted one is repeated. Each round reads the row,
applies the difference, and writes `actual` on condition that the row did not change meanwhile. If it did, a new round
begins. This module neither reads the MIS nor sends messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from sync_core.applying.adoption import adopt_class
from sync_core.applying.attempt import REPLICATION, Attempt, actual_of
from sync_core.applying.people import People
from sync_core.applying.team import TeamWork
from sync_core.applying.year_end import follow_year_end
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.outcomes import AlreadySo, Outcome, Refused
from sync_core.domain.classes.record import ActualClass, ClassRecord, ClassState
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.teams import TeamState
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassId
from sync_core.errors import (
    EtagConflict,
    GraphDenied,
    GraphRefused,
    NicknameTaken,
    NotOnRecord,
    NotThere,
    Transient,
)
from sync_core.graph.port import FoundGroup, NewClass, Teams
from sync_core.messaging import messages
from sync_core.planning.naming.names import following_nickname
from sync_core.services import Applying

_ROUNDS = 12
_NICKNAMES = 20
_TRIES = 2 * _NICKNAMES
"""A nickname takes two: one to learn that a group has it, one to look that group up."""
_CLOCK_SKEW = timedelta(minutes=5)
_GONE = Refused(
    "ClassGone",
    "restore the class within 30 days of its deletion, or create it again; the next sync resumes a restored class",
)


async def apply_change(change: messages.Change, priority: messages.Priority, services: Applying) -> Outcome:
    """Apply `change` in the tenant that its row names, and record it. Raises Transient if it must be redelivered.

    A class that is gone from Microsoft 365 and a permanent refusal by Graph are outcomes, recorded on the row. Raises
    NotOnRecord for a restore that no admin requested: the row of a class that was deleted by hand does not tell.
    """
    record = await services.classes.class_record(change.school, change.key)
    if record is None:
        return AlreadySo()
    if isinstance(change, messages.RestoreClass):
        await _require_request(change, services)
    tenant_id = record.desired.tenant
    attempt = Attempt(change, tenant_id, services.graph.of(tenant_id, priority), services)
    return await _Apply(attempt, services.teams.of(tenant_id, priority)).run(record)


async def _require_request(change: messages.RestoreClass, services: Applying) -> None:
    """Raises NotOnRecord unless the run of the change is on record as an admin's request to restore the class.

    A redelivery of that request may have ended the run as refused after the change was sent.
    """
    run = await services.runs.run(change.school, change.run)
    requested = (messages.Action.RESTORE, change.key, change.cause)
    if run is None or not run.requested_by or (run.action, run.class_key, run.cause) != requested:
        raise NotOnRecord(change.run)


class _Apply:
    """Creates, finds, deletes and restores the class; `People` handles its people, and `TeamWork` its team."""

    def __init__(self, attempt: Attempt, teams: Teams) -> None:
        self._attempt = attempt
        self._tenant = attempt.tenant
        self._people = People(attempt)
        self._team = TeamWork(attempt, teams)

    async def run(self, record: ClassRecord) -> Outcome:
        try:
            outcome = await self._follow_in_rounds(record)
        except Transient:
            # The history has the work so far, and the next attempt does the rest.
            if self._attempt.has_unrecorded:
                await self._write_rest(stale=True)
            raise
        if self._attempt.has_unrecorded:
            # Another delivery has done and written the same, and could not know what this one did of it.
            await self._write_rest()
        return outcome

    async def _follow_in_rounds(self, first: ClassRecord) -> Outcome:
        record: ClassRecord | None = first
        for _ in range(_ROUNDS):
            if record is None:
                return AlreadySo()
            try:
                return await self._follow(record)
            except EtagConflict:
                pass
            except NotThere:
                if await self._is_gone():
                    return _GONE
            except GraphRefused as refusal:
                return await self._refuse(refusal)
            record = await self._read()
        raise Transient("the class row or Graph kept changing meanwhile", "the queue redelivers the change")

    async def _follow(self, record: ClassRecord) -> Outcome:
        desired = record.desired
        if desired.tenant != self._attempt.tenant_id:
            raise Transient("the school moved to another tenant meanwhile", "the queue redelivers the change there")
        match self._attempt.change:
            case messages.DeleteClass():
                return await self._delete(record) if desired.deleted else AlreadySo()
            case messages.RestoreClass():
                return AlreadySo() if desired.deleted else await self._restore(record)
            case messages.ChangeTeam():
                return await self._change_team(record)
            case messages.ChangeForYearEnd():
                return await follow_year_end(record, self._attempt, self._people, self._team)
        match record.state:
            case ClassState.ENDED if isinstance(self._attempt.change, messages.RevokeOwners) and record.actual:
                return await self._told(await self._people.end_grants(record))
            case ClassState.DELETING | ClassState.DELETED | ClassState.ENDED:
                return AlreadySo()
            case ClassState.GONE:
                return AlreadySo() if desired.ended else _GONE
        return await self._reconcile(record)

    async def _reconcile(self, record: ClassRecord) -> Outcome:
        record = await self._ensure_class(record)
        if record.gone:
            return _GONE
        match self._attempt.change:
            case messages.GrantOwners():
                record = await self._people.grant_owners(record)
            case messages.RevokeOwners():
                record = await self._people.revoke_owners(record)
            case messages.ChangeMembers() | messages.RestoreClass():
                record = await self._people.change_members(record)
        return await self._told(record)

    async def _told(self, record: ClassRecord) -> Outcome:
        """The outcome of a change of the group's people, once its team has it too."""
        in_team = await self._team.tell(record)
        if error := self._people.error() or in_team:
            return Refused(error.code, error.remedy, self._attempt.applied)
        return self._attempt.outcome()

    async def _change_team(self, record: ClassRecord) -> Outcome:
        """Bring the team to what is wanted. A class that is not in Microsoft 365 has none, and is not made for it."""
        if record.actual is None or record.gone or record.desired.deleted:
            return AlreadySo()
        if error := await self._team.follow(record):
            return Refused(error.code, error.remedy, self._attempt.applied)
        return self._attempt.outcome()

    # --- the class itself

    async def _ensure_class(self, record: ClassRecord) -> ClassRecord:
        """Return the record with a class id. The intent is on the row first, because a create is not idempotent.

        A nickname that this delivery was the first to write is not looked up before the create: no other delivery can
        have used it for this class, and Graph reports NicknameTaken if another group has it.
        """
        if record.gone:
            # An admin requested it again: the known state belongs to the previous generation.
            record = replace(
                record, actual=None, intent=None, stale=False, gone=False, previous_ids=record.class_ids, error=None
            )
        elif record.actual is not None:
            return record
        elif record.desired.adopts and record.intent is None:
            return await adopt_class(record, self._attempt)
        earlier = record.intent
        fresh = earlier is None
        if fresh:
            record = await self._write_next_intent(record)
        for _ in range(_TRIES):
            intent = record.intent
            assert intent is not None, "it is written before it is used"
            found = () if fresh else await self._tenant.find_groups(intent)
            if own := _own(record, found):
                # An earlier delivery created it and stopped before writing the row: its members are unknown.
                return await self._write_class(record, own.id, own.name, stale=True)
            if found:
                # A group without an externalId that is older than the intent is foreign. A newer one may be ours: a
                # replica may not have its externalId yet.
                foreign = all(group.external_id is not None or not _since(record, group.created_at) for group in found)
                if foreign or not await self._attempt.wait_for_replication():
                    record, fresh = await self._write_next_intent(record), True
                continue
            name = ClassName(record.desired.name.display_name, intent)
            new = NewClass(name, record.external_id, record.desired.group_id, record.desired.description)
            try:
                created = await self._tenant.create_class(new)
            except NicknameTaken:
                if not fresh and (after := await self._after_taken(record, name, intent != earlier)):
                    if after.gone or after.actual:
                        return after
                    record, fresh = after, True
                else:
                    fresh = False
                continue
            self._attempt.note("created")
            return await self._write_class(record, created.id, created.name, stale=record.stale)
        raise GraphRefused(
            "NoFreeNickname",
            f"other groups have the {_NICKNAMES} nicknames for this class; it was not created",
            "change the mail nicknames of those groups, or the school's name identifier; the next sync tries again",
        )

    async def _after_taken(self, record: ClassRecord, name: ClassName, ours_alone: bool) -> ClassRecord | None:
        """The row after Graph refused a nickname that no look-up shows: gone, with its class, or with another nickname.

        None if a look-up may show the group soon. `ours_alone`: this delivery wrote the intent, so that no other one
        can have created the class under it.
        """
        assert record.intent is not None and record.intent_at is not None, "it is written before it is used"
        try:
            deleted = await self._tenant.find_deleted(record.intent)
        except GraphDenied:
            # Graph does not tell a deleted group from one that is not visible yet. Only the second can be ours.
            if ours_alone:
                return await self._write_next_intent(record)
            if self._attempt.clock.now() - record.intent_at >= REPLICATION:
                return await self._with_listed(record) or await self._write_next_intent(record)
            deleted = ()
        for group in deleted:
            if _made_for(record, group):
                gone = ActualClass(class_id=group.id, name=name, created_at=group.created_at)
                return await self._attempt.write(replace(record, actual=gone, gone=True))
        if deleted:
            return await self._write_next_intent(record)
        if await self._attempt.wait_for_replication():
            return None
        if listed := await self._with_listed(record):
            return listed
        raise Transient("Graph does not show the group with this nickname yet", "it is retried")

    async def _with_listed(self, record: ClassRecord) -> ClassRecord | None:
        """The row with the class that an earlier delivery created, if the list of all classes has it.

        A naming policy may have changed its nickname, by which it is looked up otherwise.
        """
        for one in await self._tenant.classes():
            if one.external_id == record.external_id and one.id not in record.previous_ids:
                name = ClassName(one.display_name, one.mail_nickname)
                return await self._write_class(record, one.id, name, stale=True)
        return None

    async def _write_next_intent(self, record: ClassRecord) -> ClassRecord:
        """Write the nickname to create the class with: that of its name, or the one after the intent so far."""
        intent = following_nickname(record.intent) if record.intent else record.desired.name.mail_nickname
        now, generation = self._attempt.clock.now(), record.desired.generation
        return await self._attempt.write(replace(record, intent=intent, intent_at=now, generation=generation))

    async def _write_class(self, record: ClassRecord, id_: ClassId, name: ClassName, *, stale: bool) -> ClassRecord:
        """Write the class id even if the row changed meanwhile: only this delivery knows the id."""
        actual = ActualClass(class_id=id_, name=name, created_at=self._attempt.clock.now())
        try:
            return await self._attempt.write(replace(record, actual=actual, stale=stale))
        except EtagConflict:
            latest = await self._attempt.record()
            if latest and latest.tenant != record.tenant:
                await self._attempt.write(replace(latest, previous_ids=latest.previous_ids | {id_}))
            elif latest and latest.actual is None and not latest.gone and latest.generation == record.generation:
                await self._attempt.write(replace(latest, actual=actual, stale=stale or latest.stale))
            raise

    async def _is_gone(self) -> bool:
        """After a 404: True, and recorded, if the class is gone; else wait for replication and return False."""
        record = await self._attempt.record()
        if record is None or record.actual is None:
            return False
        if not self._attempt.young(record) and not await self._tenant.class_exists(record.actual.class_id):
            await self._attempt.classes.write_drift(record.school, [Drift(record.key, stale=True, gone=True)])
            return True
        await self._attempt.wait_for_replication()
        return False

    # --- requests of an admin

    async def _delete(self, record: ClassRecord) -> Outcome:
        """Delete only the class that the row names; one whose create is under way is found by its intent first."""
        if record.gone:
            return AlreadySo()
        if record.actual is None:
            groups = await self._tenant.find_groups(record.intent) if record.intent else ()
            if not groups and record.intent_at and self._attempt.clock.now() - record.intent_at < REPLICATION:
                if await self._attempt.wait_for_replication():
                    raise EtagConflict
                raise Transient("a class that was just created may not be visible yet", "the delete is retried")
            found = _own(record, groups)
            if found is None:
                await self._attempt.write(replace(record, gone=True, intent=None, error=None))
                return AlreadySo()
            record = await self._write_class(record, found.id, found.name, stale=True)
        try:
            await self._tenant.delete_class(actual_of(record).class_id)
        except NotThere:
            if self._attempt.young(record) and self._attempt.waits:
                raise
        else:
            self._attempt.note("deleted")
        await self._attempt.write(replace(record, gone=True, error=None))
        return self._attempt.outcome()

    async def _restore(self, record: ClassRecord) -> Outcome:
        if record.gone and record.actual is not None:
            try:
                await self._tenant.restore_class(record.actual.class_id)
            except NotThere:
                if not await self._tenant.class_exists(record.actual.class_id):
                    raise GraphRefused(
                        "NotRestorable",
                        "Microsoft 365 has no deleted class to restore: its 30 days are over, or it was purged",
                        "create the class again",
                    ) from None
            else:
                self._attempt.note("restored")
            # Whether the team comes back with the class is not documented, so that its state is no longer known. But
            # only an admin ends that it is archived.
            team = record.actual.team
            archived = team is not None and team.state is TeamState.ARCHIVED
            restored = replace(record.actual, team=team if archived else None)
            record = await self._attempt.write(replace(record, actual=restored, gone=False, stale=True, error=None))
        if record.gone or record.actual is None or record.desired.ended:
            return self._attempt.outcome()
        return await self._reconcile(record)

    # --- the record

    async def _refuse(self, refusal: GraphRefused) -> Outcome:
        error = RowError(refusal.code, refusal.detail, refusal.remedy)
        if await self._write_rest(error, stale=self._attempt.touched):
            return Refused(error.code, error.remedy, self._attempt.applied)
        raise Transient("Graph's refusal could not be written on the class row", "the queue redelivers the change")

    async def _read(self) -> ClassRecord | None:
        record = await self._attempt.record()
        return self._people.claim_grants(record) if record else None

    async def _write_rest(self, error: RowError | None = None, *, stale: bool = False) -> bool:
        """Write the work that is not recorded yet. `stale`: `actual` may be wrong, so the next change reads the class.

        Returns whether the row could be written.
        """
        for _ in range(_ROUNDS):
            record = await self._attempt.record()
            if record is None:
                return False
            after = replace(record, error=error or record.error, stale=record.stale or stale)
            try:
                await self._attempt.write(self._people.claim_grants(after))
            except EtagConflict:
                continue
            return True
        return False


def _own(record: ClassRecord, groups: Iterable[FoundGroup]) -> FoundGroup | None:
    """The class of this row among groups with one nickname, which need not be the first of them."""
    return next((group for group in groups if group.external_id == record.external_id), None)


def _made_for(record: ClassRecord, deleted: FoundGroup) -> bool:
    """Whether an interrupted delivery created this group and somebody deleted it since.

    Any other deleted group with the nickname has a known id, is older than the intent, or has another display name: it
    is a class of a previous generation or of an earlier deployment, or a foreign group.
    """
    same_name = deleted.name.display_name == record.desired.name.display_name
    return same_name and deleted.id not in record.previous_ids and _since(record, deleted.created_at)


def _since(record: ClassRecord, moment: datetime) -> bool:
    """Whether `moment` is after the intent was written, with an allowance for clocks that differ."""
    assert record.intent_at is not None, "apply writes the intent first"
    return moment >= record.intent_at - _CLOCK_SKEW
