"""Owners and members by the rules, and which people and classes are left out, kept, ended and reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.domain.accounts import Account
from sync_core.domain.classes.desired import ClassName, ClassRequest, DesiredClass
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.ids import ClassKey, MisId
from sync_core.domain.roster import GroupType, MisGroup, Snapshot
from sync_core.domain.runs import HoldStatus
from sync_core.planning.limits.holds import NO_DECISIONS, Decisions
from sync_core.planning.membership import RuledSchool, desired_classes
from sync_core.planning.naming.class_keys import class_key
from tests.builders import (
    NOON,
    SCHOOL,
    accounts,
    entra_id,
    entra_ids,
    mis_ids,
    person,
    settings,
    snapshot,
    synced,
    teaching,
)

MATHS = teaching("T1", "10A/Ma1", ["amy", "ben"], ["main", "second"])
FORM = replace(teaching("R1", "10A", ["amy"], ["tutor"]), type=GroupType.REGISTRATION)
YEAR = replace(teaching("Y1", "10", ["amy", "ben"]), type=GroupType.YEAR)
PEOPLE = snapshot([FORM]).people
EVERYBODY = accounts(["amy", "ben", "main", "second", "tutor", "admin"])
ADMIN = "Admin@School.onmicrosoft.com"


def apply_rules(
    groups: Iterable[MisGroup],
    known: Records | None = None,
    requests: Iterable[ClassRequest] = (),
    people: Iterable[Account] = EVERYBODY,
    scope: frozenset[MisId] | None = None,
    decisions: Decisions = NO_DECISIONS,
    **chosen: object,
) -> RuledSchool:
    requests_by_key = {request.key: request for request in requests}
    return desired_classes(
        snapshot(groups), settings(**chosen), people, known or {}, requests_by_key, scope, decisions=decisions
    )


def sync_class(group: MisGroup, **chosen: object) -> dict[ClassKey, ClassRecord]:
    """The record of the group's class after a night, by key."""
    (wanted,) = apply_rules([group], **chosen).classes  # type: ignore[arg-type]  # settings by name
    return {wanted.key: synced(wanted)}


def get_only(result: RuledSchool) -> DesiredClass:
    (wanted,) = result.classes
    return wanted


# --- who is in a class


def test_owners_and_members_depend_on_the_type() -> None:
    result = apply_rules([MATHS, FORM, YEAR], admin_owners=[ADMIN])
    by_type = {wanted.group_type: wanted for wanted in result.classes}
    assert by_type[GroupType.YEAR].owners == entra_ids(["admin"])
    assert by_type[GroupType.YEAR].members == entra_ids(["amy", "ben", "admin"])
    assert by_type[GroupType.REGISTRATION].owners == entra_ids(["admin"])
    assert by_type[GroupType.REGISTRATION].members == entra_ids(["amy", "admin"])
    assert by_type[GroupType.TEACHING].owners == entra_ids(["admin", "main"])
    assert by_type[GroupType.TEACHING].members == entra_ids(["amy", "ben", "admin", "main"])
    assert result.people_without_account == ()
    assert result.notes == ()


def test_all_teaching_staff_are_owners_if_chosen_and_by_default_for_seemis() -> None:
    both = entra_ids(["main", "second"])
    assert get_only(apply_rules([MATHS], teaching_owners="all")).owners == both
    assert get_only(apply_rules([MATHS], mis="seemis")).owners == both
    assert get_only(apply_rules([MATHS], mis="seemis", teaching_owners="main")).owners == entra_ids(["main"])
    assert get_only(apply_rules([MATHS], mis="sims")).owners == entra_ids(["main"])


def test_a_person_with_two_roles_is_owner_and_member() -> None:
    both = teaching("T1", "A", ["amy", "ben"], ["amy"])
    assert get_only(apply_rules([both])).owners == entra_ids(["amy"])
    assert get_only(apply_rules([both])).members == entra_ids(["amy", "ben"])


def test_only_the_chosen_types_become_classes() -> None:
    result = apply_rules([MATHS, FORM, YEAR], types=["registration"])
    assert [wanted.key for wanted in result.classes] == [class_key(FORM)]


