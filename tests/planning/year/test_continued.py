"""Which groups may continue last year's classes after all ids changed: by name and by pupils, and never guessed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.planning.membership import desired_classes
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.year.continued import Continuations, propose_continuations, propose_going_on
from sync_core.planning.year.evidence import Continuation, NameEvidence
from tests.builders import accounts, settings, snapshot, synced, teaching

COHORT = ["amy", "ben", "cleo", "dan"]
OTHERS = ["eve", "fay", "gus", "hal"]
TEACHERS = ["tom"]


def classes(*groups: MisGroup) -> list[ClassRecord]:
    """The classes of last year, of these groups."""
    people = {person for group in groups for person in (*group.students, *group.teachers)}
    return [synced(one) for one in desired_classes(snapshot(groups), settings(), accounts(people), {}, {}).classes]


def last(id_: str, name: str, pupils: list[str]) -> MisGroup:
    return teaching(id_, name, pupils, TEACHERS)


def now(id_: str, name: str, pupils: list[str], year: int = 2027) -> MisGroup:
    return teaching(id_, name, pupils, TEACHERS, year=year)


MATHS = last("A1", "10A/Ma1", COHORT)
KEY = class_key(MATHS)
FORM = replace(now("B1", "11A", COHORT), type=GroupType.REGISTRATION)
TWIN = now("B2", "10A/Ma1", OTHERS)
# what, the classes of last year, the groups of this year, and the proposed pairs of ids
PAIRED: list[tuple[str, list[MisGroup], list[MisGroup], dict[str, str]]] = [
    ("the same name, other pupils", [MATHS], [now("B1", "10A/Ma1", OTHERS)], {"A1": "B1"}),
    ("the same name, in other letters", [MATHS], [now("B1", "10a/ma1", OTHERS)], {"A1": "B1"}),
    ("another name, the same pupils", [MATHS], [now("B1", "11A/Ma1", COHORT)], {"A1": "B1"}),
    ("most of the pupils", [MATHS], [now("B1", "11A/Ma1", [*COHORT[:3], "eve"])], {"A1": "B1"}),
    ("half of the pupils", [MATHS], [now("B1", "11A/Ma1", [*COHORT[:2], *OTHERS[:2]])], {}),
    ("all pupils, in a much larger group", [MATHS], [now("B1", "11", [*COHORT, *OTHERS])], {}),
    ("two pupils are too few", [last("A1", "Oboe", COHORT[:2])], [now("B1", "Oboe 2", COHORT[:2])], {}),
    ("neither", [MATHS], [now("B1", "11A/Ma1", OTHERS)], {}),
    ("a name before pupils", [MATHS], [now("B1", "10A/Ma1", OTHERS), now("B2", "11A/Ma1", COHORT)], {"A1": "B1"}),
    ("two groups of the name", [MATHS], [now("B1", "10A/Ma1", OTHERS), now("B2", "10A/MA1", ["ida"])], {}),
    ("the pupils of one of two groups of the name", [MATHS], [now("B1", "10A/Ma1", COHORT), TWIN], {"A1": "B1"}),
    ("two groups of the pupils", [MATHS], [now("B1", "11A/Ma1", COHORT), now("B2", "11A/Sc1", COHORT)], {}),
    ("two classes of the pupils", [MATHS, last("A2", "10A/Sc1", COHORT)], [now("B1", "11A/Ma1", COHORT)], {}),
    ("the year after the next", [MATHS], [now("B1", "10A/Ma1", COHORT, year=2028)], {}),
    ("the same year", [MATHS], [now("B1", "10A/Ma1", COHORT, year=2026)], {}),
    ("another type", [MATHS], [replace(now("B1", "10A/Ma1", COHORT), type=GroupType.REGISTRATION)], {}),
    ("no group", [MATHS], [], {}),
    ("names of which nothing is left", [last("A1", "???", COHORT)], [now("B1", "?", OTHERS)], {}),
    ("one id for groups of two types", [MATHS], [now("B1", "11A/Ma1", COHORT), FORM], {"A1": "B1"}),
]  # fmt: skip
UNDECIDED = {
    "two groups of the name": {"B1", "B2"},
    "the pupils of one of two groups of the name": {"B2"},
    "two groups of the pupils": {"B1", "B2"},
    "two classes of the pupils": {"B1"},
}


@pytest.mark.parametrize(("what", "before", "after", "pairs"), PAIRED, ids=[row[0] for row in PAIRED])
def test_only_what_is_the_only_choice_is_proposed(
    what: str, before: list[MisGroup], after: list[MisGroup], pairs: dict[str, str]
) -> None:
    keys = {class_key(group): group.id for group in (*before, *after)}
    found = propose_continuations(classes(*before), after, 1)
    assert {keys[one.key]: keys[one.new_key] for one in found.proposed} == pairs
    assert {keys[key] for key in found.undecided} == UNDECIDED.get(what, set())


def test_a_proposal_says_why() -> None:
    groups = [now("B1", "10A/Ma1", [*COHORT[:3], *OTHERS])]
    (proposed,) = propose_continuations(classes(MATHS), groups, 1).proposed
    assert proposed == Continuation(
        key=KEY,
        new_key=class_key(groups[0]),
        name=NameEvidence.SAME,
        shared=3,
        before=4,
        now=7,
        teachers=1,
        taught=1,
    )
    assert proposed.text == (
        "waits: it may continue class 2026.teaching.A1, whose group had the same name in the MIS: 3 of its 4 pupils "
        "are in the new group, which has 7; 1 of its 1 staff are in it too"
    )


def test_within_one_year_a_proposal_says_so() -> None:
    (proposed,) = propose_continuations(classes(MATHS), [now("B1", "10B/Ma4", COHORT, year=2026)], 0).proposed
    assert (proposed.same_year, proposed.name) == (True, NameEvidence.OTHER)
    assert "whose group had another name in the MIS in the same academic year: 4 of its 4 pupils" in proposed.text
    assert propose_continuations(classes(MATHS), [now("B1", "10A/Ma1", COHORT)], 0) == Continuations()


def of(subject: str, group: MisGroup) -> MisGroup:
    return replace(group, subject=subject)


def year_group(group: MisGroup) -> MisGroup:
    return replace(group, type=GroupType.YEAR)


NEXT_MATHS = now("B1", "11A/Ma1", COHORT)
ENGLISH, NEXT_ENGLISH = last("A2", "10A/En1", COHORT), now("B2", "11A/En1", COHORT)
# what, the classes of last year, the groups of this year, and the proposed pairs of ids
GOING_ON: list[tuple[str, list[MisGroup], list[MisGroup], dict[str, str]]] = [
    ("the following name, the same pupils", [MATHS], [NEXT_MATHS], {"A1": "B1"}),
    ("several classes of one form", [MATHS, ENGLISH], [NEXT_MATHS, NEXT_ENGLISH], {"A1": "B1", "A2": "B2"}),
    ("the following name, three of many pupils", [MATHS], [now("B1", "11A/Ma1", [*COHORT[1:], *OTHERS])], {"A1": "B1"}),
    ("the following name, other pupils", [MATHS], [now("B1", "11A/Ma1", OTHERS)], {}),
    ("the same name, other pupils", [MATHS], [now("B1", "10A/Ma1", OTHERS)], {}),
    ("the same MIS id, other pupils", [MATHS], [now("A1", "10A/Ma1", OTHERS)], {}),
    ("the same MIS id and pupils", [MATHS], [now("A1", "Further maths", COHORT)], {"A1": "A1"}),
    ("an id of one class and the name of another", [MATHS, ENGLISH], [now("A1", "11A/En1", COHORT)], {}),
    ("another name, the same pupils", [MATHS], [now("B1", "Further maths", COHORT)], {"A1": "B1"}),
    ("a year group", [year_group(last("9", "Year 9", COHORT))], [year_group(now("10", "10", COHORT))], {"9": "10"}),
    ("a year group not moved up", [year_group(last("9", "9", COHORT))], [year_group(now("9", "9", COHORT))], {}),
    ("two subjects", [of("Maths", MATHS)], [of("Art", NEXT_MATHS)], {}),
    ("two subjects, other names", [of("Maths", MATHS)], [of("Art", now("B1", "Set 5", COHORT))], {}),
    ("one subject known", [of("Maths", MATHS)], [NEXT_MATHS], {"A1": "B1"}),
    (
        "subjects tell classes of the same pupils apart",
        [of("Maths", MATHS), of("Art", last("A2", "Set 1", COHORT))],
        [of("Maths", now("B1", "Set 5", COHORT)), of("Art", now("B2", "Set 6", COHORT))],
        {"A1": "B1", "A2": "B2"},
    ),
    ("a name with a number of its own", [last("A1", "Set 1", COHORT[:3])], [now("B1", "Set 2", OTHERS)], {}),
    ("the same year", [MATHS], [now("B1", "11A/Ma1", COHORT, year=2026)], {}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "before", "after", "pairs"), GOING_ON, ids=[row[0] for row in GOING_ON])
def test_classes_go_on_with_their_people(
    what: str, before: list[MisGroup], after: list[MisGroup], pairs: dict[str, str]
) -> None:
    of_class, of_group = ({class_key(group): group.id for group in groups} for groups in (before, after))
    found = propose_going_on(classes(*before), after)
    assert {of_class[one.key]: of_group[one.new_key] for one in found.proposed} == pairs


def test_a_class_that_goes_on_says_what_it_has_in_common() -> None:
    (proposed,) = propose_going_on(classes(MATHS), [replace(NEXT_MATHS, id=MATHS.id)]).proposed
    assert proposed.text == (
        "waits: it may continue class 2026.teaching.A1, whose group had the name of the year below in the MIS: 4 of "
        "its 4 pupils are in the new group, which has 4; 1 of its 1 staff are in it too; the MIS has both groups under "
        "one id"
    )
    (proposed,) = propose_going_on(classes(of("Maths", MATHS)), [of("Maths", NEXT_MATHS)]).proposed
    assert proposed.text.endswith("1 of its 1 staff are in it too; both have the same subject")


def test_within_one_year_no_subject_counts() -> None:
    """An MIS that gives its groups other ids may give them other words, too."""
    (record,) = classes(of("Maths", MATHS))
    group = of("Mathematics", now("B1", "10B/Ma4", COHORT, year=2026))
    assert [one.key for one in propose_continuations([record], [group], 0).proposed] == [KEY]


@pytest.mark.parametrize("change", [{"gone": True}, {"deleted": True}], ids=str)
def test_a_class_that_is_no_longer_there_continues_as_nothing(change: dict[str, bool]) -> None:
    (record,) = classes(MATHS)
    if "deleted" in change:
        record = replace(record, desired=replace(record.desired, deleted=True))
    else:
        record = replace(record, gone=True)
    assert propose_continuations([record], [now("B1", "10A/Ma1", COHORT)], 1) == Continuations()


groups_of_school = st.lists(
    st.tuples(st.sampled_from(["10A/Ma1", "10a/Ma1", "11A", "12"]), st.sets(st.sampled_from([*COHORT, *OTHERS]))),
    max_size=5,
)


@pytest.mark.parametrize("propose", [partial(propose_continuations, years=1), propose_going_on])
@given(groups_of_school, groups_of_school, st.randoms(use_true_random=False))
def test_no_class_and_no_group_is_in_two_proposals_and_the_order_does_not_matter(
    propose: Callable[[Sequence[ClassRecord], Sequence[MisGroup]], Continuations],
    before: list[tuple[str, set[str]]],
    after: list[tuple[str, set[str]]],
    shuffler: random.Random,
) -> None:
    records = classes(*(last(f"A{place}", name, sorted(pupils)) for place, (name, pupils) in enumerate(before)))
    groups = [now(f"B{place}", name, sorted(pupils)) for place, (name, pupils) in enumerate(after)]
    proposed = propose(records, groups)
    pairs = proposed.proposed
    assert len({one.key for one in pairs}) == len({one.new_key for one in pairs}) == len(pairs)
    assert proposed.undecided.isdisjoint(one.new_key for one in pairs)
    shuffler.shuffle(records)
    shuffler.shuffle(groups)
    assert propose(records, groups) == proposed
