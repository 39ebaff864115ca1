"""The mission's table of owners and members, and who is left out, kept, ended and reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.domain.accounts import Account
from sync_core.domain.classes import ClassRecord, ClassRequest, DesiredClass
from sync_core.domain.roster import GroupType, MisGroup, Person, Snapshot
from sync_core.planning.class_keys import class_key
from sync_core.planning.membership import RuledSchool, desired_classes
from tests.builders import NOON, SCHOOL, accounts, entra_id, entra_ids, settings, snapshot, synced, teaching

MATHS = teaching("T1", "10A/Ma1", ["amy", "ben"], ["main", "second"])
FORM = MisGroup(
    id="R1", type=GroupType.REGISTRATION, name="10A", academic_year=2026, students=("amy",), teachers=("tutor",)
)
YEAR = MisGroup(id="Y1", type=GroupType.YEAR, name="10", academic_year=2026, students=("amy", "ben"), teachers=())
EVERYBODY = accounts(["amy", "ben", "main", "second", "tutor", "admin"])
ADMIN = "Admin@School.onmicrosoft.com"


def ruled(
    groups: Iterable[MisGroup],
    known: Mapping[str, ClassRecord] | None = None,
    requests: Iterable[ClassRequest] = (),
    people: Iterable[Account] = EVERYBODY,
    scope: frozenset[str] | None = None,
    **chosen: object,
) -> RuledSchool:
    asked = {request.key: request for request in requests}
    return desired_classes(snapshot(groups), settings(**chosen), people, known or {}, asked, scope)


def followed(group: MisGroup, **more: object) -> dict[str, ClassRecord]:
    """The group's class as it is after a night."""
    (wanted,) = ruled([group], **more).classes  # type: ignore[arg-type]  # settings by name
    return {wanted.key: synced(wanted)}


def only(result: RuledSchool) -> DesiredClass:
    (wanted,) = result.classes
    return wanted


# --- who is in a class


def test_owners_and_members_by_type() -> None:
    result = ruled([MATHS, FORM, YEAR], admin_owners=[ADMIN])
    by_type = {wanted.group_type: wanted for wanted in result.classes}
    assert by_type[GroupType.YEAR].owners == entra_ids(["admin"])
    assert by_type[GroupType.YEAR].members == entra_ids(["amy", "ben", "admin"])
    assert by_type[GroupType.REGISTRATION].owners == entra_ids(["admin"])
    assert by_type[GroupType.REGISTRATION].members == entra_ids(["amy", "admin"])
    assert by_type[GroupType.TEACHING].owners == entra_ids(["admin", "main"])
    assert by_type[GroupType.TEACHING].members == entra_ids(["amy", "ben", "admin", "main"])
    assert result.people_without_account == ()
    assert result.notes == ()


def test_all_teaching_staff_own_where_the_school_chose_so_and_for_seemis_by_default() -> None:
    both = entra_ids(["main", "second"])
    assert only(ruled([MATHS], teaching_owners="all")).owners == both
    assert only(ruled([MATHS], mis="seemis")).owners == both
    assert only(ruled([MATHS], mis="seemis", teaching_owners="main")).owners == entra_ids(["main"])
    assert only(ruled([MATHS], mis="sims")).owners == entra_ids(["main"])


def test_a_person_with_two_roles_is_owner_and_member() -> None:
    both = teaching("T1", "A", ["amy", "ben"], ["amy"])
    assert only(ruled([both])).owners == entra_ids(["amy"])
    assert only(ruled([both])).members == entra_ids(["amy", "ben"])


def test_only_the_chosen_types_become_classes_by_themselves() -> None:
    result = ruled([MATHS, FORM, YEAR], types=["registration"])
    assert [wanted.key for wanted in result.classes] == [class_key(FORM)]


def test_a_class_that_is_there_goes_on_when_its_type_is_not_chosen_any_more() -> None:
    assert only(ruled([MATHS, FORM], followed(MATHS), types=[])).key == class_key(MATHS)


def test_scholarpack_has_no_teaching_groups_and_says_so() -> None:
    result = ruled([MATHS, FORM], mis="scholarpack")
    assert [wanted.key for wanted in result.classes] == [class_key(FORM)]
    assert result.notes == (
        "1 teaching groups were left out: teaching groups are not extracted from ScholarPack — "
        "correct mis in the school's settings if the school has another MIS",
    )


