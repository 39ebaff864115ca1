"""One change made true in Graph and then recorded: the applying half of the desired / actual protocol.

The message only says that something is out of step; what to do is the difference between desired and actual as the row
stands now. So a message that is old, doubled or replayed does no harm, and one that died half way is simply done again.
Every round reads the row, makes the difference true, and writes `actual` on condition that nobody wrote the row
meanwhile; otherwise it goes round. Nothing here knows the MIS, and nothing is sent from here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sync_core.applying.attempt import REPLICATION, Attempt, actual_of
from sync_core.applying.people import People
from sync_core.domain.classes import (
    ActualClass,
    AlreadySo,
    ClassName,
    ClassRecord,
    ClassState,
    Drift,
    Outcome,
    Refused,
    RowError,
)
from sync_core.errors import EtagConflict, GraphRefused, NicknameTaken, NotThere, Transient
from sync_core.graph.port import DeletedGroup, NewClass
from sync_core.messaging.messages import (
    Change,
    ChangeMembers,
    CreateClass,
    DeleteClass,
    GrantOwners,
    Priority,
    RestoreClass,
    RevokeOwners,
)
from sync_core.planning.names import following_nickname
from sync_core.services import Services

_ROUNDS = 12
_NICKNAMES = 20
_TRIES = 2 * _NICKNAMES
"""A nickname takes two: one to find out that it is held, one to look up by whom."""
_CLOCK_SKEW = timedelta(minutes=5)
_GONE = Refused(
    "ClassGone",
    "restore the class within 30 days of its deletion, or create it anew; the next sync resumes a restored one",
)


async def apply_change(change: Change, priority: Priority, services: Services) -> Outcome:
    """Make `change` true and record it. Raises Transient: deliver it again.

    A class that is gone from Microsoft 365, or what Graph refuses for good, is recorded on the row and is an outcome.
    """
    return await _Apply(Attempt(change, services.graph.of(change.tenant, priority), services)).run()


class _Apply:
    """The class itself: made, found, deleted, restored; its people are left to `People`."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._tenant = attempt.tenant
        self._people = People(attempt)

    async def run(self) -> Outcome:
        for _ in range(_ROUNDS):
            record = await self._attempt.record()
            if record is None:
                return AlreadySo()
            try:
                return await self._follow(record)
            except EtagConflict:
                continue
            except NotThere:
                if await self._is_gone():
                    return _GONE
            except GraphRefused as refusal:
                return await self._refuse(refusal)
            except Transient:
                await self._write_half_done()
                raise
        raise Transient("the class row or Graph kept changing under this change", "it is delivered again by itself")

    async def _follow(self, record: ClassRecord) -> Outcome:
        wanted = record.desired
        match self._attempt.change:
            case DeleteClass():
                return await self._delete(record) if wanted.deleted else AlreadySo()
            case RestoreClass():
                return AlreadySo() if wanted.deleted else await self._restore(record)
        match record.state:
            case ClassState.DELETING | ClassState.DELETED | ClassState.ENDED:
                return AlreadySo()
            case ClassState.GONE:
                return AlreadySo() if wanted.ended else _GONE
        return await self._reconcile(record)

    async def _reconcile(self, record: ClassRecord) -> Outcome:
        record = await self._ensure_class(record)
        if record.gone:
            return _GONE
        match self._attempt.change:
            case CreateClass():
                pass
            case GrantOwners():
                await self._people.grant_owners(record)
            case RevokeOwners():
                await self._people.revoke_owners(record)
            case ChangeMembers() | RestoreClass():
                await self._people.change_members(record)
        if error := self._people.error():
            return Refused(error.code, error.remedy, self._attempt.applied())
        return self._attempt.outcome()

    # --- the class itself

    async def _ensure_class(self, record: ClassRecord) -> ClassRecord:
        """The record with a class id. The intent is on the row before Graph is asked: a create is not idempotent.

        A nickname that this delivery itself was the first to write down is not looked up before the create: nobody can
        have used it for this class, and Graph tells if somebody else holds it.
        """
        if record.gone:
            # An admin wants it made again: what is known is of its previous generation.
            previous_ids = record.previous_ids | ({record.actual.class_id} if record.actual else set())
            record = replace(
                record, actual=None, intent=None, stale=False, gone=False, previous_ids=previous_ids, error=None
            )
        elif record.actual is not None:
            return record
        intent = record.intent
        fresh = intent is None
        if intent is None:
            intent = record.desired.name.mail_nickname
            record = await self._write_intent(record, intent)
        for _ in range(_TRIES):
            found = None if fresh else await self._tenant.find_class(intent)
            if found is not None and found.external_id == record.external_id:
                # Ours from a delivery that died before its row: what is in it by now, Graph must be asked.
                return await self._write_class(record, found.id, found.name, stale=True)
            if found is not None:
                # One without an externalId that was there before the intent is a stranger. One made since may be ours,
                # as replicas have it that have not heard of its externalId yet.
                stranger = found.external_id is not None or not _since(record, found.created_at)
                if stranger or not await self._attempt.wait_for_replication():
                    intent, fresh = following_nickname(intent), True
                    record = await self._write_intent(record, intent)
                continue
            name = ClassName(record.desired.name.display_name, intent)
            new = NewClass(name, record.external_id, record.desired.group_id, record.desired.description)
            try:
                class_id = await self._tenant.create_class(new)
            except NicknameTaken:
                if fresh:
                    fresh = False
                    continue
                deleted = await self._tenant.find_deleted(intent)
                if deleted is None:
                    if await self._attempt.wait_for_replication():
                        continue
                    raise Transient("Graph shows the holder of a nickname late", "it is delivered again") from None
                if _made_for(record, deleted):
                    gone = ActualClass(deleted.id, name, deleted.created_at)
                    return await self._attempt.write(replace(record, actual=gone, gone=True))
                intent, fresh = following_nickname(intent), True
                record = await self._write_intent(record, intent)
                continue
            self._attempt.note(created=True)
            return await self._write_class(record, class_id, name, stale=record.stale)
        raise GraphRefused(
            "NoFreeNickname",
            f"{_NICKNAMES} nicknames for this class are held by other groups",
            "rename the groups that hold them, or change the school's name identifier; the next sync tries again",
        )

    async def _write_intent(self, record: ClassRecord, intent: str) -> ClassRecord:
        intended = replace(
            record, intent=intent, intent_at=self._attempt.clock.now(), generation=record.desired.generation
        )
        return await self._attempt.write(intended)

    async def _write_class(self, record: ClassRecord, class_id: str, name: ClassName, *, stale: bool) -> ClassRecord:
        """The class id on the row, whatever else was written there meanwhile: nobody but this delivery knows it."""
        made = ActualClass(class_id, name, self._attempt.clock.now())
        try:
            return await self._attempt.write(replace(record, actual=made, stale=stale))
        except EtagConflict:
            now = await self._attempt.record()
            if now is not None and now.actual is None and not now.gone and now.generation == record.generation:
                await self._attempt.write(replace(now, actual=made, stale=stale or now.stale))
            raise

    async def _is_gone(self) -> bool:
        """After a 404: True if the class is really gone, which is on the row then; else a pause for the replicas."""
        record = await self._attempt.record()
        if record is None or record.actual is None:
            return False
        if not self._attempt.young(record) and not await self._tenant.class_exists(record.actual.class_id):
            await self._attempt.classes.write_drift(record.school, [Drift(record.key, gone=True)])
            return True
        await self._attempt.wait_for_replication()
        return False

    # --- on an admin's word

    async def _delete(self, record: ClassRecord) -> Outcome:
        """Never a class that the row does not name: one whose create is under way is found by its intent first."""
        if record.gone:
            return AlreadySo()
        if record.actual is None:
            found = await self._tenant.find_class(record.intent) if record.intent else None
            if found is None and record.intent_at and self._attempt.clock.now() - record.intent_at < REPLICATION:
                if await self._attempt.wait_for_replication():
                    raise EtagConflict
                raise Transient("a class that was just made may not be visible yet", "it is delivered again by itself")
            if found is None or found.external_id != record.external_id:
                await self._attempt.write(replace(record, gone=True, intent=None, error=None))
                return AlreadySo()
            record = await self._write_class(record, found.id, found.name, stale=True)
        try:
            await self._tenant.delete_class(actual_of(record).class_id)
        except NotThere:
            if self._attempt.young(record) and self._attempt.may_wait:
                raise
        else:
            self._attempt.note(deleted=True)
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
                        "create the class anew",
                    ) from None
            else:
                self._attempt.note(restored=True)
            record = await self._attempt.write(replace(record, gone=False, stale=True, error=None))
        if record.gone or record.actual is None or record.desired.ended:
            return self._attempt.outcome()
        return await self._reconcile(record)

    # --- the record

    async def _refuse(self, refusal: GraphRefused) -> Outcome:
        error = RowError(refusal.code, refusal.detail, refusal.remedy)
        if await self._write_stale(error):
            return Refused(error.code, error.remedy, self._attempt.applied())
        raise Transient("the refusal could not be written on the class row", "it is delivered again by itself")

    async def _write_half_done(self) -> None:
        """What was done stands in the history, though the rest has to wait for the next attempt."""
        if self._attempt.undocumented:
            await self._write_stale(None)

    async def _write_stale(self, error: RowError | None) -> bool:
        """After a half-done change `actual` is not to be trusted: the next one reads the class."""
        for _ in range(_ROUNDS):
            record = await self._attempt.record()
            if record is None:
                return False
            try:
                stale = record.stale or self._attempt.touched
                await self._attempt.write(replace(record, error=error or record.error, stale=stale))
            except EtagConflict:
                continue
            return True
        return False


def _made_for(record: ClassRecord, deleted: DeletedGroup) -> bool:
    """Whether a delivery that died before its row made this group, and somebody deleted it since.

    Any other deleted group that holds the nickname is known, was there before the intent, or has a name of its own: a
    class of a previous generation, of a former deployment, or somebody else's.
    """
    same_name = deleted.name.display_name == record.desired.name.display_name
    return same_name and deleted.id not in record.previous_ids and _since(record, deleted.created_at)


def _since(record: ClassRecord, moment: datetime) -> bool:
    """Whether that was since the intent was written, by clocks that may differ."""
    assert record.intent_at is not None, "the intent is written first"
    return moment >= record.intent_at - _CLOCK_SKEW