def test_an_existing_class_is_synced_when_its_type_is_no_longer_chosen() -> None:
    assert get_only(apply_rules([MATHS, FORM], sync_class(MATHS), types=[])).key == class_key(MATHS)


def test_scholarpack_has_no_teaching_groups_and_the_notes_report_it() -> None:
    result = apply_rules([MATHS, FORM], mis="scholarpack")
    assert [wanted.key for wanted in result.classes] == [class_key(FORM)]
    assert result.notes == (
        "1 teaching groups were left out: teaching groups are not extracted from ScholarPack — "
        "correct mis in the school's settings if the school has another MIS",
    )


def test_a_group_outside_the_scope_is_ignored_and_has_not_ended() -> None:
    result = apply_rules([MATHS, FORM], sync_class(YEAR), scope=frozenset(mis_ids("T1")))
    assert get_only(result).key == class_key(MATHS)
    assert result.ended == ()


def test_an_empty_group_is_reported_with_a_remedy() -> None:
    result = apply_rules([teaching("T9", "Empty")])
    assert len(result.classes) == 1
    assert result.notes == (
        "teaching group T9 is empty, so its class has no students — "
        "put people into the group in the MIS, or end the group there",
    )


def test_an_admin_owner_without_an_account_is_reported_without_the_address() -> None:
    result = apply_rules([MATHS], admin_owners=["gone@x.y", ADMIN])
    assert get_only(result).owners == entra_ids(["admin", "main"])
    assert result.notes == (
        "admin owner number 1 of the settings has no account — correct admin_owners in the settings",
    )


@pytest.mark.parametrize(("count", "reported"), [(100, 0), (101, 1)])
def test_more_owners_than_microsoft_allows_are_reported_before_it_refuses_them(count: int, reported: int) -> None:
    admins = [f"admin{number}" for number in range(50)]
    teachers = [f"teacher{number}" for number in range(count - 50)]
    upns = tuple(f"{admin}@school.onmicrosoft.com" for admin in admins)
    group, people = teaching("T1", "10A/Ma1", ["amy"], teachers), accounts([*admins, *teachers, "amy"])
    ruled = apply_rules([group], people=people, admin_owners=upns, teaching_owners="all")
    assert len(get_only(ruled).owners) == count
    assert len(ruled.notes) == reported
    assert all("101 owners" in note and "choose fewer admin owners" in note for note in ruled.notes)


@pytest.mark.parametrize(("count", "reported"), [(1000, 0), (1001, 1)])
def test_an_admin_owner_of_more_classes_than_teams_are_allowed_is_reported(count: int, reported: int) -> None:
    """Classes of earlier years count: 400 of them are in the tables alone."""
    earlier = [teaching(f"T{number}", f"Set {number}", ["amy"]) for number in range(400)]
    now = [teaching(f"U{number}", f"New {number}", ["amy"]) for number in range(count - 400)]
    known = {wanted.key: synced(wanted) for wanted in apply_rules(earlier, admin_owners=(ADMIN,)).classes}
    notes = apply_rules(now, known, admin_owners=(ADMIN,)).notes
    assert len(notes) == reported
    assert all(note.startswith("admin owner number 1 of the settings would own 1001 classes") for note in notes)


def test_a_school_without_a_code_is_asked_for_an_identifier() -> None:
    nameless = Snapshot(replace(SCHOOL, dfe_code=""), (FORM,), PEOPLE, NOON)
    (note,) = desired_classes(nameless, settings(), EVERYBODY, {}, {}).notes
    assert "its class names have the school's name — set name_identifier" in note
    assert desired_classes(nameless, settings(name_identifier="Oak"), EVERYBODY, {}, {}).notes == ()


def test_schools_without_a_code_have_their_own_names_in_the_names_of_classes() -> None:
    """So that two of them in one tenant do not both have a class 10A."""
    one, other = (replace(SCHOOL, name=name, dfe_code="") for name in ("Oak School", "Elm School, Infants & Juniors"))
    names = {
        get_only(desired_classes(Snapshot(school, (FORM,), PEOPLE, NOON), settings(), EVERYBODY, {}, {})).name
        for school in (one, other)
    }
    assert names == {
        ClassName("10A_Class [Oak School][2026]", "10A.class.Oak-School.2026"),
        ClassName("10A_Class [Elm School, Infants Juniors][2026]", "10A.class.Elm-School-Infants-Juniors.2026"),
    }


