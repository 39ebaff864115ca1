"""The mission's table of owners and members, and who is left out and reported."""

from __future__ import annotations

from sync_core.model import GroupType, MisGroup, Person, TeachingOwners, class_key
from sync_core.rules import account_name, desired_classes
from tests.builders import accounts, entra_ids, settings, snapshot, teaching

MATHS = teaching("T1", "10A/Ma1", ["amy", "ben"], ["main", "second"])
FORM = MisGroup("R1", GroupType.REGISTRATION, "10A", 2026, ("amy",), ("tutor",))
YEAR = MisGroup("Y1", GroupType.YEAR, "10", 2026, ("amy", "ben"), ())
EVERYBODY = accounts(["amy", "ben", "main", "second", "tutor", "admin"])
ADMIN = "Admin@School.onmicrosoft.com"


def test_owners_and_members_by_type() -> None:
    ruled = desired_classes(snapshot([MATHS, FORM, YEAR]), settings(admins=[ADMIN]), EVERYBODY, {})
    by_type = {wanted.group_type: wanted for wanted in ruled.classes}
    assert by_type[GroupType.YEAR].owners == entra_ids(["admin"])
    assert by_type[GroupType.YEAR].members == entra_ids(["amy", "ben", "admin"])
    assert by_type[GroupType.REGISTRATION].owners == entra_ids(["admin"])
    assert by_type[GroupType.REGISTRATION].members == entra_ids(["amy", "admin"])
    assert by_type[GroupType.TEACHING].owners == entra_ids(["admin", "main"])
    assert by_type[GroupType.TEACHING].members == entra_ids(["amy", "ben", "admin", "main"])
    assert ruled.people_without_account == ()
    assert ruled.notes == ()


def test_all_teaching_staff_own_where_the_school_chose_so() -> None:
    ruled = desired_classes(snapshot([MATHS]), settings(teaching_owners=TeachingOwners.ALL), EVERYBODY, {})
    assert ruled.classes[0].owners == entra_ids(["main", "second"])


def test_only_the_chosen_types_become_classes() -> None:
    ruled = desired_classes(snapshot([MATHS, FORM, YEAR]), settings(types=[GroupType.REGISTRATION]), EVERYBODY, {})
    assert [wanted.key for wanted in ruled.classes] == [class_key(FORM)]


def test_a_group_outside_the_scope_is_not_there() -> None:
    ruled = desired_classes(snapshot([MATHS, FORM, YEAR]), settings(), EVERYBODY, {}, frozenset({"T1"}))
    assert [wanted.key for wanted in ruled.classes] == [class_key(MATHS)]


def test_a_person_without_an_account_is_left_out_and_reported_by_id() -> None:
    ruled = desired_classes(snapshot([MATHS]), settings(), accounts(["amy", "second"]), {})
    assert ruled.classes[0].members == entra_ids(["amy"])
    assert ruled.classes[0].owners == frozenset()
    assert ruled.people_without_account == ("ben", "main")


def test_staff_who_own_nothing_need_no_account() -> None:
    ruled = desired_classes(snapshot([MATHS, FORM]), settings(), accounts(["amy", "ben", "main"]), {})
    assert ruled.people_without_account == ()


def test_a_class_with_no_one_in_it_is_said_with_its_place_and_remedy() -> None:
    ruled = desired_classes(snapshot([teaching("T9", "Empty")]), settings(), EVERYBODY, {})
    assert len(ruled.classes) == 1
    assert ruled.notes == (
        "teaching group T9 has no one in it: its class has no students — "
        "put people into the group in the MIS, or end the group there",
    )


def test_an_admin_owner_without_an_account_is_said_without_his_address() -> None:
    ruled = desired_classes(snapshot([MATHS]), settings(admins=["gone@x.y", ADMIN]), EVERYBODY, {})
    assert ruled.classes[0].owners == entra_ids(["admin", "main"])
    assert ruled.notes == (
        "admin owner number 1 of the settings has no account — correct admin_owners in the school's settings",
    )


def test_account_names() -> None:
    assert account_name(Person("1", "ASmith"), "X.org") == "asmith@x.org"
    assert account_name(Person("1", "a@Y.org", "b@z.org"), "x.org") == "a@y.org"
    assert account_name(Person("1", "", "B@z.org"), "x.org") == "b@z.org"
    assert account_name(Person("1"), "x.org") == ""


def test_matching_ignores_case_and_a_person_with_no_name_matches_nobody() -> None:
    feed = snapshot([teaching("T1", "A", ["AMY", "nobody"])])
    people = {"AMY": Person("AMY", "AMY"), "nobody": Person("nobody")}
    ruled = desired_classes(type(feed)(feed.school, feed.groups, people), settings(), accounts(["amy"]), {})
    assert ruled.classes[0].members == entra_ids(["amy"])
    assert ruled.people_without_account == ("nobody",)
