"""One change made true in Graph and then recorded: the half of the desired / actual protocol that touches Graph.

The message says only that a class is out of step; the row says how. A message may come twice, late, or after its worker
died half-way, and a worker that lost its lock may still be at work. So each round reads the row, asks Graph what it
needs to know, makes the difference true, and writes `actual` on condition that nobody wrote the row meanwhile;
otherwise it goes round. Nothing here knows the MIS, and nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sync_core.errors import (
    AlreadySo,
    AlreadyThere,
    Applied,
    EtagConflict,
    GraphRefused,
    NicknameTaken,
    NotThere,
    Outcome,
    Refused,
    Transient,
)
from sync_core.events import Change, ChangeMembers, CreateClass, GrantOwners
from sync_core.model import ActualClass, AppliedDelta, ClassName, ClassRecord, Drift, RowError
from sync_core.naming import following_nickname
from sync_core.ports import MEMBERS_PER_WRITE, Clock, NewClass, StateStore, Tenant

REPLICATION = timedelta(minutes=15)
"""While a class is younger, a 404 may mean that a replica has not heard of it yet (Graph: directory replication)."""

_ROUNDS = 12
_NICKNAMES = 20
_LAG_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
_GONE = Refused(
    "ClassGone", "restore the class in Microsoft 365 within 30 days of its deletion; the next sync resumes it"
)


async def apply_change(change: Change, state: StateStore, tenant: Tenant, clock: Clock) -> Outcome:
    """Make `change` true and record it. Raises Transient: deliver it again.

    A class that is gone from Microsoft 365, or what Graph refuses for good, is recorded on the row and is an outcome.
    """
    return await _Delivery(change, state, tenant, clock).run()


class _Delivery:
    """One delivery of one change. What it did in Graph and has not written down yet stands in `_undocumented`."""

    def __init__(self, change: Change, state: StateStore, tenant: Tenant, clock: Clock) -> None:
        self._change = change
        self._state = state
        self._tenant = tenant
        self._clock = clock
        self._undocumented = AppliedDelta(change.run, change.cause, clock.now())
        self._documented: list[AppliedDelta] = []
        self._touched = False
        self._waits = 0
        self._members: frozenset[str] = frozenset()
        self._unknown: frozenset[str] = frozenset()

    async def run(self) -> Outcome:
        for _ in range(_ROUNDS):
            record = await self._state.class_record(self._change.school, self._change.key)
            if record is None:
                return AlreadySo()
            if record.gone:
                return _GONE
            try:
                return await self._reconcile(record)
            except EtagConflict:
                continue
            except NotThere:
                if await self._is_gone():
                    return _GONE
            except GraphRefused as refusal:
                return await self._refuse(refusal)
        raise Transient("the class row or Graph kept changing under this change", "it is delivered again by itself")

    async def _reconcile(self, record: ClassRecord) -> Outcome:
        record = await self._ensure_class(record)
        match self._change:
            case CreateClass():
                pass
            case GrantOwners():
                await self._grant_owners(record)
            case ChangeMembers():
                await self._change_members(record)
        if self._unknown:
            error = _unknown_people(len(self._unknown))
            return Refused(error.code, error.remedy, self._done())
        return self._done() if self._touched else AlreadySo()

    # --- the class itself

    async def _ensure_class(self, record: ClassRecord) -> ClassRecord:
        """The record with a class id. The intent is on the row before Graph is asked: a create is not idempotent."""
        if record.actual is not None:
            return record
        intent = record.intent
        if intent is None:
            intent = record.desired.name.mail_nickname
            record = await self._state.write_actual(replace(record, intent=intent))
        for _ in range(_NICKNAMES):
            found = await self._tenant.find_class(intent)
            if found is not None and found.external_id == record.external_id:
                # Ours from a delivery that died before its row: what is in it by now, Graph must be asked.
                return await self._write_class(record, found.id, found.name, stale=True)
            if found is not None and (found.external_id is not None or not await self._wait_for_replication()):
                intent = following_nickname(intent)
                record = await self._state.write_actual(replace(record, intent=intent))
            elif found is None:
                name = ClassName(record.desired.name.display_name, intent)
                try:
                    class_id = await self._tenant.create_class(
                        NewClass(name, record.external_id, record.desired.group_id)
                    )
                except NicknameTaken:
                    if await self._wait_for_replication():
                        continue
                    raise GraphRefused(
                        "NicknameHeld",
                        "the nickname is taken by a group that Graph does not show",
                        "restore or purge the group under Deleted groups in Entra ID; the next sync tries again",
                    ) from None
                self._note(created=True)
                return await self._write_class(record, class_id, name, stale=record.stale)
        raise GraphRefused(
            "NoFreeNickname",
            f"{_NICKNAMES} nicknames for this class are held by other groups",
            "rename the groups that hold them, or change the school's name identifier; the next sync tries again",
        )

    async def _write_class(self, record: ClassRecord, class_id: str, name: ClassName, *, stale: bool) -> ClassRecord:
        made = ActualClass(class_id, name, self._clock.now())
        return await self._write(replace(record, actual=made, stale=stale))

    async def _is_gone(self) -> bool:
        """After a 404: True if the class is really gone, which is on the row then; else a pause for the replicas."""
        record = await self._state.class_record(self._change.school, self._change.key)
        if record is None or record.actual is None:
            return False
        young = self._clock.now() - record.actual.created_at < REPLICATION
        if not young and not await self._tenant.class_exists(record.actual.class_id):
            await self._state.write_drift(self._change.school, [Drift(record.key, gone=True)])
            return True
        await self._wait_for_replication()
        return False

    async def _wait_for_replication(self) -> bool:
        """Pause for longer each time; False when this delivery has waited long enough."""
        if self._waits == len(_LAG_WAITS):
            return False
        await self._clock.sleep(_LAG_WAITS[self._waits])
        self._waits += 1
        return True

    # --- owners

    async def _grant_owners(self, record: ClassRecord) -> None:
        actual = _actual(record)
        owners = await self._tenant.owners(actual.class_id) if record.stale else None
        if owners is None and record.desired.owners <= actual.owners:
            return
        await self._write(replace(record, actual=await self._with_owners(record, owners), error=self._error()))

    async def _with_owners(self, record: ClassRecord, seen: frozenset[str] | None) -> ActualClass:
        """`actual` after granting whoever is wanted and no owner yet; `seen` are the owners if Graph was asked."""
        actual = _actual(record)
        held = actual.owners if seen is None else seen & (actual.owners | record.desired.owners)
        granted = actual.granted if seen is None else actual.granted & seen
        for person in sorted(record.desired.owners - held):
            try:
                await self._tenant.add_owner(actual.class_id, person)
            except NotThere:
                await self._person_not_there(record, person)
                continue
            except AlreadyThere:
                pass
            else:
                granted |= {person}
                self._note(owners_granted=person)
            held |= {person}
        return replace(actual, owners=held, granted=granted)

    # --- members

    async def _change_members(self, record: ClassRecord) -> None:
        actual = _actual(record)
        wanted = record.desired.members
        if actual.members == wanted and not record.stale and not self._touched:
            return
        just_made = actual.members is None and not record.stale and not self._touched
        self._members = frozenset() if just_made else await self._tenant.members(actual.class_id)
        owners: frozenset[str] = frozenset()
        try:
            await self._bind(record)
            if record.stale or self._members - wanted:
                owners = await self._tenant.owners(actual.class_id)
            if record.stale:
                actual = await self._with_owners(record, owners)
            await self._unbind(record, owners)
        except Transient:
            # What was done is recorded, though the rest has to wait for the next delivery.
            await self._write(replace(record, actual=replace(actual, members=self._members)))
            raise
        actual = replace(actual, members=wanted - self._unknown)
        await self._write(replace(record, actual=actual, stale=False, error=self._error()))

    async def _bind(self, record: ClassRecord) -> None:
        """Add who is missing, in writes as large as Graph takes; one refused for one person goes person by person."""
        class_id = _actual(record).class_id
        while missing := sorted(record.desired.members - self._members - self._unknown):
            chunk = missing[:MEMBERS_PER_WRITE]
            try:
                await self._bind_together(class_id, chunk)
            except AlreadyThere:
                self._members = await self._tenant.members(class_id)
                if self._members.isdisjoint(chunk) and not await self._wait_for_replication():
                    raise Transient("Graph shows members late", "it is delivered again by itself") from None
            except NotThere:
                for person in chunk:
                    try:
                        await self._bind_together(class_id, [person])
                    except AlreadyThere:
                        self._members |= {person}
                    except NotThere:
                        await self._person_not_there(record, person)

    async def _bind_together(self, class_id: str, people: Sequence[str]) -> None:
        await self._tenant.add_members(class_id, people)
        self._members |= frozenset(people)
        self._note(members_added=people)

    async def _unbind(self, record: ClassRecord, kept: frozenset[str]) -> None:
        """Remove who is not wanted, one by one (Graph has no other way), but nobody of `kept`."""
        class_id = _actual(record).class_id
        while strays := sorted(self._members - record.desired.members - kept):
            try:
                await self._tenant.remove_member(class_id, strays[0])
            except NotThere:
                # The class or only the member? What it holds now tells.
                self._members = await self._tenant.members(class_id)
                if strays[0] in self._members and not await self._wait_for_replication():
                    raise Transient("Graph shows members late", "it is delivered again by itself") from None
            else:
                self._members -= {strays[0]}
                self._note(members_removed=strays[0])

    async def _person_not_there(self, record: ClassRecord, person: str) -> None:
        """After a 404 for one person: he has no account any more, unless it is the class that is not there (yet)."""
        actual = _actual(record)
        young = self._clock.now() - actual.created_at < REPLICATION
        if (young and self._waits < len(_LAG_WAITS)) or not await self._tenant.class_exists(actual.class_id):
            raise NotThere
        self._unknown |= {person}

    # --- the record

    def _note(
        self,
        *,
        created: bool = False,
        members_added: Sequence[str] = (),
        members_removed: str | None = None,
        owners_granted: str | None = None,
    ) -> None:
        done = self._undocumented
        self._touched = True
        self._undocumented = replace(
            done,
            created=done.created or created,
            members_added=done.members_added | frozenset(members_added),
            members_removed=done.members_removed | ({members_removed} if members_removed else set()),
            owners_granted=done.owners_granted | ({owners_granted} if owners_granted else set()),
        )

    async def _write(self, record: ClassRecord) -> ClassRecord:
        """Write the row, and with it whatever was done in Graph since the last write. Raises EtagConflict."""
        done = self._undocumented
        written = await self._state.write_actual(record, None if done.empty else done)
        self._documented.append(done)
        self._undocumented = AppliedDelta(done.run, done.cause, done.at)
        return written

    def _done(self) -> Applied:
        return Applied(
            created=any(delta.created for delta in self._documented),
            owners_granted=sum(len(delta.owners_granted) for delta in self._documented),
            members_added=sum(len(delta.members_added) for delta in self._documented),
            members_removed=sum(len(delta.members_removed) for delta in self._documented),
        )

    async def _refuse(self, refusal: GraphRefused) -> Outcome:
        error = RowError(refusal.code, refusal.words, refusal.remedy)
        for _ in range(_ROUNDS):
            record = await self._state.class_record(self._change.school, self._change.key)
            if record is None:
                break
            try:
                # After a half-done change `actual` is not to be trusted: the next one reads the class.
                await self._write(replace(record, error=error, stale=record.stale or self._touched))
            except EtagConflict:
                continue
            return Refused(error.code, error.remedy, self._done())
        raise Transient("the refusal could not be written on the class row", "it is delivered again by itself")

    def _error(self) -> RowError | None:
        return _unknown_people(len(self._unknown)) if self._unknown else None


def _unknown_people(count: int) -> RowError:
    return RowError(
        "PersonNotFound",
        f"{count} of the people to add have no account in Microsoft 365 any more",
        "see the people without account in the next run of the school, and correct their accounts or the MIS",
    )


def _actual(record: ClassRecord) -> ActualClass:
    assert record.actual is not None, "the class is ensured first"
    return record.actual