def test_a_group_outside_the_scope_is_not_looked_at_and_has_not_ended() -> None:
    result = ruled([MATHS, FORM], followed(YEAR), scope=frozenset({"T1"}))
    assert only(result).key == class_key(MATHS)
    assert result.ended == ()


def test_a_class_with_no_one_in_it_is_said_with_its_place_and_remedy() -> None:
    result = ruled([teaching("T9", "Empty")])
    assert len(result.classes) == 1
    assert result.notes == (
        "teaching group T9 is empty, so its class has no students — "
        "put people into the group in the MIS, or end the group there",
    )


def test_an_admin_owner_without_an_account_is_said_without_his_address() -> None:
    result = ruled([MATHS], admin_owners=["gone@x.y", ADMIN])
    assert only(result).owners == entra_ids(["admin", "main"])
    assert result.notes == (
        "admin owner number 1 of the settings has no account — correct admin_owners in the settings",
    )


def test_a_school_without_a_code_is_told_what_its_names_lack() -> None:
    nameless = Snapshot(replace(SCHOOL, dfe_code=""), (FORM,), snapshot([FORM]).people, NOON)
    (note,) = desired_classes(nameless, settings(), EVERYBODY, {}, {}).notes
    assert "set name_identifier" in note
    assert desired_classes(nameless, settings(name_identifier="Oak"), EVERYBODY, {}, {}).notes == ()


# --- people and accounts


def test_a_person_without_an_account_is_left_out_and_reported_by_id() -> None:
    result = ruled([MATHS], people=accounts(["amy", "second"]))
    assert only(result).members == entra_ids(["amy"])
    assert only(result).owners == frozenset()
    assert result.people_without_account == ("ben", "main")


def test_staff_who_own_nothing_need_no_account() -> None:
    assert ruled([MATHS, FORM], people=accounts(["amy", "ben", "main"])).people_without_account == ()


def test_a_disabled_account_is_a_member_all_the_same_and_reported() -> None:
    people = [*accounts(["ben", "main"]), *accounts(["amy"], enabled=False)]
    result = ruled([MATHS], people=people)
    assert only(result).members == entra_ids(["amy", "ben", "main"])
    assert result.people_disabled == ("amy",)
    assert result.people_without_account == ()


def test_an_ambiguous_person_neither_comes_nor_goes_and_is_reported() -> None:
    twins = Snapshot(
        SCHOOL,
        (MATHS,),
        {**snapshot([MATHS]).people, "ben": Person("ben", "amy")},
        NOON,
    )
    chosen = settings()
    known = followed(MATHS)
    fresh = desired_classes(twins, chosen, EVERYBODY, {}, {})
    assert only(fresh).members == entra_ids(["main"])
    assert fresh.people_ambiguous == ("amy", "ben")
    assert entra_id("amy") in only(desired_classes(twins, chosen, EVERYBODY, known, {})).members


# --- hand-made classes


def asked(group: MisGroup, creator: str = "second", **more: object) -> ClassRequest:
    return ClassRequest(key=class_key(group), creator=entra_id(creator), requested_at=NOON, **more)  # type: ignore[arg-type]  # by name


def test_who_makes_a_class_by_hand_owns_it_and_may_name_and_describe_it() -> None:
    request = asked(FORM, display_name="Our form", description="For us")
    wanted = only(ruled([FORM, MATHS], types=[], requests=[request]))
    assert wanted.owners == entra_ids(["second"])
    assert wanted.members == entra_ids(["amy", "second"])
    assert wanted.name.display_name == "Our form"
    assert wanted.name.mail_nickname == "10A.class.1234567.2026"
    assert wanted.description == "For us"


def test_a_creator_from_another_tenant_owns_nothing() -> None:
    assert only(ruled([FORM], requests=[asked(FORM, "stranger")])).owners == frozenset()


def test_a_name_asked_for_too_late_does_not_rename_the_class() -> None:
    request = asked(FORM, display_name="Our form")
    assert only(ruled([FORM], followed(FORM), [request])).name.display_name == "10A_Class [1234567][2026]"


