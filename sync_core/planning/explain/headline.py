"""The answer to "why?" in one sentence: whether the person is in the class, what the next sync does, and why."""

from __future__ import annotations

from collections.abc import Mapping

from sync_core.domain.classes.desired import Rule
from sync_core.planning.explain.causes import Why
from sync_core.planning.explain.explanation import effects_of
from sync_core.planning.explain.model import Explanation

_NO_REASON = frozenset({Why.RULES_UNKNOWN, Why.REFUSED, Why.HELD})
"""Causes that do not explain what the person has or gets, and are said in addition to it."""

CLAUSES: Mapping[Why, str] = {
    Why.RULES_UNKNOWN: "what the rules want now is not known, because no plan could be made",
    Why.NOT_SHOWN: "Microsoft 365 does not show the app who is in the class",
    Why.PINNED_OUT: "the class is pinned as it was earlier, and they were not in it then",
    Why.GROUP_ENDED: "the MIS does not have the group of the class",
    Why.NOT_EXTRACTED: "teaching groups are not extracted from ScholarPack",
    Why.ENDED_BY_CHOICE: "an admin ended the class",
    Why.GRANT_OVER: "the time for which they were an extra owner is over",
    Why.NO_PERSON: "no person in the MIS finds this account",
    Why.NOT_LISTED: "the MIS does not list them in the group of the class",
    Why.NOT_LISTED_SINCE: "the MIS no longer lists them in the group of the class",
    Why.NOT_MAIN_TEACHER: "they are not the main teacher of the group",
    Why.NO_TEACHER_OWNS: "no teacher owns a class of such a group",
    Why.NO_VALUE: "the MIS has no value by which their account is found",
    Why.NO_ACCOUNT: "no account in Microsoft 365 matches them",
    Why.SEVERAL_ACCOUNTS: "several accounts in Microsoft 365 match them",
    Why.SHARED_ACCOUNT: "the account that matches them also matches somebody else",
    Why.OTHER_ACCOUNT: "another account is theirs now",
    Why.DELETED: "an admin deleted the class",
    Why.GONE: "Microsoft 365 does not have the class any more",
    Why.ENDED: "the class has ended and stays as it is",
    Why.YEAR_ENDED: "an admin ended the year of the class",
    Why.PINNED: "the class is pinned until an admin releases it",
    Why.MAY_BE_CONTINUED: "an admin has to decide first whether another group continues the class",
    Why.CLASS_NOT_YET: "next year's classes are not made yet",
    Why.PUPILS_NOT_YET: "pupils do not come into next year's classes yet",
    Why.YEAR_OVER: "the year of the class is over",
    Why.CALENDAR_PAUSE: "nobody leaves a class during a pause of the school's calendar",
    Why.NOT_PLANNED: "the school is not synced now",
    Why.ACCOUNT_MISSING: "Microsoft 365 does not have their account any more",
    Why.HELD: "the rest of the change is held until an admin decides",
    Why.REFUSED: "Microsoft 365 refused the last change of the class",
    Why.OWNER_NOT_OURS: "no sync on record made them an owner, and such an owner stays",
    Why.OWNERS_KEPT: "the settings of the school keep owners who no longer teach the group",
    Why.OWNERS_UNCERTAIN: "an owner is revoked only if the accounts of all intended owners are known",
    Why.NO_TEACHER_LISTED: "an owner is revoked only if the MIS lists a teacher for the group",
    Why.LAST_OWNER: "the last owner of a class stays",
}
"""The end of a sentence for each cause that can decide; WANTED has one for each rule."""

RULES: Mapping[Rule, str] = {
    Rule.STUDENT: "the MIS lists them as a student of the group",
    Rule.TEACHER: "the MIS lists them as a teacher of the group",
    Rule.ADMIN_OWNER: "the settings of the school name them as an owner of every class",
    Rule.CREATOR: "they requested the class",
    Rule.IN_DOUBT: "it is in doubt which account is theirs, and a member in doubt stays",
    Rule.EXTRA_OWNER: "an admin made them an extra owner",
    Rule.PINNED: "an admin pinned the class, and they were in it then",
    Rule.UNDONE: "an undone run is pinned, and they were in the class before it",
}


def headline(explanation: Explanation, who: str, class_name: str) -> str:
    """One sentence. `who` and `class_name` are what the person and the class are called."""
    decides = explanation.decides
    if decides is Why.NOT_SHOWN:
        return f"Whether {who} is in {class_name} is not known, because {_clause(explanation)}."
    state = f"{who} {_place(explanation)} {class_name}"
    effects = effects_of(explanation.member, explanation.owner)
    if decides is Why.HELD and not effects:
        return f"{state}, and that stays so until an admin decides about a hold."
    if effects:
        state += f", and the next sync {' and '.join(effects)}"
    elif _differs(explanation):
        state += ", and the next sync leaves it so"
    if decides in _NO_REASON:
        return f"{state}; {_clause(explanation)}."
    return f"{state}, because {_clause(explanation)}."


def _place(explanation: Explanation) -> str:
    if explanation.owner.there:
        return "is an owner of"
    return "is in" if explanation.member.there else "is not in"


def _differs(explanation: Explanation) -> bool:
    """Whether the person's place is not as the rules want it, as far as the rules are known."""
    if explanation.decides is Why.RULES_UNKNOWN:
        return False
    return bool(explanation.member.there or explanation.owner.there) is not bool(explanation.wanted)


def _clause(explanation: Explanation) -> str:
    if explanation.decides is Why.WANTED:
        return RULES[explanation.wanted.rule] if explanation.wanted else "the rules want them in it"
    return CLAUSES[explanation.decides]
