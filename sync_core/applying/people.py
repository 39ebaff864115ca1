"""Brings owners and members of one class in line with its row, in the fewest writes; manual owners stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sync_core.applying.attempt import Attempt, actual_of
from sync_core.domain.classes.record import ActualClass, ClassRecord
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.ids import AccountId, ClassId
from sync_core.errors import AlreadyThere, GraphDenied, GraphRefused, MembersHidden, NotThere, Transient
from sync_core.graph.port import MEMBERS_PER_WRITE, REMOVALS_PER_REQUEST


class People:
    """The people of one class, as far as one delivery knows them.

    `_unknown` have no account any more. `_refused` are those whom Graph refuses, each with its reason. `_granted` are
    those whom this delivery made owners.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._tenant = attempt.tenant
        self._members: frozenset[AccountId] = frozenset()
        self._unknown: frozenset[AccountId] = frozenset()
        self._refused: dict[AccountId, GraphRefused] = {}
        self._granted: frozenset[tuple[ClassId, AccountId]] = frozenset()

    def error(self) -> RowError | None:
        """The error for the row if some people could not be added."""
        if self._refused:
            person, refusal = min(self._refused.items())
            return RowError(
                "PersonRefused",
                f"Microsoft 365 refused {len(self._refused)} of the people to add; {person}: {refusal.detail}",
                refusal.remedy,
            )
        if not self._unknown:
            return None
        return RowError(
            "PersonNotFound",
            f"{len(self._unknown)} of the people to add have no account in Microsoft 365 any more",
            "find the people without an account in the next run of the school; correct their accounts or the MIS",
        )

    @property
    def _left_out(self) -> frozenset[AccountId]:
        return self._unknown | self._refused.keys()

    def claim_grants(self, record: ClassRecord) -> ClassRecord:
        """The row that was written meanwhile, with the owners whom this delivery made owners as granted by the sync.

        Who wrote it may only have seen that they are owners already, as somebody is by hand, and would keep them for
        ever. Of a stale row, the owners are read before anything follows from it.
        """
        if record.actual is None:
            return record
        ours = frozenset(person for class_id, person in self._granted if class_id == record.actual.class_id)
        granted = record.actual.granted | (ours if record.stale else ours & record.actual.owners)
        return replace(record, actual=replace(record.actual, granted=granted))

    async def grant_owners(self, record: ClassRecord) -> ClassRecord:
        record = await self._announced(record)
        actual = actual_of(record)
        owners = await self._tenant.owners(actual.class_id) if record.stale else None
        if owners is None and record.desired.owners <= actual.owners:
            return record
        granted = await self._with_owners(record, owners)
        return await self._attempt.write(replace(record, actual=granted, error=self.error()))

    async def _announced(self, record: ClassRecord) -> ClassRecord:
        """The row with the extra owners whom the sync is about to make owners, on record before it does.

        Otherwise an access that is to end on a day would stay if a delivery stopped between Graph and the row. Who is
        an owner already was made one by hand.
        """
        actual = actual_of(record)
        extra = record.desired.extra_owners - actual.owners - actual.granted
        granting = extra - await self._tenant.owners(actual.class_id) if extra else extra
        if not granting:
            return record
        return await self._attempt.write(replace(record, actual=replace(actual, granted=actual.granted | granting)))

    async def _with_owners(self, record: ClassRecord, seen: frozenset[AccountId] | None) -> ActualClass:
        """Grant the missing owners and return the new `actual`; `seen` are the owners in Graph, if they were read."""
        actual = actual_of(record)
        owners = actual.owners if seen is None else seen & (actual.owners | record.desired.owners)
        granted = actual.granted if seen is None else actual.granted & seen
        for person in sorted(record.desired.owners - owners):
            try:
                if await self._add_owner(record, person):
                    self._granted |= {(actual.class_id, person)}
                    self._attempt.note("owners_granted", [person])
                if (actual.class_id, person) in self._granted:
                    granted |= {person}
            except GraphDenied:
                raise
            except GraphRefused as refusal:
                self._refused[person] = refusal
            if person not in self._left_out:
                owners |= {person}
        return replace(actual, owners=owners, granted=granted)

    async def _add_owner(self, record: ClassRecord, person: AccountId) -> bool:
        """Whether the person became an owner now: not who is one already, nor who has no account, which is noted.

        Raises NotThere for a class that Graph does not show, and GraphRefused for a person whom it does not find as a
        teacher, although it shows the class and the account. Of a young class, a replica may not know the class yet.
        """
        class_id = actual_of(record).class_id
        while True:
            try:
                await self._tenant.add_owner(class_id, person)
            except AlreadyThere:
                return False
            except NotThere:
                if not await self._tenant.known_people([person]):
                    self._unknown |= {person}
                    return False
                if self._attempt.young(record) and await self._attempt.wait_for_replication():
                    continue
                if not await self._tenant.class_exists(class_id):
                    raise
                raise _no_teacher() from None
            return True

    async def revoke_owners(self, record: ClassRecord) -> ClassRecord:
        """Revoke only owners whom the sync granted, only if the row says so, and never the last owner.

        The membership change that follows decides on their membership: the row is stale until then.
        """
        actual = actual_of(record)
        leaving = record.desired.revoked_of(actual.granted)
        if not leaving:
            return record
        owners = await self._revoke(actual.class_id, leaving)
        remaining = replace(actual, owners=actual.owners & owners, granted=actual.granted & owners)
        return await self._attempt.write(replace(record, actual=remaining, stale=True))

    async def end_grants(self, record: ClassRecord) -> ClassRecord:
        """In a class that has ended, revoke the owners whose grants are over, who leave it: nobody else changes."""
        actual = actual_of(record)
        leaving = record.desired.revoked_of(actual.granted)
        if not leaving:
            return record
        owners = await self._revoke(actual.class_id, leaving)
        members = actual.members
        left = sorted(leaving - owners - record.desired.members)
        for start in range(0, len(left), REMOVALS_PER_REQUEST):
            result = await self._tenant.remove_members(actual.class_id, left[start : start + REMOVALS_PER_REQUEST])
            self._attempt.note("members_removed", result.removed)
            if result.failure:
                raise result.failure
        members = members - frozenset(left) if members is not None else None
        remaining = replace(actual, members=members, owners=actual.owners & owners, granted=actual.granted & owners)
        return await self._attempt.write(replace(record, actual=remaining))

    async def _revoke(self, class_id: ClassId, leaving: frozenset[AccountId]) -> frozenset[AccountId]:
        """Revoke these owners, but never the last one. Returns the owners that are left."""
        owners = await self._tenant.owners(class_id)
        for person in sorted(leaving & owners):
            if len(owners) == 1:
                break
            try:
                await self._tenant.remove_owner(class_id, person)
            except NotThere:
                owners = await self._tenant.owners(class_id)
                continue
            self._attempt.note("owners_revoked", [person])
            owners -= {person}
        return owners

    async def change_members(self, record: ClassRecord) -> ClassRecord:
        actual = actual_of(record)
        desired = record.desired.members
        if actual.members == desired and not record.stale and not self._attempt.touched:
            return record
        just_created = actual.members is None and not record.stale and not self._attempt.touched
        self._members, owners = (frozenset(), None) if just_created else await self._seen(record)
        await self._add_missing(record)
        if owners is None:
            owners = await self._tenant.owners(actual.class_id) if self._members - desired else frozenset()
        if record.stale:
            record = await self._announced(record)
            actual = await self._with_owners(record, owners)
        await self._remove_strays(record, owners)
        actual = replace(actual, members=desired - self._left_out)
        owners_missing = record.desired.owners - actual.owners
        error = self.error() or (record.error if owners_missing else None)
        return await self._attempt.write(replace(record, actual=actual, stale=False, error=error))

    async def _seen(self, record: ClassRecord) -> tuple[frozenset[AccountId], frozenset[AccountId] | None]:
        """The members that Graph shows, and the owners if they are needed as far as the row tells, read with them."""
        actual = actual_of(record)
        if record.stale or (actual.members or frozenset()) - record.desired.members:
            return await self._tenant.members_and_owners(actual.class_id)
        return await self._tenant.members(actual.class_id), None

    async def follow_year_end(self, record: ClassRecord) -> ActualClass:
        """Take out, or put back, the people whom a year end is about, and nobody else. Returns the new `actual`.

        Who was added or removed by hand stays as they are, and so does a pupil who became an owner.
        """
        actual, ending = actual_of(record), record.desired.year_end
        if ending is None or not ending.pupils:
            return actual
        before = actual.members or frozenset()
        self._members = await self._tenant.members(actual.class_id)
        if ending.taken_back:
            await self._add_missing(replace(record, desired=replace(record.desired, members=ending.pupils)))
            return replace(actual, members=before | (ending.pupils - self._left_out))
        others = self._members - ending.pupils
        await self._remove_strays(record, others | await self._tenant.owners(actual.class_id))
        return replace(actual, members=before - ending.pupils)

    async def _add_missing(self, record: ClassRecord) -> None:
        """Add the missing people in the largest writes; if Graph rejects a whole write, one read shows why."""
        class_id = actual_of(record).class_id
        while missing := sorted(record.desired.members - self._members - self._left_out):
            chunk = missing[:MEMBERS_PER_WRITE]
            try:
                result = await self._tenant.add_members(class_id, chunk)
            except AlreadyThere:
                await self._see_members(record, chunk)
            except NotThere:
                await self._note_unknown(chunk)
            else:
                self._members |= result.added | result.already
                self._attempt.note("members_added", result.added)
                self._refused |= result.refused
                if result.failure:
                    raise result.failure
                if result.not_there:
                    await self._note_unknown(sorted(result.not_there))

    async def _see_members(self, record: ClassRecord, added: Sequence[AccountId]) -> None:
        """After Graph said that some of `added` are members, read who. Raises MembersHidden if it shows none of them.

        Of a young class, a replica may not show the members yet.
        """
        self._members = await self._tenant.members(actual_of(record).class_id)
        if not self._members.isdisjoint(added):
            return
        if not self._attempt.young(record):
            raise MembersHidden
        if not await self._attempt.wait_for_replication():
            raise Transient("Graph does not show added members yet", "the change is retried")

    async def _remove_strays(self, record: ClassRecord, kept: frozenset[AccountId]) -> None:
        """Remove everybody who is not desired, except `kept`."""
        class_id = actual_of(record).class_id
        while strays := sorted(self._members - record.desired.members - kept)[:REMOVALS_PER_REQUEST]:
            result = await self._tenant.remove_members(class_id, strays)
            self._members -= result.removed
            self._attempt.note("members_removed", result.removed)
            if result.failure:
                raise result.failure
            if result.not_there:
                # The 404 may mean the class or the people: a read shows which.
                self._members = await self._tenant.members(class_id)
                if self._members & result.not_there and not await self._attempt.wait_for_replication():
                    raise Transient("Graph still shows removed members", "the change is retried")

    async def _note_unknown(self, people: Sequence[AccountId]) -> None:
        """After a 404, note the people who have no account. If all have one, the class is missing: raises NotThere."""
        unknown = frozenset(people) - await self._tenant.known_people(people)
        if not unknown:
            raise NotThere
        self._unknown |= unknown


def _no_teacher() -> GraphRefused:
    return GraphRefused(
        "TeacherNotFound",
        "Microsoft 365 has the account, and does not find it as a teacher",
        "check that the person has an education licence, which Microsoft 365 may require of a teacher; the next sync "
        "tries again",
    )
