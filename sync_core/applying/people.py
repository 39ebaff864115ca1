"""Owners and members of one class made as its row wants them: strays go, manual owners stay, in the fewest writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sync_core.applying.attempt import Attempt, actual_of
from sync_core.domain.classes import ActualClass, ClassRecord, RowError
from sync_core.errors import AlreadyThere, NotThere, Transient
from sync_core.graph.port import MEMBERS_PER_WRITE, REMOVALS_PER_REQUEST


class People:
    """The people of one class, as far as one delivery knows them. `unknown` have no account any more."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._tenant = attempt.tenant
        self._members: frozenset[str] = frozenset()
        self._unknown: frozenset[str] = frozenset()

    def error(self) -> RowError | None:
        """What to write on the row for those who could not be added."""
        if not self._unknown:
            return None
        return RowError(
            "PersonNotFound",
            f"{len(self._unknown)} of the people to add have no account in Microsoft 365 any more",
            "see the people without account in the next run of the school, and correct their accounts or the MIS",
        )

    # --- owners

    async def grant_owners(self, record: ClassRecord) -> None:
        actual = actual_of(record)
        owners = await self._tenant.owners(actual.class_id) if record.stale else None
        if owners is None and record.desired.owners <= actual.owners:
            return
        granted = await self._with_owners(record, owners)
        await self._attempt.write(replace(record, actual=granted, error=self.error()))

    async def _with_owners(self, record: ClassRecord, seen: frozenset[str] | None) -> ActualClass:
        """`actual` after granting whoever is wanted and no owner yet; `seen` are the owners if Graph was asked."""
        actual = actual_of(record)
        held = actual.owners if seen is None else seen & (actual.owners | record.desired.owners)
        granted = actual.granted if seen is None else actual.granted & seen
        for person in sorted(record.desired.owners - held):
            try:
                await self._tenant.add_owner(actual.class_id, person)
            except NotThere:
                await self._note_unknown([person])
                continue
            except AlreadyThere:
                pass
            else:
                granted |= {person}
                self._attempt.note(owners_granted=[person])
            held |= {person}
        return replace(actual, owners=held, granted=granted)

    async def revoke_owners(self, record: ClassRecord) -> None:
        """Only whom we granted, only if the school chose so, and never the last owner.

        Their membership is left to the membership change that follows: the row is stale until then.
        """
        actual = actual_of(record)
        leaving = actual.granted - record.desired.owners if record.desired.revoke else frozenset()
        if not leaving:
            return
        owners = await self._tenant.owners(actual.class_id)
        for person in sorted(leaving & owners):
            if len(owners) == 1:
                break
            try:
                await self._tenant.remove_owner(actual.class_id, person)
            except NotThere:
                owners = await self._tenant.owners(actual.class_id)
                continue
            self._attempt.note(owners_revoked=[person])
            owners -= {person}
        left = replace(actual, owners=actual.owners & owners, granted=actual.granted & owners)
        await self._attempt.write(replace(record, actual=left, stale=True))

    # --- members

    async def change_members(self, record: ClassRecord) -> None:
        actual = actual_of(record)
        wanted = record.desired.members
        if actual.members == wanted and not record.stale and not self._attempt.touched:
            return
        just_made = actual.members is None and not record.stale and not self._attempt.touched
        self._members = frozenset() if just_made else await self._tenant.members(actual.class_id)
        await self._bind(record)
        owners: frozenset[str] = frozenset()
        if record.stale or self._members - wanted:
            owners = await self._tenant.owners(actual.class_id)
        if record.stale:
            actual = await self._with_owners(record, owners)
        await self._unbind(record, owners)
        actual = replace(actual, members=wanted - self._unknown)
        await self._attempt.write(replace(record, actual=actual, stale=False, error=self.error()))

    async def _bind(self, record: ClassRecord) -> None:
        """Add who is missing, in writes as large as Graph takes: one read tells why it took none of them."""
        class_id = actual_of(record).class_id
        while missing := sorted(record.desired.members - self._members - self._unknown):
            chunk = missing[:MEMBERS_PER_WRITE]
            try:
                await self._tenant.add_members(class_id, chunk)
            except AlreadyThere:
                self._members = await self._tenant.members(class_id)
                if self._members.isdisjoint(chunk) and not await self._attempt.wait_for_replication():
                    raise Transient("Graph shows members late", "it is delivered again by itself") from None
            except NotThere:
                await self._note_unknown(chunk)
            else:
                self._members |= frozenset(chunk)
                self._attempt.note(members_added=chunk)

    async def _unbind(self, record: ClassRecord, kept: frozenset[str]) -> None:
        """Remove who is not wanted, but nobody of `kept`."""
        class_id = actual_of(record).class_id
        while strays := sorted(self._members - record.desired.members - kept)[:REMOVALS_PER_REQUEST]:
            done = await self._tenant.remove_members(class_id, strays)
            self._members -= done.removed
            self._attempt.note(members_removed=done.removed)
            if done.failure:
                raise done.failure
            if done.not_there:
                # The class or only the members? What it holds now tells.
                self._members = await self._tenant.members(class_id)
                if self._members & done.not_there and not await self._attempt.wait_for_replication():
                    raise Transient("Graph shows members late", "it is delivered again by itself")

    async def _note_unknown(self, people: Sequence[str]) -> None:
        """After a 404 for some people: those who have no account (any more). If all have, it was for the class."""
        lacking = frozenset(people) - await self._tenant.known_people(people)
        if not lacking:
            raise NotThere
        self._unknown |= lacking
