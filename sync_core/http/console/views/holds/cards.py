"""A hold as a card that an admin decides on: its cause, its people and its limit, in words of the console."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sync_core.domain.ids import AccountId, ClassKey, MisId
from sync_core.domain.runs import Approval, HeldClass, Hold, HoldKind, HoldStatus
from sync_core.domain.school.settings import PauseReason
from sync_core.http.console.formats import count
from sync_core.http.console.forms import FieldFault, read_form
from sync_core.http.console.views.classes.one_class import open_in_microsoft_365
from sync_core.http.console.views.holds.words import SHARES, WORDS
from sync_core.planning.limits.holds import people_of

CLASSES_OF_CARD, PEOPLE_OF_CARD = 3, 6
"""What a card shows of a hold at most: classes, and people of each. The page of the hold has the others."""


class Answer(StrEnum):
    """What an admin may decide about a hold."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"


class Move(StrEnum):
    """What a hold says of a person."""

    LEAVES = "leaves"
    JOINS = "joins"
    NO_ACCOUNT = "finds no account"
    IN_GROUP = "is in the group"


MATCHING_KINDS = frozenset({HoldKind.ACCOUNT_MATCHING, HoldKind.LOST_MATCHING})
"""Holds that a correct rule for finding accounts dissolves."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What exceeds a limit, and the limit: per cent as text, and a sentence with both."""

    value: str
    limit: str
    text: str


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person of a held class, by Entra id or, where there is no account, by MIS id."""

    move: Move
    id: AccountId | MisId


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCard:
    """A class of a hold. Of its people, `rows` are shown and `more` are not.

    `link` is the address of the class in Microsoft 365 that may be that of the group; empty if there is none.
    """

    key: ClassKey
    title: str
    what: str
    rows: tuple[PersonRow, ...]
    more: int
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCard:
    """A hold in words. Of its classes, `classes` are shown and `more` are not.

    `confirm` is how many people find no account, if an approval has to repeat that.
    """

    hold: Hold
    headline: str
    cause: str
    check: str
    gauge: Gauge | None
    classes: tuple[ClassCard, ...]
    more: int
    answers: Mapping[Answer, tuple[str, str]]
    confirm: int | None

    @property
    def of_matching(self) -> bool:
        return self.hold.kind in MATCHING_KINDS


def card_of(hold: Hold, classes: int = CLASSES_OF_CARD, people: int = PEOPLE_OF_CARD) -> HoldCard:
    """The hold with its largest losses first, and so many classes and people of each at most."""
    words = WORDS[hold.kind]
    values = _values(hold)
    single = len(hold.classes) == 1
    largest = sorted(hold.classes, key=lambda part: (-part.lost / (part.students or 1), title_of(part)))
    return HoldCard(
        hold=hold,
        headline=(words.one if single else words.many).format(**values),
        cause=_sentence(words.cause.format(**values)),
        check=words.check,
        gauge=_gauge(hold),
        classes=tuple(_class_card(part, people) for part in largest[:classes]),
        more=max(0, len(largest) - classes),
        answers={
            Answer.APPROVE: (words.approve, words.effect.format(**values)),
            Answer.REJECT: (words.reject, words.kept),
            Answer.PAUSE: ("Pause the school", "No class of the school changes until it is resumed."),
        },
        confirm=len(people_of(hold.classes)) if hold.approval is Approval.TWO_STEPS else None,
    )


def class_rows(hold: Hold) -> tuple[ClassCard, ...]:
    """All classes of the hold, the largest losses first, each with the number of its people as `more`."""
    return card_of(hold, classes=len(hold.classes), people=0).classes


def title_of(part: HeldClass) -> str:
    """The name of the group in the MIS, or, if there is none, that of the class."""
    return part.group_name or part.name or part.key


def rows_of(part: HeldClass) -> tuple[PersonRow, ...]:
    """The people of a part: who leaves, then who joins; if nobody does, the people whom it is about."""
    leaving = tuple(PersonRow(Move.LEAVES, id_) for id_ in part.leaving)
    joining = tuple(PersonRow(Move.JOINS, id_) for id_ in part.joining)
    about = Move.IN_GROUP if part.continues else Move.NO_ACCOUNT
    return (*leaving, *joining) or tuple(PersonRow(about, id_) for id_ in part.people)


def accounts_of(rows: Iterable[PersonRow]) -> list[AccountId]:
    """The accounts whose names a page looks up."""
    return [AccountId(row.id) for row in rows if row.move in (Move.LEAVES, Move.JOINS)]


def in_order(rows: Iterable[PersonRow], names: Mapping[AccountId, str]) -> list[PersonRow]:
    """Those who leave first, then those who join, each in the order of their names."""
    moves = list(Move)
    return sorted(rows, key=lambda row: (moves.index(row.move), names.get(AccountId(row.id), row.id).casefold()))


def accounts_of_cards(cards: Iterable[HoldCard]) -> list[AccountId]:
    return accounts_of(row for card in cards for part in card.classes for row in part.rows)


def decided(hold: Hold) -> str:
    """What was decided about a hold, as the label that was chosen; empty for an open one."""
    words = WORDS[hold.kind]
    return {HoldStatus.APPROVED: words.approve, HoldStatus.REJECTED: words.reject}.get(hold.status, "")


# --- the decision


@dataclass(frozen=True, slots=True)
class _Pause:
    reason: PauseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionForm:
    """A decision as it was sent, in texts, to fill the form in again. `chosen`: it is about the keys in `classes`."""

    answer: str = ""
    confirm: str = ""
    reason: str = ""
    classes: tuple[str, ...] = ()
    chosen: bool = False

    @property
    def confirmed(self) -> int | None:
        text = self.confirm.strip().replace(",", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None

    def parts(self, hold: Hold) -> tuple[HeldClass, ...]:
        """The classes of the hold that are decided."""
        return tuple(part for part in hold.classes if not self.chosen or part.key in self.classes)


def faults_of_decision(form: DecisionForm, hold: Hold) -> tuple[FieldFault, ...]:
    """What is missing from a decision on this hold."""
    if form.answer not in tuple(Answer):
        return (FieldFault("answer", "choose what is right"),)
    if form.answer == Answer.PAUSE:
        return _faults_of_reason(form.reason)
    parts = form.parts(hold)
    if not parts:
        return (FieldFault("classes", "choose at least one class"),)
    people = len(people_of(parts))
    two_steps = form.answer == Answer.APPROVE and hold.approval is Approval.TWO_STEPS
    if two_steps and form.confirmed != people:
        return (FieldFault("confirm", f"{people} people of these classes find no account; type {people} to confirm"),)
    return ()


def _faults_of_reason(reason: str) -> tuple[FieldFault, ...]:
    if not reason.strip():
        return (FieldFault("reason", "say why, without anybody's name"),)
    read = read_form(_Pause, {"reason": reason})
    return () if isinstance(read, _Pause) else read


# --- texts


def _values(hold: Hold) -> dict[str, str]:
    parts = hold.classes
    first = parts[0]
    return {
        "title": title_of(first),
        "lost": count(first.lost),
        "students": count(first.students),
        "people": count(len({id_ for part in parts for id_ in part.leaving}), "pupil"),
        "persons": count(len(people_of(parts)), "person", "people"),
        "memberships": count(sum(part.lost for part in parts), "membership"),
        "classes": count(len(parts), "class", "classes"),
        "groups": count(len(parts), "group"),
        "why": hold.why,
    }


def _gauge(hold: Hold) -> Gauge | None:
    """For a share that exceeds its limit. A hold that an earlier plan made may be within the limit now."""
    if hold.kind not in SHARES or hold.value <= hold.limit:
        return None
    shares = [100 * min(1.0, share) for share in (hold.value, hold.limit)]
    digits = 0 if round(shares[0]) > round(shares[1]) else 1
    value, limit = (f"{share:.{digits}f}" for share in shares)
    one, many = SHARES[hold.kind]
    text = (one if len(hold.classes) == 1 else many).format(value=value, limit=limit)
    return Gauge(value, limit, text)


def _class_card(part: HeldClass, people: int) -> ClassCard:
    rows = rows_of(part)
    return ClassCard(
        key=part.key,
        title=title_of(part),
        what=_sentence(part.what),
        rows=rows[:people],
        more=max(0, len(rows) - people),
        link=open_in_microsoft_365(part.adopts) if part.adopts else "",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