# --- people and accounts


def test_a_person_without_an_account_is_left_out_and_reported_by_id() -> None:
    result = apply_rules([MATHS], people=accounts(["amy", "second"]))
    assert get_only(result).members == entra_ids(["amy"])
    assert get_only(result).owners == frozenset()
    assert result.people_without_account == ("ben", "main")


def test_staff_who_own_no_class_need_no_account() -> None:
    assert apply_rules([MATHS, FORM], people=accounts(["amy", "ben", "main"])).people_without_account == ()


def test_a_disabled_account_is_a_member_and_is_reported() -> None:
    people = [*accounts(["ben", "main"]), *accounts(["amy"], enabled=False)]
    result = apply_rules([MATHS], people=people)
    assert get_only(result).members == entra_ids(["amy", "ben", "main"])
    assert result.people_disabled == ("amy",)
    assert result.people_without_account == ()


def test_an_ambiguous_person_is_neither_added_nor_removed_and_is_reported() -> None:
    twins = Snapshot(
        SCHOOL,
        (MATHS,),
        {**snapshot([MATHS]).people, MisId("ben"): person("ben", "amy")},
        NOON,
    )
    chosen = settings()
    known = sync_class(MATHS)
    fresh = desired_classes(twins, chosen, EVERYBODY, {}, {})
    assert get_only(fresh).members == entra_ids(["main"])
    assert fresh.people_ambiguous == ("amy", "ben")
    assert entra_id("amy") in get_only(desired_classes(twins, chosen, EVERYBODY, known, {})).members


# --- requested classes


def make_request(group: MisGroup, creator: str = "second", **options: object) -> ClassRequest:
    return ClassRequest(key=class_key(group), creator=entra_id(creator), requested_at=NOON, **options)  # type: ignore[arg-type]  # by name


def test_a_requester_owns_the_class_and_may_name_and_describe_it() -> None:
    request = make_request(FORM, display_name="Our form", description="For us")
    wanted = get_only(apply_rules([FORM, MATHS], types=[], requests=[request]))
    assert wanted.owners == entra_ids(["second"])
    assert wanted.members == entra_ids(["amy", "second"])
    assert wanted.name.display_name == "Our form"
    assert wanted.name.mail_nickname == "10A.class.1234567.2026"
    assert wanted.description == "For us"


def test_a_creator_from_another_tenant_owns_nothing() -> None:
    assert get_only(apply_rules([FORM], requests=[make_request(FORM, "stranger")])).owners == frozenset()


def test_a_requested_name_does_not_rename_an_existing_class() -> None:
    request = make_request(FORM, display_name="Our form")
    assert get_only(apply_rules([FORM], sync_class(FORM), [request])).name.display_name == "10A_Class [1234567][2026]"


def test_a_deleted_class_stays_deleted_until_it_is_requested_again() -> None:
    (key,) = known = sync_class(FORM)
    record = replace(known[key], desired=replace(known[key].desired, deleted=True), gone=True)
    assert get_only(apply_rules([FORM], {key: record})).deleted
    recreated = get_only(
        apply_rules([FORM], {key: record}, [make_request(FORM, generation=1, display_name="Once more")])
    )
    assert (recreated.deleted, recreated.generation, recreated.name.display_name) == (False, 1, "Once more")


def test_a_deleted_class_that_was_restored_by_hand_is_synced_again() -> None:
    (key,) = known = sync_class(FORM)
    record = replace(known[key], desired=replace(known[key].desired, deleted=True), stale=True)
    assert not get_only(apply_rules([FORM], {key: record})).deleted


# --- ended and reused classes


def test_a_group_that_disappears_leaves_its_class_ended_and_unchanged() -> None:
    known = sync_class(MATHS)
    result = apply_rules([FORM], known)
    (ended,) = result.ended
    assert ended == replace(known[class_key(MATHS)].desired, ended=True)
    after = {ended.key: replace(known[ended.key], desired=ended)}
    assert apply_rules([FORM], after).ended == ()
    assert not apply_rules([MATHS], after).classes[0].ended


