"""The people of a class as wanted, as Microsoft 365 has them and as the MIS has them, in one list."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sync_core.admin.classes.one_class import Seen, people_of
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import AccountId
from sync_core.planning.explain.model import People, Role
from tests.builders import desired, entra_id

_SOME = st.frozensets(st.sampled_from([entra_id(name) for name in "abcdef"]))


@st.composite
def classes(draw: st.DrawFn) -> DesiredClass:
    owners = draw(_SOME)
    return replace(desired("K"), owners=owners, members=draw(_SOME) | owners)


_THERE = st.one_of(
    st.none(),
    st.just(People(found=False)),
    st.builds(People, st.one_of(st.none(), _SOME), _SOME),
)


@given(classes(), _THERE, st.one_of(st.none(), classes()))
def test_everybody_is_listed_once_with_their_roles(
    wanted: DesiredClass, there: People | None, mis: DesiredClass | None
) -> None:
    listed = people_of(wanted, there, mis)
    found = {person.account: person for person in listed}
    assert len(found) == len(listed)
    assert {account for account, person in found.items() if person.wanted} == wanted.members
    assert {account for account, person in found.items() if person.wanted is Role.OWNER} == wanted.owners
    in_class = (there.members or frozenset()) | there.owners if there else frozenset()
    assert {account for account, person in found.items() if person.there} == in_class
    assert {account for account, person in found.items() if person.mis} == (mis.members if mis else frozenset())


@given(classes(), _THERE)
def test_nobody_is_said_to_be_missing_where_it_is_not_known(wanted: DesiredClass, there: People | None) -> None:
    for person in people_of(wanted, there):
        if there is None:
            assert person.seen is Seen.UNKNOWN
        elif not there.found:
            assert person.seen is Seen.NO_CLASS
        elif there.members is None and person.wanted is not Role.OWNER and person.there is None:
            assert person.seen is Seen.UNKNOWN


@given(classes(), _SOME, _SOME)
def test_seen_is_the_comparison_of_the_two_roles(
    wanted: DesiredClass, members: frozenset[AccountId], owners: frozenset[AccountId]
) -> None:
    for person in people_of(wanted, People(members, owners)):
        expected = {
            (None, Role.MEMBER): Seen.EXTRA,
            (None, Role.OWNER): Seen.EXTRA_OWNER,
            (Role.MEMBER, Role.OWNER): Seen.EXTRA_OWNER,
            (Role.MEMBER, None): Seen.MISSING,
            (Role.OWNER, None): Seen.MISSING,
            (Role.OWNER, Role.MEMBER): Seen.MISSING,
        }.get((person.wanted, person.there), Seen.SAME)
        assert person.seen is expected


def test_those_who_differ_come_first_then_the_owners() -> None:
    wanted = desired("K", ["amy", "ben"], ["main"])
    there = People(wanted.members - {entra_id("ben")}, wanted.owners)
    assert [person.account for person in people_of(wanted, there)] == [
        entra_id("ben"),
        entra_id("main"),
        entra_id("amy"),
    ]
