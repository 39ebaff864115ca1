"""The answer to "why is this person in this class, or not?": one headline, and the steps that it follows from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sync_core.admin.overview.schools import Light, Sign
from sync_core.domain.ids import RunId
from sync_core.domain.roster import GroupType
from sync_core.http.console.views.runs.words import CAUSES
from sync_core.planning.explain.causes import Why, because
from sync_core.planning.explain.explanation import effects_of
from sync_core.planning.explain.headline import headline
from sync_core.planning.explain.model import Explanation, OtherGroup, PersonEvent, Role

_ACCOUNTS = frozenset({Why.NO_VALUE, Why.NO_ACCOUNT, Why.SEVERAL_ACCOUNTS, Why.SHARED_ACCOUNT, Why.OTHER_ACCOUNT})
_CORRECT = _ACCOUNTS - {Why.OTHER_ACCOUNT} | {Why.NOT_SHOWN, Why.RULES_UNKNOWN, Why.ACCOUNT_MISSING, Why.REFUSED}
_DECISIONS = frozenset({Why.HELD, Why.MAY_BE_CONTINUED})
_DATES = frozenset({Why.CLASS_NOT_YET, Why.PUPILS_NOT_YET})
_MIS = frozenset({Why.GROUP_ENDED, Why.NO_PERSON, Why.NOT_LISTED, Why.NOT_LISTED_SINCE})
_RULES = frozenset(
    {Why.WANTED, Why.PINNED_OUT, Why.NOT_EXTRACTED, Why.NOT_MAIN_TEACHER, Why.NO_TEACHER_OWNS, Why.RULES_UNKNOWN}
)
_TYPES = {GroupType.YEAR: "year", GroupType.REGISTRATION: "registration", GroupType.TEACHING: "teaching"}
_MOVES = {
    (Role.MEMBER, True): "joined as a member",
    (Role.MEMBER, False): "left as a member",
    (Role.OWNER, True): "became an owner",
    (Role.OWNER, False): "lost the ownership",
}


@dataclass(frozen=True, slots=True)
class Event:
    """What a run did with the person's place in the class."""

    at: datetime
    run: RunId
    by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of the evidence. The step that `decides` the headline is marked."""

    title: str
    sentences: tuple[str, ...]
    decides: bool
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`changes`: the next sync changes the person's place in the class. `held`: a decision under Approvals waits."""

    headline: str
    sign: Sign
    steps: tuple[Step, ...]
    changes: bool
    held: bool


def answer_of(explanation: Explanation, name: str) -> Answer:
    """`name` is what Microsoft 365 calls the account, or its id, or empty without an account."""
    account = explanation.account
    named = name and name != account
    who = name if named else f"account {account}" if account else f"MIS person {explanation.person}"
    sentence = headline(explanation, who, explanation.group_name or explanation.class_name)
    why = explanation.decides
    return Answer(
        headline=sentence if named else _sentence(sentence),
        sign=_sign(explanation),
        changes=bool(effects_of(explanation.member, explanation.owner)),
        held=why in _DECISIONS,
        steps=(
            Step(title="In the MIS", sentences=_in_mis(explanation), decides=why in _MIS),
            *_account_and_rules(explanation, name),
            Step(title="What syncs did", sentences=_past(explanation), decides=False, events=_events(explanation)),
            Step(
                title="In Microsoft 365 now",
                sentences=tuple(_sentence(said.text) for said in explanation.now),
                decides=why is Why.NOT_SHOWN,
            ),
            Step(
                title="The next sync",
                sentences=(_sentence(explanation.next_sync),),
                decides=why not in _MIS | _ACCOUNTS | _RULES | {Why.NOT_SHOWN},
            ),
        ),
    )


def _account_and_rules(explanation: Explanation, name: str) -> tuple[Step, ...]:
    """Two steps, or one where the account is what the rules need."""
    account, rules, why = _their_account(explanation, name), _sentence(explanation.rules.text), explanation.decides
    if explanation.rules.why in _ACCOUNTS:
        return (Step(title="Their account", sentences=(account, rules), decides=why in _ACCOUNTS),)
    return (
        Step(title="Their account", sentences=(account,), decides=False),
        Step(title="What the rules say", sentences=(rules,), decides=why in _RULES),
    )


def _sign(explanation: Explanation) -> Sign:
    if explanation.decides in _DECISIONS:
        return Sign(light=Light.WAITS, text="waits for a decision")
    if explanation.decides is Why.NOT_PLANNED:
        return Sign(light=Light.WAITS, text="the school is not synced")
    if explanation.decides in _DATES:
        return Sign(light=Light.WAITS, text="waits for a day of the calendar")
    if explanation.decides in _CORRECT:
        return Sign(light=Light.BAD, text="needs a correction")
    if effects_of(explanation.member, explanation.owner):
        return Sign(light=Light.WAITS, text="changes at the next sync")
    return Sign(light=Light.GOOD, text="stays as it is")


def _in_mis(explanation: Explanation) -> tuple[str, ...]:
    mis = explanation.mis
    if mis is None:
        return ("No plan could be made, so what the MIS has is not known.",)
    group = f"{_TYPES[explanation.group_type]} group {explanation.group_name or explanation.key}"
    if not mis.group:
        there: tuple[str, ...] = (f"The MIS has no {group} now.",)
    elif not mis.person:
        there = ()
    else:
        parts = [text for is_one, text in ((mis.student, "a student"), (mis.teacher, "a teacher")) if is_one]
        place = f"is {' and '.join(parts)} of" if parts else "is not in"
        there = (f"MIS person {explanation.person} {place} {group}.",)
    if not mis.person:
        return (*there, "No person in the MIS finds this account.")
    return (*there, *_others(mis.others))


def _others(groups: Iterable[OtherGroup]) -> tuple[str, ...]:
    listed = [f"{group.name} ({_TYPES[group.type]})" for group in groups]
    return (f"Their other groups: {', '.join(listed)}.",) if listed else ("They are in no other group.",)


def _their_account(explanation: Explanation, name: str) -> str:
    account, mis = explanation.account, explanation.mis
    if not account:
        return "No account is known as theirs."
    called = f"{name} (account {account})" if name != account else f"Account {account}"
    if mis is None or not mis.found_by:
        return f"{called}."
    return f"{called}, found by its {' and its '.join(mis.found_by)}."


def _past(explanation: Explanation) -> tuple[str, ...]:
    return () if explanation.history else ("No sync on record changed their place in this class.",)


def _events(explanation: Explanation) -> tuple[Event, ...]:
    return tuple(_event(each) for each in reversed(explanation.history))


def _event(event: PersonEvent) -> Event:
    return Event(event.at, event.run, CAUSES[event.cause], f"{_MOVES[event.role, event.came]}{because(event.reason)}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
