"""Names are valid for Graph, distinct, stable across runs, and independent of the order of the feed."""

from __future__ import annotations

import random

from hypothesis import assume, given
from hypothesis import strategies as st

from sync_core.domain.ids import MisId
from sync_core.domain.nicknames import identifier_in_nickname
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.naming.names import assign_names, following_nickname
from tests.builders import by_class_key

FORBIDDEN = set("@()\\/[]\"';:<>, ")

DOUBTFUL = set("&*?|{}+")

similar_names = st.text(alphabet="2SDTsdt1/ -.'é", max_size=8)
names = st.one_of(similar_names, st.text(max_size=90))
identifiers = st.one_of(st.just("1234567"), st.text(max_size=40))
groups = st.builds(
    lambda listed: [
        MisGroup(id=MisId(f"G{at}"), type=type_, name=name, academic_year=year)
        for at, (type_, name, year) in enumerate(listed)
    ],
    st.lists(st.tuples(st.sampled_from(GroupType), names, st.sampled_from([2025, 2026])), max_size=14),
)


def assert_valid_nickname(nickname: str) -> None:
    assert 1 <= len(nickname) <= 64
    assert nickname.isascii()
    assert nickname.isprintable()
    assert not FORBIDDEN & set(nickname)
    assert not nickname.startswith(".")
    assert not nickname.endswith(".")
    assert ".." not in nickname


@given(groups, identifiers)
def test_every_name_is_valid_for_graph_and_distinct(listed: list[MisGroup], identifier: str) -> None:
    assigned = assign_names(by_class_key(listed), identifier, {})
    assert set(assigned) == {class_key(group) for group in listed}
    for name in assigned.values():
        assert_valid_nickname(name.mail_nickname)
        assert 1 <= len(name.display_name) <= 256
        assert not DOUBTFUL & set(name.display_name)
    nicknames = [name.mail_nickname.lower() for name in assigned.values()]
    assert len(set(nicknames)) == len(nicknames)


@given(groups, identifiers, st.randoms(use_true_random=False))
def test_names_do_not_depend_on_the_order_of_the_feed(
    listed: list[MisGroup], identifier: str, shuffler: random.Random
) -> None:
    shuffled = list(listed)
    shuffler.shuffle(shuffled)
    assert assign_names(by_class_key(shuffled), identifier, {}) == assign_names(by_class_key(listed), identifier, {})


@given(groups, groups, identifiers)
def test_assigned_names_are_kept(before: list[MisGroup], after: list[MisGroup], identifier: str) -> None:
    known = assign_names(by_class_key(before), identifier, {})
    renamed = assign_names(by_class_key(after), identifier, known)
    for key in known.keys() & renamed.keys():
        assert renamed[key] == known[key]
    all_names = {**known, **renamed}
    assert len({name.mail_nickname.lower() for name in all_names.values()}) == len(all_names)


@given(groups, identifiers)
def test_following_nicknames_are_valid_and_new(listed: list[MisGroup], identifier: str) -> None:
    for name in assign_names(by_class_key(listed), identifier, {}).values():
        seen = {name.mail_nickname}
        nickname = name.mail_nickname
        for _ in range(12):
            nickname = following_nickname(nickname)
            assert_valid_nickname(nickname)
            assert nickname not in seen
            seen.add(nickname)


@given(groups, groups, st.lists(identifiers, min_size=2, max_size=2))
def test_two_schools_of_a_tenant_never_share_a_nickname(
    here: list[MisGroup], there: list[MisGroup], chosen: list[str]
) -> None:
    cleaned = [identifier_in_nickname(identifier).lower() for identifier in chosen]
    assume(all(cleaned) and cleaned[0] != cleaned[1])
    nicknames = [
        {name.mail_nickname.lower() for name in assign_names(by_class_key(listed), identifier, {}).values()}
        for listed, identifier in zip((here, there), chosen, strict=True)
    ]
    assert not nicknames[0] & nicknames[1]
