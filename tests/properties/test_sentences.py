"""The table of an explanation: a state of the class, and the sentence that names its cause."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.admin.explain import explain_person
from sync_core.domain.classes.choices import Follow
from sync_core.domain.ids import ClassKey, RunId
from sync_core.errors import NotFound
from sync_core.messaging.messages import Decision
from sync_core.planning.explain.causes import SENTENCES, Why
from sync_core.planning.explain.model import Explanation
from sync_core.planning.naming.class_keys import class_key
from tests.builders import entra_id
from tests.properties.decisions_world import World, upn

Event = tuple[Any, ...]


def calendar(**dates: str) -> Event:
    return ("choose", "calendar", dates)


REVOKE: Event = ("choose", "departed_owners", "revoke")
# G1 is taught by t and has a, b, c and d; R1 is the form of a to f, whose tutor is t.
CASES: list[tuple[Why, list[Event], str, str, str]] = [
    (
        Why.ADDED_BY_SYNC,
        [],
        "G1",
        "a",
        "in the class since 07 Sep 2026 13:00 UTC, by nightly run night 1: the MIS lists",
    ),
    (Why.REMOVED_BY_SYNC, [("set_pupils", "G1", frozenset("abc")), ("night",)], "G1", "d", "not in the class since"),
    (Why.ADDED_BY_HAND, [("hand_member", "G1", "x", True)], "G1", "x", "in the class, added by hand in Microsoft 365"),
    (Why.REMOVED_BY_HAND, [("hand_member", "G1", "a", False)], "G1", "a", "not in the class, removed by hand"),
    (Why.NEVER_ADDED, [], "G1", "x", "not in the class, and no sync on record added them"),
    (Why.NOT_SHOWN, [("hide", True)], "G1", "a", "a sync recorded 5 people in it, and them among these: whether"),
    (Why.ACCOUNT_DELETED, [("delete_account", "a")], "G1", "a", "does not have their account any more; added by"),
    (Why.CLASS_DELETED, [("delete", "G1")], "G1", "a", "not in the class: the class was deleted at an admin's request"),
    (
        Why.CLASS_GONE,
        [("hand_delete", "G1", True), ("night",)],
        "G1",
        "a",
        "not in the class: the class was deleted in Microsoft",
    ),
    (Why.CLASS_NOT_FOUND, [("hand_delete", "G1", True), ("grant", False)], "G1", "a", "no night has noticed yet"),
    (Why.RULES_UNKNOWN, [("tear", True)], "G1", "a", "the rules could not be applied: classes.csv is torn"),
    (Why.WANTED, [], "G1", "t", "the rules want them in it: the MIS lists person t as a teacher of its group"),
    (
        Why.PINNED_OUT,
        [("set_pupils", "G1", frozenset("abcde")), ("night",), ("undo",)],
        "G1",
        "e",
        "before run night 2",
    ),
    (Why.GROUP_ENDED, [("end", "G1")], "G1", "a", "teaching group G1 of academic year 2026 is not in the MIS"),
    (
        Why.NOT_EXTRACTED,
        [("choose", "mis", "scholarpack")],
        "G1",
        "a",
        "teaching groups are not extracted from Scholar",
    ),
    (Why.NO_PERSON, [("rename", "x", "elsewhere")], "G1", "x", "no person in the MIS finds this account"),
    (Why.NOT_LISTED, [], "G1", "e", "the MIS does not list them in teaching group G1"),
    (
        Why.NOT_LISTED_SINCE,
        [("set_pupils", "G1", frozenset("abc"))],
        "G1",
        "d",
        "it did when nightly run night 1 added",
    ),
    (Why.NOT_MAIN_TEACHER, [("set_teachers", "G1", ("t", "u"))], "G1", "u", "teaching_owners is main in the school's"),
    (Why.NO_TEACHER_OWNS, [], "R1", "t", "it is a registration group, and no teacher owns a class of such a group"),
    (Why.NO_VALUE, [("rename", "a", "")], "G1", "a", "the MIS has no value by which students find their accounts"),
    (
        Why.NO_ACCOUNT,
        [("rename", "a", "q")],
        "G1",
        "a",
        f"no account matches; looked for {upn('q')} as userPrincipalName",
    ),
    (Why.SEVERAL_ACCOUNTS, [("move_account", "x", "e")], "G2", "x", f"looked for {upn('e')} as userPrincipalName"),
    (Why.SHARED_ACCOUNT, [("rename", "b", "e")], "R1", "b", "matches, and it also matches MIS person e"),
    (
        Why.OTHER_ACCOUNT,
        [("rename", "a", "x")],
        "G1",
        "a",
        f"their account is {entra_id('x')} now, and this is another",
    ),
    (
        Why.ENDED_BY_CHOICE,
        [("follow", "G1", Follow.ENDED)],
        "G1",
        "a",
        "an admin ended the class, whatever the MIS has",
    ),
    (
        Why.GRANT_OVER,
        [("extra", "G1", "x", 5), ("night",), ("extra", "G1", "x", -1)],
        "G1",
        "x",
        f"they were an extra owner until 12 Sep 2026, given by admin {entra_id('admin')}, and that is over",
    ),
    (Why.DELETED, [("delete", "G1")], "G1", "a", "the next sync leaves it as it is; an admin deleted the class"),
    (
        Why.GONE,
        [("hand_delete", "G1", True)],
        "G1",
        "a",
        "the class is gone from Microsoft 365 until an admin restores",
    ),
    (Why.ENDED, [("end", "G1")], "G1", "a", "its group is no longer in the MIS, or an admin ended"),
    (
        Why.YEAR_ENDED,
        [("end", "G1"), ("night",), ("end_year", "G1")],
        "G1",
        "a",
        "the next sync leaves it as it is; an admin ended the year of the class, and it stays as it is until that is",
    ),
    (
        Why.PINNED,
        [("set_pupils", "G1", frozenset("abcde")), ("night",), ("undo",)],
        "G1",
        "a",
        "until an admin releases it",
    ),
    (
        Why.MAY_BE_CONTINUED,
        [("new_year", "reuse")],
        "G1",
        "a",
        "the class stays as it is until an admin decides whether another group continues it: hold ",
    ),
    (
        Why.CLASS_NOT_YET,
        [calendar(first_day="2027-09-02", teachers_in_from="2027-08-30"), ("turn", "new")],
        "G1",
        "a",
        "leaves it as it is; next year's classes are made on 30 August 2027, with their owners",
    ),
    (
        Why.PUPILS_NOT_YET,
        [calendar(first_day="2027-09-02", pupils_in_from="2027-09-03"), ("turn", "new"), ("night",)],
        "G1",
        "a",
        "leaves it as it is; pupils come into next year's classes from 3 September 2027, and until then they stay",
    ),
    (
        Why.YEAR_OVER,
        [calendar(last_day="2026-09-06", first_day="2027-09-02"), ("set_pupils", "G1", frozenset("abc")), ("night",)],
        "G1",
        "d",
        "leaves it as it is; the year of the class ended on 6 September 2026, so nobody joins or leaves it",
    ),
    (
        Why.CALENDAR_PAUSE,
        [
            calendar(pause_from="2026-09-01", pause_until="2026-09-30"),
            ("set_pupils", "G1", frozenset("abc")),
            ("night",),
        ],
        "G1",
        "d",
        "leaves it as it is; nobody leaves a class before 30 September 2026 has passed: the school's calendar has a",
    ),
    (Why.NOT_PLANNED, [("choose", "enabled", False)], "G1", "a", "leaves it as it is; the school is paused"),
    (
        Why.ACCOUNT_MISSING,
        [("set_pupils", "G1", frozenset()), ("delete_account", "a")],
        "G1",
        "a",
        "does not have their",
    ),
    (Why.HELD, [("set_pupils", "G1", frozenset("a"))], "G1", "b", "would lose 3 of 4 students"),
    (
        Why.REFUSED,
        [("invite", "e"), ("set_pupils", "G1", frozenset("abcde")), ("night",)],
        "G1",
        "e",
        "the next sync adds them; the last sync was refused: Microsoft 365 refused 1 of the people to add",
    ),
    (Why.OWNER_NOT_OURS, [("hand_owner", "G1", "x", True)], "G1", "x", "an owner stays if they were added by hand or"),
    (Why.OWNERS_KEPT, [("set_teachers", "G1", ("u",))], "G1", "t", "departed_owners is keep in the school's settings"),
    (
        Why.OWNERS_UNCERTAIN,
        [REVOKE, ("set_teachers", "G1", ("u",)), ("delete_account", "u")],
        "G1",
        "t",
        "an owner is revoked only if the accounts of all intended owners are known",
    ),
    (Why.NO_TEACHER_LISTED, [REVOKE, ("set_teachers", "G1", ())], "G1", "t", "only if the group has a teacher"),
    (
        Why.LAST_OWNER,
        [REVOKE, ("choose", "admin_owners", [upn("x")]), ("night",), ("choose", "admin_owners", [])],
        "R1",
        "x",
        "the last owner of a class stays",
    ),
    (
        Why.ADDED_UNRECORDED,
        [("set_pupils", "G1", frozenset("abcde")), ("lost_night",), ("hand_member", "G1", "e", True)],
        "G1",
        "e",
        "by a sync that is under way or was interrupted, or before the history begins",
    ),
    (
        Why.REMOVED_UNRECORDED,
        [("set_pupils", "G1", frozenset("abc")), ("lost_night",), ("hand_member", "G1", "d", False)],
        "G1",
        "d",
        "no sync recorded that it removed them",
    ),
]


async def explained(events: list[Event], group: str, person: str) -> Explanation:
    world = World()
    await world.happen(events)
    await world.start_night(RunId("refresh"))
    return await explain_person(world.settings, world.key(group), entra_id(person), world.services)


@pytest.mark.parametrize(("why", "events", "group", "person", "sentence"), CASES, ids=[str(case[0]) for case in CASES])
async def test_a_state_has_its_own_sentence(
    why: Why, events: list[Event], group: str, person: str, sentence: str
) -> None:
    answer = await explained([("night",), *events], group, person)
    assert sentence in "\n".join(answer.lines), answer.lines
    assert why in answer.causes


async def test_the_class_of_a_group_that_may_continue_last_years_waits() -> None:
    world = World()
    await world.happen([("night",), ("new_year", "reuse"), ("night",)])
    assert len(world.tenant.groups) == 3
    group = world.groups["G1"]
    answer = await explain_person(world.settings, class_key(group), "a", world.services)
    assert answer.causes == (Why.CLASS_NOT_MADE, Why.WANTED, Why.HELD)
    assert answer.lines[-1].startswith("the next sync leaves it as it is; hold ")
    assert (
        "(continuation): class 2027.teaching.G1~2B (Art) waits: it may continue class 2026.teaching.G1, whose group "
        "had the same name in the MIS: 4 of its 4 pupils are in the new group, which has 4; 1 of its 1 staff are in "
        "it too — compare"
    ) in answer.lines[-1]
    await world.happen([("decide", Decision.APPROVE)] * 3)
    continued = await world.record("G1")
    assert continued
    assert (continued.desired.group_id, continued.desired.academic_year) == (group.id, 2027)
    assert len(world.tenant.groups) == 3


NOBODY_MATCHES = [
    ("choose", "limits", {"unmatched_people": 2}),
    *(("rename", person, f"unknown {person}") for person in (*"bcdef", "t", "u")),
]


async def test_a_class_that_a_hold_keeps_from_being_made_is_explained_like_others() -> None:
    """On a first night with a wrong rule for finding accounts, no class has a row."""
    world = World()
    await world.happen([*NOBODY_MATCHES, ("night",)])
    assert await world.state.class_records(world.settings.school) == ()
    key = class_key(world.groups["G1"])
    unmatched, matched = [await explain_person(world.settings, key, who, world.services) for who in ("b", "a")]
    assert unmatched.lines[:-1] == (
        "not in the class: the class is not made yet",
        "the MIS lists person b in group G1, and no account matches; looked for unknown b@school.onmicrosoft.com as "
        "userPrincipalName or mail — correct the account, the MIS, or students and account_domain in the school's "
        "settings",
    )
    assert unmatched.causes == (Why.CLASS_NOT_MADE, Why.NO_ACCOUNT, Why.HELD)
    assert matched.lines[-1] == unmatched.lines[-1]
    assert matched.lines[0] == "not in the class: the class is not made yet"
    assert "5 of 6 students" in matched.lines[-1]
    assert matched.causes == (Why.CLASS_NOT_MADE, Why.WANTED, Why.HELD)
    run = (await world.state.runs(world.settings.school))[-1]
    assert (run.ownerless, run.numbered, len(run.held)) == ((), (), 3)
    with pytest.raises(NotFound, match=r"has no class 2026\.teaching\.NONE"):
        await explain_person(world.settings, ClassKey("2026.teaching.NONE"), "b", world.services)


async def test_a_class_that_is_not_made_yet_has_its_own_sentence() -> None:
    answer = await explained([("lost_night",)], "G1", "a")
    assert answer.lines == (
        "not in the class: the class is not made yet",
        "the rules want them in it: the MIS lists person a as a student of its group",
        "the next sync adds them",
    )
    assert Why.CLASS_NOT_MADE in answer.causes


def test_the_table_has_every_cause() -> None:
    assert {case[0] for case in CASES} | {Why.CLASS_NOT_MADE} == set(Why) == SENTENCES.keys()
