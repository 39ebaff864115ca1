"""What the console says of each kind of hold. `format` fills in the names and counts of the hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync_core.domain.runs import HoldKind
from sync_core.planning.limits.causes import LOSS_KINDS


@dataclass(frozen=True, slots=True)
class Words:
    """`one` is the headline for a hold of one class. `check` is what an admin looks at before the decision."""

    one: str
    many: str
    cause: str
    check: str
    approve: str = "They should leave"
    reject: str = "Keep them"
    effect: str = "They leave now, if the MIS still says the same."
    kept: str = "The classes stay as they are until the MIS says something else."


_LEAVE = ("{lost} of {students} pupils would leave {title}", "{people} would leave {classes}")
_FIND_NONE = ("{persons} in {title} who had an account find none now", "{persons} who had an account find none now")
_LOSE = "The school would lose {memberships} in {classes}"
_MATCHING = (
    "People shows the value that was looked for, and the nearest accounts. Once the rule, the MIS or the account is "
    "correct, they are found again, and nothing is left to decide."
)

WORDS: Mapping[HoldKind, Words] = {
    HoldKind.LEFT_GROUP: Words(
        *_LEAVE,
        "They are no longer in the MIS group of the class, but in other groups of the MIS.",
        "Look at the group in the MIS. If they belong to it, put them back, and nobody leaves.",
    ),
    HoldKind.LEFT_MIS: Words(
        *_LEAVE,
        "They are in no group of the MIS any more.",
        "Look at some of them in the MIS. If they are still at the school, correct the dates of their enrolments "
        "there, or the export.",
    ),
    HoldKind.GROUP_EMPTIED: Words(
        "All {lost} pupils would leave {title}",
        "All {people} would leave {classes}",
        "The group has no pupils in the MIS any more.",
        "If the group has ended, end it in the MIS: its class then keeps its people. If not, put the pupils back "
        "there.",
    ),
    HoldKind.ACCOUNT_DELETED: Words(
        *_LEAVE,
        "Microsoft 365 no longer has their accounts.",
        "If an account was deleted by mistake, restore it in the Microsoft Entra admin center, which keeps it for 30 "
        "days.",
    ),
    HoldKind.UNCLAIMED_ACCOUNT: Words(
        *_LEAVE,
        "Nobody in the MIS group finds these accounts any more.",
        "Look at the rule for finding accounts under People. If these pupils have other accounts now, the old ones "
        "should leave.",
    ),
    HoldKind.PINNED: Words(
        *_LEAVE,
        "An undo pinned the class as it was before, and the pin does not have them.",
        "If the class should follow the MIS again, release it under Groups.",
    ),
    HoldKind.TURNOVER: Words(
        "Nearly everybody in {title} would be replaced",
        "Nearly everybody in {classes} would be replaced",
        "The MIS group has other pupils than the class.",
        "Look at the academic year of the group in the MIS. A group of a new year needs that year there, and then gets"
        " a class of its own.",
        effect="They leave now, and the others join, if the MIS still says the same.",
    ),
    HoldKind.SCHOOL_LOSS: Words(
        _LOSE,
        _LOSE,
        "{why}.",
        "Look at what has changed in the MIS. If it is an accident, correct it there, and nobody leaves.",
    ),
    HoldKind.SLOW_LEAK: Words(
        f"{_LOSE}, after others in seven days",
        f"{_LOSE}, after others in seven days",
        "{why}.",
        "Look at the runs of the week. If pupils leave the MIS by accident, correct it there, and nobody leaves.",
    ),
    HoldKind.LOST_MATCHING: Words(
        *_FIND_NONE,
        "They are still in their MIS groups. They stay in their classes until you decide.",
        _MATCHING,
    ),
    HoldKind.ACCOUNT_MATCHING: Words(
        "Too many people find no account",
        "Too many people find no account",
        "{why}.",
        _MATCHING,
        "Sync the others now",
        "Wait",
        "{classes} are created or updated now. {persons} of them find no account, and are not added. A later sync adds "
        "those whose account is found by then.",
        "Nobody joins or leaves, and no class is created, until the MIS, the accounts or the rule change.",
    ),
    HoldKind.NEW_CLASSES: Words(
        "{title} would be made",
        "{classes} would be made",
        "New classes: {why}.",
        "If only some groups should have classes, choose fewer types under Settings, or choose classes here.",
        "Make them",
        "Do not make them",
        "The classes are made now, if the MIS still says the same.",
        "No class is made for these groups until the MIS says something else.",
    ),
    HoldKind.CONTINUATION: Words(
        "{title} may continue an earlier class",
        "{groups} may continue earlier classes",
        "Earlier classes have no group in the MIS any more, and {why}.",
        "Compare each group with the class. Where they are the same, the pupils of the group join the earlier class "
        "with all that is in it, and pupils who are not in the group leave.",
        "They continue the earlier classes",
        "Make new classes",
        "The group's pupils join the earlier class now, if the MIS still says the same.",
        "The groups get new classes, and the earlier classes stay as they are.",
    ),
    HoldKind.ADOPTION: Words(
        "Somebody may have made a team for {title} already",
        "Somebody may have made teams for {groups} already",
        "A teacher of the group owns a class team of that name with its pupils, and {why}.",
        "Look at each team in Microsoft Teams. If it is that of the group, it keeps its name, its channels and its "
        "owners. The group's people join it, and members who are not in the group leave.",
        "Use these teams",
        "Make new classes",
        "The sync looks after the people of these teams from now on, if nobody has joined or left since.",
        "The groups get new classes, and these teams stay as they are.",
    ),
}

_OF_CLASS = (
    "{value}% of the class would leave. Your limit is {limit}%.",
    "Up to {value}% of a class would leave. Your limit is {limit}%.",
)
_IN_ONE_PLAN = "{value}% of all memberships would be lost in one plan. Your limit is {limit}%."
_IN_SEVEN_DAYS = "{value}% of all memberships would be lost in seven days. Your limit is {limit}%."
_FIND_NO_ACCOUNT = "{value}% find no account. Your limit is {limit}%."

SHARES: Mapping[HoldKind, tuple[str, str]] = {
    **dict.fromkeys((*LOSS_KINDS, HoldKind.TURNOVER), _OF_CLASS),
    HoldKind.SCHOOL_LOSS: (_IN_ONE_PLAN, _IN_ONE_PLAN),
    HoldKind.SLOW_LEAK: (_IN_SEVEN_DAYS, _IN_SEVEN_DAYS),
    HoldKind.ACCOUNT_MATCHING: (_FIND_NO_ACCOUNT, _FIND_NO_ACCOUNT),
}
"""The share that exceeds its limit, for a hold of one class and of several. The other kinds have counts."""