NEXT = teaching("N1", "10A/Ma1", ["cleo"], ["main"], year=2027)


def test_a_new_year_creates_new_classes() -> None:
    result = apply_rules([NEXT], sync_class(MATHS))
    assert get_only(result).key == class_key(NEXT)
    assert [ended.key for ended in result.ended] == [class_key(MATHS)]


def test_a_school_that_reuses_classes_keeps_the_class_of_the_same_name_if_an_admin_agrees() -> None:
    known = sync_class(MATHS)
    everybody = [*EVERYBODY, *accounts(["cleo"])]
    (proposal,) = apply_rules([NEXT], known, rollover="reuse", people=everybody).proposals
    approved = Decisions({proposal.part.digest: HoldStatus.APPROVED})
    result = apply_rules([NEXT], known, rollover="reuse", people=everybody, decisions=approved)
    wanted = get_only(result)
    assert wanted.key == class_key(MATHS)
    assert wanted.name == known[class_key(MATHS)].desired.name
    assert wanted.members == entra_ids(["cleo", "main"])
    assert (wanted.group_id, wanted.academic_year, result.ended) == ("N1", 2027, ())
    after = {wanted.key: synced(wanted)}
    for rollover in ("reuse", "new"):
        assert (
            get_only(apply_rules([NEXT], after, rollover=rollover, people=[*EVERYBODY, *accounts(["cleo"])])) == wanted
        )


def test_a_class_is_reused_once_and_by_mis_id_before_name() -> None:
    renamed = teaching("T1", "11A/Ma1", ["amy"], ["main"], year=2027)
    same_name = teaching("N2", "10A/Ma1", ["ben"], ["main"], year=2027)
    for order in ([renamed, same_name], [same_name, renamed]):
        result = apply_rules(order, sync_class(MATHS), rollover="reuse")
        assert result.proposals == ()
        assert {wanted.key: wanted.group_id for wanted in result.classes} == {
            class_key(MATHS): "T1",
            class_key(same_name): "N2",
        }


def test_a_class_whose_group_exists_or_that_was_deleted_is_not_reused() -> None:
    assert {wanted.key for wanted in apply_rules([MATHS, NEXT], sync_class(MATHS), rollover="reuse").classes} == {
        class_key(MATHS),
        class_key(NEXT),
    }
    gone = {key: replace(record, gone=True) for key, record in sync_class(MATHS).items()}
    assert get_only(apply_rules([NEXT], gone, rollover="reuse")).key == class_key(NEXT)


# --- departed owners


@pytest.mark.parametrize(
    ("group", "chosen", "revoked"),
    [
        (MATHS, {}, False),
        (MATHS, {"departed_owners": "revoke"}, True),
        (replace(MATHS, teachers=()), {"departed_owners": "revoke"}, False),
        (replace(MATHS, teachers=mis_ids("unknown")), {"departed_owners": "revoke"}, False),
        (MATHS, {"departed_owners": "revoke", "admin_owners": ["unknown@x.y"]}, False),
        (FORM, {"departed_owners": "revoke"}, True),
    ],
)
def test_owners_are_revoked_only_if_chosen_and_nobody_is_ambiguous(
    group: MisGroup, chosen: dict[str, object], revoked: bool
) -> None:
    assert get_only(apply_rules([group], **chosen)).revoke is revoked  # type: ignore[arg-type]  # settings by name


def test_the_rules_do_not_depend_on_the_date() -> None:
    request = make_request(FORM, required_until=(NOON - timedelta(days=400)).date())
    assert get_only(apply_rules([FORM], requests=[request])).members == entra_ids(["amy", "second"])


def test_a_class_that_stays_as_it_was_is_the_one_of_its_row() -> None:
    """So a quiet night has each class in memory once."""
    (planned,) = apply_rules([MATHS]).classes
    record = synced(replace(planned, members=frozenset(set(planned.members)), reasons=dict(planned.reasons)))
    (unchanged,) = apply_rules([MATHS], {record.key: record}).classes
    assert unchanged is record.desired
    (changed,) = apply_rules([replace(MATHS, students=MATHS.students[:1])], {record.key: record}).classes
    assert changed != record.desired
