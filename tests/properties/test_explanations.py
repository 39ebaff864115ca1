"""Whatever the state of a class, an explanation names the cause that is responsible, and predicts the next night."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sync_core.admin.explain import explain_person_in
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.choices import ClassChoice, Follow
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import MisId, RunId
from sync_core.domain.permissions import PERMISSIONS
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.runs import Hold
from sync_core.errors import Conflict, NotFound
from sync_core.planning.explain.causes import Why
from sync_core.planning.explain.explanation import effects_of
from sync_core.planning.explain.headline import headline
from sync_core.planning.explain.model import Explanation, Next, Standing
from sync_core.planning.school_plan import plan_to_show
from tests.builders import SCHOOL, entra_id
from tests.fakes.memory_tenant import MemoryGroup
from tests.properties.decisions_world import (
    A_NEW_YEAR,
    A_NIGHT,
    BY_ADMINS,
    BY_CHOICE,
    BY_HAND,
    EVERYBODY,
    GROUPS,
    IN_THE_MIS,
    OF_ACCOUNTS,
    THAT_STOP,
    World,
    upn,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One account and one class of a world, before the night that was predicted.

    `owner` is the person for whom the account was made, and `person` whom the answer takes it for.
    """

    world: World
    group_id: str
    owner: str
    person: str
    record: ClassRecord
    class_: MemoryGroup | None
    holds: tuple[Hold, ...]
    pinned: bool
    choice: ClassChoice | None

    @property
    def group(self) -> MisGroup | None:
        """The group that the class follows: with another MIS id it is another group."""
        group = self.world.groups.get(self.group_id)
        return group if group and group.id == self.record.desired.group_id else None

    @property
    def account(self) -> bool:
        return entra_id(self.owner) in self.world.tenant.accounts

    @property
    def found(self) -> list[str]:
        """The accounts that have the value of this person in the MIS."""
        name = self.world.names.get(self.person)
        everybody = self.world.tenant.accounts.values()
        return [one.id for one in everybody if name and one.values[AccountProperty.UPN] == upn(name)]

    @property
    def seekers(self) -> set[str]:
        """The people in the MIS who have the user name of this account."""
        account = self.world.tenant.accounts.get(entra_id(self.owner))
        names = self.world.names.items()
        return {person for person, name in names if account and account.values[AccountProperty.UPN] == upn(name)}

    @property
    def granted(self) -> frozenset[str]:
        return self.record.actual.granted if self.record.actual else frozenset()

    @property
    def follows(self) -> Follow:
        return self.choice.follow if self.choice else Follow.MIS

    @property
    def extra(self) -> bool:
        """Whether an admin gave them the class, now or until a day that has passed."""
        return self.choice is not None and entra_id(self.owner) in self.choice.owners

    def listed(self, *roles: str) -> bool:
        return any(MisId(self.person) in getattr(self.group, role) for role in roles if self.group)

    def edited(self, present: bool) -> bool:
        changed = {(person, has) for group, _, person, has in self.world.by_hand if group == self.group_id}
        return (self.owner, present) in changed

    def missing_permission(self) -> bool:
        granted = self.world.tenant.granted
        return granted is not None and len(granted.roles) < len(PERMISSIONS)

    @property
    def members(self) -> frozenset[str]:
        return frozenset(self.class_.members if self.class_ else ())

    @property
    def owners(self) -> frozenset[str]:
        return frozenset(self.class_.owners if self.class_ else ())

    @property
    def there(self) -> bool:
        return entra_id(self.owner) in self.members | self.owners

    @property
    def has_both_roles(self) -> bool:
        return entra_id(self.owner) in self.members & self.owners

    @property
    def stopped(self) -> bool:
        return not self.world.settings.enabled or self.missing_permission()

    @property
    def rejected(self) -> bool:
        """Whether the feed may be: it is torn, or has no teacher any more."""
        return self.world.torn or not any(group.teachers for group in self.world.groups.values())


