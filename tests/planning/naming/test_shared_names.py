"""Which classes of other products share a name with classes to create, and what an admin reads about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.classes.desired import ClassName, DesiredClass
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import ClassId, ClassKey, SchoolId
from sync_core.errors import Permanent, SyncError, Transient
from sync_core.planning.naming.class_keys import class_key, is_own_external_id
from sync_core.planning.naming.shared_names import SharedNames, find_shared_names, note_on_shared, note_on_unknown
from tests.builders import class_id, desired, synced, teaching

MATHS = replace(desired("2026.teaching.G1"), group_name="7A/Ma", name=ClassName("7AMa_Class [1][2026]", "7ama"))
OTHER = TenantClass(ClassId("other"), "7A/Ma", "G1", "sis")


def keys(existing: TenantClass, *created: DesiredClass) -> tuple[ClassKey, ...]:
    return find_shared_names(created or (MATHS,), [existing], {}).keys


@pytest.mark.parametrize("name", ["7A/Ma", " 7a/ma ", "7AMa_Class [1][2026]", "7ama_CLASS [1][2026]"])
def test_the_name_of_the_class_or_of_its_group_is_shared(name: str) -> None:
    assert keys(replace(OTHER, display_name=name)) == (MATHS.key,)


@pytest.mark.parametrize("name", ["7A", "7AMa", "7A /Ma", "Exp0726 7A/Ma", "7AMa_Class [1][2025]", ""])
def test_another_name_is_not_shared(name: str) -> None:
    assert keys(replace(OTHER, display_name=name)) == ()


def test_a_class_without_a_name_of_its_group_shares_none_with_a_class_without_a_name() -> None:
    assert keys(replace(OTHER, display_name=" "), replace(MATHS, group_name="")) == ()


@pytest.mark.parametrize("source", ["manual", "", "lms"])
def test_a_class_that_no_product_made_from_an_mis_does_not_count(source: str) -> None:
    assert keys(replace(OTHER, external_source=source)) == ()


@pytest.mark.parametrize("external_id", ["S1|2026.teaching.G1", "S2|2025.year.13", "a|b|2026.registration.R~2F1"])
def test_a_class_with_an_external_id_of_this_app_does_not_count(external_id: str) -> None:
    assert keys(replace(OTHER, external_id=external_id)) == ()


@pytest.mark.parametrize(
    "external_id", ["", "G1", "2026.teaching.G1", "S1|G1", "S1|2026.house.G1", "S1|2026.teaching."]
)
def test_a_class_with_another_external_id_counts(external_id: str) -> None:
    assert keys(replace(OTHER, external_id=external_id)) == (MATHS.key,)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
    st.text(min_size=1, max_size=200),
    st.integers(1, 9999),
)
def test_every_class_of_this_app_is_recognised(school: str, group: str, year: int) -> None:
    key = class_key(teaching(group, "7A", year=year))
    record = replace(synced(replace(MATHS, key=key)), school=SchoolId(school))
    assert is_own_external_id(record.external_id)


def test_a_class_in_the_rows_does_not_count_even_without_its_external_id() -> None:
    """Whether a restored class keeps its externalId is not documented."""
    record = synced(MATHS)
    earlier = replace(record, actual=None, previous_ids=frozenset({class_id(MATHS.key)}))
    nameless = replace(OTHER, id=class_id(MATHS.key), external_id="")
    for row in (record, earlier):
        assert find_shared_names([MATHS], [nameless], {MATHS.key: row}).keys == ()


def test_classes_to_create_and_classes_of_other_products_are_counted_separately() -> None:
    art = replace(desired("2026.teaching.G2"), group_name="7A/Ar")
    twin = replace(OTHER, id=ClassId("twin"))
    assert find_shared_names([MATHS, art], [OTHER, twin], {}) == SharedNames(2, (MATHS.key,), (OTHER, twin))
    alike = replace(art, group_name="7a/ma")
    assert find_shared_names([MATHS, alike], [OTHER], {}) == SharedNames(2, (MATHS.key, alike.key), (OTHER,))


def test_the_note_counts_both_and_has_five_examples() -> None:
    others = tuple(TenantClass(ClassId(f"c{number}"), f"7{number}", "", "sis") for number in range(7))
    shared = SharedNames(9, tuple(ClassKey(f"K{number}") for number in range(6)), others)
    assert note_on_shared(shared, shared.names) == (
        "6 of the 9 classes to create share a name with 7 classes that are not of this app and come from an MIS "
        "(externalSource sis), as those of School Data Sync do: 70, 71, 72, 73, 74 and 2 more; those stay as they are, "
        "so a group may then have two classes — compare the people in both, because another school or an earlier year "
        "may use the same name; if they are the same groups, let one product keep them: stop School Data Sync for this "
        "school, or leave their types out of types in the school's settings"
    )
    assert ": K0, K1, K2, K3, K4 and 1 more;" in note_on_shared(shared, shared.keys)
    assert ": K0, K1;" in note_on_shared(shared, shared.keys[:2])


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (Transient("Graph was throttled", "it is retried"), "request a preview of the school to look again"),
        (Permanent("Graph was throttled", "grant it"), "grant it"),
    ],
)
def test_the_note_on_classes_that_cannot_be_listed_does_not_guess(error: SyncError, remedy: str) -> None:
    assert note_on_unknown(error) == (
        "the tenant's classes could not be listed (Graph was throttled), so it is not known whether another product, "
        f"such as School Data Sync, has classes with the names of those to create — {remedy}"
    )
