"""Holds from their parts in single classes: one for each cause and decision, with the text that an admin reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from hashlib import sha256

from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId
from sync_core.domain.runs import Approval, HeldClass, Hold, HoldKind, HoldStatus

_LISTED_PEOPLE = 2000
"""The most people of each list of a part: a row of a table holds no more."""
_LISTED_CLASSES = 3
"""The most classes in the text of a hold."""

Part = tuple[Hold, HeldClass, HoldStatus]
"""A class that is held, with the decision on it. The hold has the kind and the limit, and maybe other classes."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What admins decided on held classes, by the digest of the part. OPEN: nothing yet.

    `asked` are the earlier and the new class of each continuation that is open, or approved and not carried out.
    """

    by_digest: Mapping[str, HoldStatus] = field(default_factory=dict)
    asked: frozenset[tuple[ClassKey, ClassKey]] = frozenset()


NO_DECISIONS = Decisions()


@dataclass(frozen=True, slots=True)
class _Texts:
    """`what` sums up the parts of a hold."""

    what: str
    remedy: str
    approval: Approval = Approval.ONE_STEP


_IF_RIGHT = "approve this hold if the MIS is right, or only the classes for which it is"
_TRIED = "the page People, or a plan over the API, shows for each of them what was tried, and the nearest accounts"

TEXTS: Mapping[HoldKind, _Texts] = {
    HoldKind.GROUP_EMPTIED: _Texts(
        "classes whose group has no pupils in the MIS any more: {classes}; {listed}",
        "put the pupils back into the groups in the MIS; end a group that is over there, because its class then keeps "
        "its people; approve this hold if the MIS is right and nobody is to stay in these classes",
    ),
    HoldKind.LEFT_GROUP: _Texts(
        "people who left the MIS group of their class: {people}; {listed}",
        f"{_IF_RIGHT}; otherwise put these people back into their groups in the MIS before the next sync",
    ),
    HoldKind.LEFT_MIS: _Texts(
        "people in classes who are in no group of the MIS any more: {people}; {listed}",
        f"{_IF_RIGHT}; otherwise correct these people, or the dates of their enrolments, in the MIS or its export",
    ),
    HoldKind.ACCOUNT_DELETED: _Texts(
        "people in classes whose account is no longer in the tenant: {people}; {listed}",
        "restore the accounts in the Microsoft Entra admin center, which keeps deleted users for 30 days; approve this "
        "hold if they were deleted on purpose",
    ),
    HoldKind.UNCLAIMED_ACCOUNT: _Texts(
        "accounts in classes that nobody in the MIS group finds any more: {people}; {listed}",
        "compare students, staff and account_domain in the school's settings with the accounts; approve this hold if "
        "these people have other accounts now, or only the classes where they do",
    ),
    HoldKind.PINNED: _Texts(
        "people in classes who are not in the pin of the class: {people}; {listed}",
        "approve this hold if the classes should be as they are pinned; otherwise release the pins of the others",
    ),
    HoldKind.TURNOVER: _Texts(
        "classes in which nearly everybody would be replaced: {classes}; {listed}",
        f"{_IF_RIGHT}; otherwise correct the MIS: groups of a new academic year need that year",
    ),
    HoldKind.LOST_MATCHING: _Texts(
        "{persons} people had an account and find none now: they stay in their classes ({classes})",
        f"{_TRIED}; correct students, staff or account_domain in the school's settings, the MIS, or the account: a "
        "person who is found again needs no decision",
        Approval.TWO_STEPS,
    ),
    HoldKind.ACCOUNT_MATCHING: _Texts(
        "{why}",
        "compare students, staff and account_domain in the school's settings with the accounts: "
        f"{_TRIED}; the next sync after the correction goes ahead",
        Approval.TWO_STEPS,
    ),
    HoldKind.SCHOOL_LOSS: _Texts(
        "{why}; {memberships} of them now, in {classes} classes",
        f"{_IF_RIGHT}; otherwise correct the MIS before the next sync",
    ),
    HoldKind.SLOW_LEAK: _Texts(
        "{why}; {memberships} of them now, in {classes} classes",
        f"{_IF_RIGHT}; otherwise correct the MIS before the next sync",
    ),
    HoldKind.CONTINUATION: _Texts(
        "groups without a class that may continue earlier classes, whose own groups the MIS no longer has: {classes}; "
        "{listed}",
        "compare each group with the class; approve this hold, or only some of its classes, where they are the same: "
        "the group's people then come into the earlier class with its content, and pupils who are not in the group "
        "leave it; reject the others, which then get new classes while the earlier ones stay as they are",
    ),
    HoldKind.ADOPTION: _Texts(
        "groups without a class for which somebody may have made a class team by hand: {classes}; {listed}",
        "look at each team in Microsoft Teams; approve this hold, or only some of its classes, where the team is that "
        "of the group: it keeps its name, its channels and its owners, the group's people come into it, and its "
        "members who are not in the group leave it; reject the others, whose groups then get classes of their own "
        "while these teams stay as they are",
    ),
    HoldKind.NEW_CLASSES: _Texts(
        "new classes: {classes}, {why}",
        "approve this hold, or only some of its classes, if these groups should have classes; otherwise choose fewer "
        "types in the school's settings, or correct the MIS",
    ),
}


def held_class(
    kind: HoldKind,
    key: ClassKey,
    names: tuple[str, str],
    what: str,
    *,
    students: int = 0,
    leaving: Collection[AccountId] = (),
    joining: Collection[AccountId] = (),
    people: Collection[MisId] = (),
) -> HeldClass:
    """A part of a hold. `names` are those of the group in the MIS and of the class."""
    shown = [kind, key, sorted(leaving), sorted(joining), [] if leaving or joining else sorted(people)]
    return HeldClass(
        group_name=names[0],
        name=names[1],
        key=key,
        what=what,
        lost=len(leaving),
        students=students,
        leaving=tuple(sorted(leaving)[:_LISTED_PEOPLE]),
        joining=tuple(sorted(joining)[:_LISTED_PEOPLE]),
        people=tuple(sorted(people)[:_LISTED_PEOPLE]),
        digest=digest_of(shown),
    )


def continuing_class(
    key: ClassKey, continues: ClassKey, group_name: str, what: str, *, students: int, lost: int, people: Set[MisId]
) -> HeldClass:
    """The part of a hold for a group that gets the class `key`, or else continues the class `continues`.

    Its digest covers what is shown: `what` they have in common, and the `people` of the group. Of the `students` of
    the earlier class, `lost` are not in the group.
    """
    return HeldClass(
        group_name=group_name,
        name="",
        key=key,
        continues=continues,
        what=what,
        lost=lost,
        students=students,
        people=tuple(sorted(people)[:_LISTED_PEOPLE]),
        digest=digest_of([HoldKind.CONTINUATION, key, continues, what, sorted(people)]),
    )


def adopting_class(
    key: ClassKey,
    adopts: ClassId,
    group_name: str,
    what: str,
    *,
    students: int,
    leaving: Set[AccountId],
    joining: Set[AccountId],
) -> HeldClass:
    """The part of a hold for a group that gets the class `key`, or else takes the class `adopts` of Microsoft 365.

    Its digest covers that class, and who would leave it, out of its `students`, and come into it.
    """
    return HeldClass(
        group_name=group_name,
        name="",
        key=key,
        adopts=adopts,
        what=what,
        lost=len(leaving),
        students=students,
        leaving=tuple(sorted(leaving)[:_LISTED_PEOPLE]),
        joining=tuple(sorted(joining)[:_LISTED_PEOPLE]),
        digest=digest_of([HoldKind.ADOPTION, key, adopts, sorted(leaving), sorted(joining)]),
    )


def parts_of(holds: Iterable[Hold], decided: Mapping[str, HoldStatus] | None = None) -> list[Part]:
    """The parts of the holds. `decided` are new decisions by the digest of a part."""
    decisions = decided or {}
    return [(hold, part, decisions.get(part.digest, hold.status)) for hold in holds for part in hold.classes]


def decisions_on(holds: Iterable[Hold], decided: Mapping[str, HoldStatus]) -> Decisions:
    """The decisions on these holds. `decided` are the newest, by the digest of a part."""
    parts = parts_of(holds, decided)
    asked = [
        (part.continues, part.key)
        for hold, part, status in parts
        if hold.kind is HoldKind.CONTINUATION and status is not HoldStatus.REJECTED
    ]
    return Decisions({part.digest: status for _, part, status in parts} | dict(decided), frozenset(asked))


def holds_of(parts: Iterable[Part]) -> tuple[Hold, ...]:
    """The parts of one kind and one decision as one hold, in the order in which these first occur."""
    groups: dict[tuple[HoldKind, HoldStatus], list[Part]] = {}
    for part in parts:
        groups.setdefault((part[0].kind, part[2]), []).append(part)
    return tuple(_hold(parts) for parts in groups.values())


def with_newer(standing: Iterable[Hold], newer: Iterable[Hold]) -> tuple[Hold, ...]:
    """The `standing` holds with `newer` ones in place of their parts of the same kind and class."""
    found = parts_of(newer)
    replaced = {(hold.kind, part.key) for hold, part, _ in found}
    kept = [each for each in parts_of(standing) if (each[0].kind, each[1].key) not in replaced]
    return holds_of([*found, *kept])


def people_of(parts: Iterable[HeldClass]) -> frozenset[MisId]:
    """The MIS person ids of all these classes."""
    return frozenset(person for part in parts for person in part.people)


def hold_text(hold: Hold) -> str:
    """The hold for the notes of a run, which are in logs: of its classes it has the keys, and not the names."""
    what = _sum_up(hold.kind, hold.why, hold.classes, _keyed_text)
    return f"hold {hold.digest} ({hold.kind}): {what} — {hold.remedy}"


def part_text(hold: Hold, part: HeldClass) -> str:
    """The hold as it concerns one class. That of account matching concerns all of them alike."""
    if hold.kind is HoldKind.ACCOUNT_MATCHING:
        return hold_text(hold)
    return f"hold {hold.digest} ({hold.kind}): {_class_text(part)} — {hold.remedy}"


def _hold(parts: Sequence[Part]) -> Hold:
    """One hold of these parts, which have the same kind and decision."""
    first, _, status = parts[0]
    classes = tuple(sorted((part for _, part, _ in parts), key=lambda part: part.key))
    what = _sum_up(first.kind, first.why, classes, _class_text)
    digest, value = digest_of([first.kind, [part.digest for part in classes]]), max(hold.value for hold, _, _ in parts)
    return replace(first, digest=digest, status=status, what=what, value=value, classes=classes)


def _sum_up(kind: HoldKind, why: str, classes: Collection[HeldClass], text: Callable[[HeldClass], str]) -> str:
    largest = sorted(classes, key=lambda part: (-part.lost / (part.students or 1), part.key))
    more = len(classes) - _LISTED_CLASSES
    listed = "; ".join(map(text, largest[:_LISTED_CLASSES])) + (f"; and {more} more" if more > 0 else "")
    return TEXTS[kind].what.format(
        why=why,
        listed=listed,
        classes=len(classes),
        people=len({account for part in classes for account in part.leaving}),
        persons=len(people_of(classes)),
        memberships=sum(part.lost for part in classes),
    )


def _class_text(part: HeldClass) -> str:
    name = f" ({part.name or part.group_name})" if part.name or part.group_name else ""
    return f"class {part.key}{name} {part.what}"


def _keyed_text(part: HeldClass) -> str:
    return f"class {part.key} {part.what}"


def digest_of(shown: object) -> str:
    """What identifies exactly what an admin was shown: 32 hexadecimal digits. `shown` is JSON in a fixed order."""
    return sha256(json.dumps(shown).encode()).hexdigest()[:32]