EVENTS = IN_THE_MIS | OF_ACCOUNTS | BY_ADMINS | BY_CHOICE | BY_HAND | THAT_STOP | A_NIGHT | A_NEW_YEAR
RESPONSIBLE: dict[Why, Callable[[Case], bool]] = {
    Why.ADDED_BY_SYNC: lambda case: case.there or case.class_ is None,
    Why.REMOVED_BY_SYNC: lambda case: not case.has_both_roles,
    Why.ADDED_UNRECORDED: lambda case: case.there,
    Why.REMOVED_UNRECORDED: lambda case: not case.has_both_roles,
    Why.WANTED: lambda case: (
        case.pinned
        or case.extra
        or any(replace(case, person=one).listed("students", "teachers") for one in case.seekers)
    ),
    Why.ACCOUNT_MISSING: lambda case: not case.account,
    Why.ADDED_BY_HAND: lambda case: case.edited(True),
    Why.REMOVED_BY_HAND: lambda case: case.edited(False),
    Why.NEVER_ADDED: lambda case: not case.has_both_roles,
    Why.NOT_SHOWN: lambda case: (
        case.world.tenant.hides_members or (case.class_ is not None and not case.class_.members)
    ),
    Why.ACCOUNT_DELETED: lambda case: not case.account,
    Why.CLASS_NOT_MADE: lambda case: case.record.actual is None,
    Why.CLASS_DELETED: lambda case: case.record.desired.deleted,
    Why.CLASS_GONE: lambda case: case.class_ is None or case.record.gone,
    Why.CLASS_NOT_FOUND: lambda case: case.class_ is None,
    Why.RULES_UNKNOWN: lambda case: case.stopped or case.rejected,
    Why.PINNED_OUT: lambda case: case.pinned,
    Why.PINNED: lambda case: case.pinned or case.record.desired.pinned,
    Why.GROUP_ENDED: lambda case: case.group is None,
    Why.ENDED: lambda case: (
        case.record.desired.ended
        or case.follows is Follow.ENDED
        or case.group is None
        or case.world.chosen.get("mis") == "scholarpack"
    ),
    Why.YEAR_ENDED: lambda case: case.record.desired.retired,
    Why.MAY_BE_CONTINUED: lambda case: (
        case.group is None
        and any(case.record.key == part.continues for hold in case.holds for part in hold.classes)
        and (case.world.chosen["rollover"] in ("reuse", "ask") or case.follows is Follow.TWO_YEARS)
    ),
    Why.NOT_EXTRACTED: lambda case: case.world.chosen.get("mis") == "scholarpack",
    Why.ENDED_BY_CHOICE: lambda case: case.follows is Follow.ENDED,
    Why.GRANT_OVER: lambda case: case.extra,
    Why.NO_PERSON: lambda case: not case.seekers,
    Why.NOT_LISTED: lambda case: case.group is not None and not case.listed("students", "teachers"),
    Why.NOT_LISTED_SINCE: lambda case: case.group is not None and not case.listed("students", "teachers"),
    Why.NOT_MAIN_TEACHER: lambda case: (
        case.listed("teachers")
        and case.group is not None
        and case.group.teachers[0] != case.person
        and case.world.chosen.get("teaching_owners", "main") == "main"
    ),
    Why.NO_TEACHER_OWNS: lambda case: (
        case.listed("teachers") and case.group is not None and case.group.type is GroupType.REGISTRATION
    ),
    Why.NO_VALUE: lambda case: not case.world.names[case.person],
    Why.NO_ACCOUNT: lambda case: case.listed("students", "teachers") and not case.found,
    Why.SEVERAL_ACCOUNTS: lambda case: len(case.found) > 1,
    Why.SHARED_ACCOUNT: lambda case: list(case.world.names.values()).count(case.world.names[case.person]) > 1,
    Why.OTHER_ACCOUNT: lambda case: case.found != [entra_id(case.owner)],
    Why.DELETED: lambda case: case.record.desired.deleted,
    Why.GONE: lambda case: case.record.gone or case.class_ is None,
    Why.NOT_PLANNED: lambda case: case.stopped,
    Why.HELD: lambda case: any(case.record.key in hold.keys for hold in case.holds),
    Why.REFUSED: lambda case: case.record.error is not None,
    Why.OWNER_NOT_OURS: lambda case: entra_id(case.owner) not in case.granted,
    Why.OWNERS_KEPT: lambda case: case.world.chosen.get("departed_owners", "keep") == "keep",
    Why.OWNERS_UNCERTAIN: lambda case: case.world.chosen.get("departed_owners") == "revoke",
    Why.NO_TEACHER_LISTED: lambda case: case.group is not None and not case.group.teachers,
    Why.LAST_OWNER: lambda case: case.class_ is not None and entra_id(case.owner) in case.class_.owners,
}
"""What must be so in the world if a sentence names the cause."""

