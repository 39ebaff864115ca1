"""The naming table of docs/rules.md row by row, and unusual names that it does not show."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.planning.naming.class_keys import class_key, is_key
from sync_core.planning.naming.names import assign_names, class_name, clean_group_name, following_nickname
from tests.builders import by_class_key, teaching

TABLE = [
    # type, name in MIS, academic year start, group name, class name, nickname
    ("year", "13", 2019, "13", "13_Class [1234567][2019]", "13.class.1234567.2019"),
    ("teaching", "2S/DT1", 2019, "2SDT1", "2SDT1_Class [1234567][2019]", "2SDT1.class.1234567.2019"),
    ("registration", "5L", 2020, "5L", "5L_Class [1234567][2020]", "5L.class.1234567.2020"),
    ("teaching", "Mon Ch", 2020, "Mon Ch", "Mon-Ch_Class [1234567][2020]", "Mon-Ch.class.1234567.2020"),
]


@pytest.mark.parametrize(("type_", "in_mis", "year", "group_name", "display_name", "nickname"), TABLE)
def test_names_follow_the_table(
    type_: str, in_mis: str, year: int, group_name: str, display_name: str, nickname: str
) -> None:
    group = MisGroup(id=MisId("G1"), type=GroupType(type_), name=in_mis, academic_year=year)
    assert clean_group_name(in_mis) == group_name
    assert class_name(group, "1234567") == ClassName(display_name, nickname)


UNUSUAL = [
    ("Größe 1", "Größe-1", "Grosse-1"),
    ("9é/Fr1", "9éFr1", "9eFr1"),
    ("O'Neill Set", "ONeill-Set", "ONeill-Set"),
    ("A - B", "A-B", "A-B"),
    ("Ma1.", "Ma1.", "Ma1"),
    ("..Ma..1", "..Ma..1", "Ma.1"),
    ("日本語", "日本語", "RiBenYu"),
    ("//", "teaching", "teaching"),
    ("  7x \t 1 ", "7x-1", "7x-1"),
    ("...", "...", "teaching"),
    ("R&D + {Ma|1}*?", "RD-Ma1", "RD-Ma1"),
    ("&", "teaching", "teaching"),
]


@pytest.mark.parametrize(("in_mis", "shown", "stem"), UNUSUAL)
def test_unusual_names_are_cleaned(in_mis: str, shown: str, stem: str) -> None:
    name = class_name(teaching("G1", in_mis), "1234567")
    assert name == ClassName(f"{shown}_Class [1234567][2026]", f"{stem}.class.1234567.2026")


def test_a_long_name_is_cut_to_graphs_limits() -> None:
    name = class_name(teaching("G1", "x" * 300), "1234567", number=12)
    assert name.mail_nickname == "x" * 42 + "-12.class.1234567.2026"
    assert len(name.mail_nickname) == 64
    assert len(name.display_name) <= 256


def test_colliding_names_are_numbered_and_the_clean_one_is_kept() -> None:
    slashed, plain, spaced = teaching("1", "2S/DT1"), teaching("2", "2SDT1"), teaching("3", "2sdt1")
    for order in ([slashed, plain, spaced], [spaced, slashed, plain], [plain, spaced, slashed]):
        names = assign_names(by_class_key(order), "1234567", {})
        assert {key: name.mail_nickname for key, name in names.items()} == {
            class_key(plain): "2SDT1.class.1234567.2026",
            class_key(spaced): "2sdt1-2.class.1234567.2026",
            class_key(slashed): "2SDT1-3.class.1234567.2026",
        }


def test_known_names_stay_and_new_ones_avoid_them() -> None:
    old, new = teaching("1", "2S/DT1"), teaching("2", "2SDT1")
    known = assign_names(by_class_key([old]), "1234567", {})
    names = assign_names(by_class_key([new, old]), "1234567", known)
    assert names[class_key(old)].mail_nickname == "2SDT1.class.1234567.2026"
    assert names[class_key(new)].mail_nickname == "2SDT1-2.class.1234567.2026"
    assert assign_names(by_class_key([old]), "OTHER", known) == known


@pytest.mark.parametrize(
    ("nickname", "following"),
    [
        ("5L.class.1234567.2026", "5L-2.class.1234567.2026"),
        ("5L-2.class.1234567.2026", "5L-3.class.1234567.2026"),
        ("x" * 45 + ".class.1234567.2026", "x" * 43 + "-2.class.1234567.2026"),
    ],
)
def test_the_following_nickname_has_the_next_number(nickname: str, following: str) -> None:
    assert following_nickname(nickname) == following


@example("a/b", "a~2Fb")
@given(st.text(min_size=1, max_size=100), st.text(min_size=1, max_size=100))
def test_class_keys_are_distinct_and_have_only_characters_that_a_shell_leaves_alone(one: str, other: str) -> None:
    keys = [class_key(teaching(id_, "x")) for id_ in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)
    for key in keys:
        assert re.fullmatch(r"[A-Za-z0-9._~-]{1,80}", key)
        assert is_key(key)


def test_class_keys_are_safe_for_tables_and_sessions() -> None:
    assert class_key(teaching("a/b#c?d\\e|f", "x")) == "2026.teaching.a~2Fb~23c~3Fd~5Ce~7Cf"
    long_one, other = class_key(teaching("x" * 200, "x")), class_key(teaching("x" * 200 + "y", "x"))
    assert len(long_one) == 80
    assert long_one != other