def test_a_class_that_was_deleted_stays_so_until_somebody_asks_for_it_again() -> None:
    (key,) = known = followed(FORM)
    record = replace(known[key], desired=replace(known[key].desired, deleted=True), gone=True)
    assert only(ruled([FORM], {key: record})).deleted
    again = only(ruled([FORM], {key: record}, [asked(FORM, generation=1, display_name="Once more")]))
    assert (again.deleted, again.generation, again.name.display_name) == (False, 1, "Once more")


def test_a_deleted_class_that_somebody_restored_by_hand_is_followed_again() -> None:
    (key,) = known = followed(FORM)
    record = replace(known[key], desired=replace(known[key].desired, deleted=True), stale=True)
    assert not only(ruled([FORM], {key: record})).deleted


# --- the life of a class


def test_a_vanished_group_leaves_its_class_as_it_was_and_marked() -> None:
    known = followed(MATHS)
    result = ruled([FORM], known)
    (ended,) = result.ended
    assert ended == replace(known[class_key(MATHS)].desired, ended=True)
    over = {ended.key: replace(known[ended.key], desired=ended)}
    assert ruled([FORM], over).ended == ()
    assert not ruled([MATHS], over).classes[0].ended


NEXT = teaching("N1", "10A/Ma1", ["cleo"], ["main"], year=2027)


def test_a_new_year_makes_new_classes() -> None:
    result = ruled([NEXT], followed(MATHS))
    assert only(result).key == class_key(NEXT)
    assert [ended.key for ended in result.ended] == [class_key(MATHS)]


def test_a_school_that_reuses_classes_goes_on_with_the_class_of_the_same_name() -> None:
    known = followed(MATHS)
    result = ruled([NEXT], known, rollover="reuse", people=[*EVERYBODY, *accounts(["cleo"])])
    wanted = only(result)
    assert wanted.key == class_key(MATHS)
    assert wanted.name == known[class_key(MATHS)].desired.name
    assert wanted.members == entra_ids(["cleo", "main"])
    assert (wanted.group_id, wanted.academic_year, result.ended) == ("N1", 2027, ())
    after = {wanted.key: synced(wanted)}
    for rollover in ("reuse", "new"):
        assert only(ruled([NEXT], after, rollover=rollover, people=[*EVERYBODY, *accounts(["cleo"])])) == wanted


def test_a_class_is_reused_by_mis_id_before_name_and_once_only() -> None:
    renamed = teaching("T1", "11A/Ma1", ["amy"], ["main"], year=2027)
    same_name = teaching("N2", "10A/Ma1", ["ben"], ["main"], year=2027)
    for order in ([renamed, same_name], [same_name, renamed]):
        result = ruled(order, followed(MATHS), rollover="reuse")
        assert {wanted.key: wanted.group_id for wanted in result.classes} == {
            class_key(MATHS): "T1",
            class_key(same_name): "N2",
        }


def test_a_class_whose_group_is_still_there_or_that_was_deleted_is_not_reused() -> None:
    assert {wanted.key for wanted in ruled([MATHS, NEXT], followed(MATHS), rollover="reuse").classes} == {
        class_key(MATHS),
        class_key(NEXT),
    }
    gone = {key: replace(record, gone=True) for key, record in followed(MATHS).items()}
    assert only(ruled([NEXT], gone, rollover="reuse")).key == class_key(NEXT)


# --- departed owners


@pytest.mark.parametrize(
    ("group", "chosen", "revoked"),
    [
        (MATHS, {}, False),
        (MATHS, {"departed_owners": "revoke"}, True),
        (replace(MATHS, teachers=()), {"departed_owners": "revoke"}, False),
        (replace(MATHS, teachers=("unknown",)), {"departed_owners": "revoke"}, False),
        (MATHS, {"departed_owners": "revoke", "admin_owners": ["unknown@x.y"]}, False),
        (FORM, {"departed_owners": "revoke"}, True),
    ],
)
def test_owners_are_revoked_only_if_chosen_and_nobody_is_in_doubt(
    group: MisGroup, chosen: dict[str, object], revoked: bool
) -> None:
    assert only(ruled([group], **chosen)).revoke is revoked  # type: ignore[arg-type]  # settings by name


def test_today_is_not_a_rule() -> None:
    """The rules know no clock: what they say today, they say tomorrow."""
    request = asked(FORM, required_until=(NOON - timedelta(days=400)).date())
    assert only(ruled([FORM], requests=[request])).members == entra_ids(["amy", "second"])