NAMED = {
    Why.NOT_MAIN_TEACHER: "teaching_owners",
    Why.NO_ACCOUNT: "userPrincipalName",
    Why.SEVERAL_ACCOUNTS: "userPrincipalName",
    Why.SHARED_ACCOUNT: "userPrincipalName",
    Why.OWNERS_KEPT: "departed_owners",
    Why.NOT_EXTRACTED: "mis in the school's settings",
    Why.HELD: "hold ",
    Why.MAY_BE_CONTINUED: "it may continue class ",
    Why.PINNED: "pinned",
    Why.PINNED_OUT: "pin",
    Why.REFUSED: "refused",
    Why.NOT_SHOWN: "Member.Read.Hidden",
}
"""The setting, column or property that a sentence must name."""


def check(case: Case, answer: Explanation) -> None:
    text = "\n".join(answer.lines)
    for why in answer.causes:
        assert RESPONSIBLE[why](case), (why, text)
        assert NAMED.get(why, "") in text, (why, text)
    for standing, people in ((answer.member, case.members), (answer.owner, case.owners)):
        assert standing.there in (entra_id(case.owner) in people, None), text
    for standing, wanted in ((answer.member, answer.wanted is not None),):
        assert standing.next_why or standing.next is not Next.HELD, text
        if standing.there is False and wanted and standing.next is Next.STAYS:
            assert standing.next_why, text
    check_headline(answer)


def check_headline(answer: Explanation) -> None:
    """It names a cause of the explanation, says where the person is, and announces what the next sync does."""
    assert answer.decides in answer.causes
    sentence = headline(answer, "WHO", "CLASS")
    if answer.member.there is None:
        assert sentence.startswith("Whether WHO is in CLASS is not known, ")
        return
    place = "is an owner of" if answer.owner.there else "is in" if answer.member.there else "is not in"
    assert sentence.startswith(f"WHO {place} CLASS"), sentence
    announced = {"adds them", "removes them", "makes them an owner", "revokes their ownership"}
    assert {text for text in announced if text in sentence} == set(effects_of(answer.member, answer.owner)), sentence
    held = Next.HELD in (answer.member.next, answer.owner.next)
    assert held or ("until an admin decides" not in sentence), sentence


def predicted(standing: Standing) -> bool | None:
    """Whether the person has the role after the next night, as predicted; None if that is not known."""
    if standing.there is None:
        return None
    return {Next.COMES: True, Next.GOES: False}.get(standing.next, standing.there)


async def run(events: list[tuple[Any, ...]]) -> None:
    world = World()
    await world.happen([("night",), *events])
    await world.start_night(RunId("refresh"))
    world.outbox.requests.clear()
    world.outbox.changes.clear()
    planned, settings = await plan_to_show(SCHOOL.id, world.services.reading), world.settings
    holds, pins = tuple(planned.open_holds), await world.state.pins(SCHOOL.id)
    choices = (await world.state.choices(SCHOOL.id)).classes
    answers: dict[tuple[str, str], Explanation] = {}
    for group in GROUPS:
        for person in EVERYBODY:
            record = await world.record(group)
            if record is None:
                continue
            try:
                answer = await explain_person_in(planned, settings, record.key, entra_id(person), world.services)
            except (NotFound, Conflict):
                continue
            class_ = await world.in_tenant(group)
            assert answer.account == entra_id(person)
            pinned, choice = record.key in pins, choices.get(record.key)
            check(Case(world, group, person, answer.person, record, class_, holds, pinned, choice), answer)
            answers[group, person] = answer
    world.tenant.guests.clear()
    await world.happen([("night",)])
    if world.tenant.hides_members:
        return
    for (group, person), answer in answers.items():
        class_ = await world.in_tenant(group)
        if class_ is None or entra_id(person) not in world.tenant.accounts:
            continue
        for standing, people in ((answer.member, class_.members), (answer.owner, class_.owners)):
            if (expected := predicted(standing)) is not None:
                assert (entra_id(person) in people) is expected, (group, person, answer.lines)


@hypothesis_settings(max_examples=200)
@given(st.lists(EVENTS, max_size=10))
@example([("new_year", "reuse"), ("hand_member", "G1", "a", False)])
@example([("new_year", "reuse"), ("hand_member", "G1", "t", False)])
@example([("invite", "t"), ("hand_member", "G1", "t", False), ("night",)])  # an owner who is not a member
@example([("set_teachers", "G1", ()), ("set_teachers", "G2", ()), ("set_teachers", "R1", ())])  # a feed without staff
def test_a_sentence_names_the_cause_that_is_responsible(events: list[tuple[Any, ...]]) -> None:
    asyncio.run(run(events))
