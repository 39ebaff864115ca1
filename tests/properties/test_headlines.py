"""The one sentence that answers "why?", for each state that has a sentence of its own."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.planning.explain.causes import Why
from sync_core.planning.explain.headline import CLAUSES, headline
from tests.properties.test_sentences import CASES, explained

HEADLINES = {
    Why.ADDED_BY_SYNC: "Amy is in Art, because the MIS lists them as a student of the group.",
    Why.REMOVED_BY_SYNC: "Amy is not in Art, because the MIS no longer lists them in the group of the class.",
    Why.ADDED_BY_HAND: (
        "Amy is in Art, and the next sync removes them, because the MIS does not list them in the group of the class."
    ),
    Why.REMOVED_BY_HAND: (
        "Amy is not in Art, and the next sync adds them, because the MIS lists them as a student of the group."
    ),
    Why.NEVER_ADDED: "Amy is not in Art, because the MIS does not list them in the group of the class.",
    Why.NOT_SHOWN: (
        "Whether Amy is in Art is not known, because Microsoft 365 does not show the app who is in the class."
    ),
    Why.ACCOUNT_DELETED: "Amy is not in Art, because no account in Microsoft 365 matches them.",
    Why.CLASS_DELETED: "Amy is not in Art, and the next sync leaves it so, because an admin deleted the class.",
    Why.CLASS_GONE: (
        "Amy is not in Art, and the next sync leaves it so, because Microsoft 365 does not have the class any more."
    ),
    Why.CLASS_NOT_FOUND: "Amy is not in Art, because Microsoft 365 does not have the class any more.",
    Why.RULES_UNKNOWN: "Amy is in Art; what the rules want now is not known, because no plan could be made.",
    Why.WANTED: "Amy is an owner of Art, because the MIS lists them as a teacher of the group.",
    Why.PINNED_OUT: ("Amy is not in Art, because the class is pinned as it was earlier, and they were not in it then."),
    Why.GROUP_ENDED: (
        "Amy is in Art, and the next sync leaves it so, because the MIS does not have the group of the class."
    ),
    Why.NOT_EXTRACTED: (
        "Amy is in Art, and the next sync leaves it so, because teaching groups are not extracted from ScholarPack."
    ),
    Why.NO_PERSON: "Amy is not in Art, because no person in the MIS finds this account.",
    Why.NOT_LISTED: "Amy is not in Art, because the MIS does not list them in the group of the class.",
    Why.NOT_LISTED_SINCE: (
        "Amy is in Art, and the next sync removes them, because the MIS no longer lists them in the group of the class."
    ),
    Why.NOT_MAIN_TEACHER: "Amy is not in Art, because they are not the main teacher of the group.",
    Why.NO_TEACHER_OWNS: "Amy is not in Art, because no teacher owns a class of such a group.",
    Why.NO_VALUE: "Amy is in Art, and that stays so until an admin decides about a hold.",
    Why.NO_ACCOUNT: "Amy is in Art, and that stays so until an admin decides about a hold.",
    Why.SEVERAL_ACCOUNTS: "Amy is not in Art, because several accounts in Microsoft 365 match them.",
    Why.SHARED_ACCOUNT: (
        "Amy is in Art, and the next sync removes them, because the account that matches them also "
        "matches somebody else."
    ),
    Why.OTHER_ACCOUNT: "Amy is in Art, and the next sync removes them, because another account is theirs now.",
    Why.DELETED: "Amy is not in Art, and the next sync leaves it so, because an admin deleted the class.",
    Why.GONE: (
        "Amy is not in Art, and the next sync leaves it so, because Microsoft 365 does not have the class any more."
    ),
    Why.ENDED_BY_CHOICE: "Amy is in Art, and the next sync leaves it so, because an admin ended the class.",
    Why.GRANT_OVER: (
        "Amy is an owner of Art, and the next sync removes them and revokes their ownership, because the time for "
        "which they were an extra owner is over."
    ),
    Why.ENDED: "Amy is in Art, and the next sync leaves it so, because the MIS does not have the group of the class.",
    Why.YEAR_ENDED: "Amy is in Art, and the next sync leaves it so, because an admin ended the year of the class.",
    Why.PINNED: "Amy is in Art, because the MIS lists them as a student of the group.",
    Why.MAY_BE_CONTINUED: (
        "Amy is in Art, and the next sync leaves it so, because an admin has to decide first "
        "whether another group continues the class."
    ),
    Why.CLASS_NOT_YET: (
        "Amy is not in Art, and the next sync leaves it so, because next year's classes are not made yet."
    ),
    Why.PUPILS_NOT_YET: (
        "Amy is not in Art, and the next sync leaves it so, because pupils do not come into next year's classes yet."
    ),
    Why.YEAR_OVER: "Amy is in Art, and the next sync leaves it so, because the year of the class is over.",
    Why.CALENDAR_PAUSE: (
        "Amy is in Art, and the next sync leaves it so, because nobody leaves a class during a pause of the school's "
        "calendar."
    ),
    Why.NOT_PLANNED: "Amy is in Art, and the next sync leaves it so, because the school is not synced now.",
    Why.ACCOUNT_MISSING: "Amy is not in Art, because the MIS no longer lists them in the group of the class.",
    Why.HELD: "Amy is in Art, and that stays so until an admin decides about a hold.",
    Why.REFUSED: "Amy is not in Art, and the next sync adds them; Microsoft 365 refused the last change of the class.",
    Why.OWNER_NOT_OURS: (
        "Amy is an owner of Art, and the next sync leaves it so, because no sync on record made "
        "them an owner, and such an owner stays."
    ),
    Why.OWNERS_KEPT: (
        "Amy is an owner of Art, and the next sync leaves it so, because the settings of the "
        "school keep owners who no longer teach the group."
    ),
    Why.OWNERS_UNCERTAIN: (
        "Amy is an owner of Art, and the next sync leaves it so, because an owner is revoked only "
        "if the accounts of all intended owners are known."
    ),
    Why.NO_TEACHER_LISTED: (
        "Amy is an owner of Art, and the next sync leaves it so, because an owner is revoked only "
        "if the MIS lists a teacher for the group."
    ),
    Why.LAST_OWNER: "Amy is an owner of Art, and the next sync leaves it so, because the last owner of a class stays.",
    Why.ADDED_UNRECORDED: "Amy is in Art, because the MIS lists them as a student of the group.",
    Why.REMOVED_UNRECORDED: "Amy is not in Art, because the MIS no longer lists them in the group of the class.",
}
_NEVER_DECIDE = {
    Why.ADDED_BY_SYNC, Why.REMOVED_BY_SYNC, Why.ADDED_BY_HAND, Why.REMOVED_BY_HAND, Why.ADDED_UNRECORDED,
    Why.REMOVED_UNRECORDED, Why.NEVER_ADDED, Why.ACCOUNT_DELETED, Why.CLASS_NOT_MADE, Why.CLASS_DELETED, Why.CLASS_GONE,
    Why.CLASS_NOT_FOUND,
}  # fmt: skip
"""How a role came to be as it is. The rules or the next sync say why."""


@pytest.mark.parametrize(("why", "events", "group", "person"), [case[:4] for case in CASES], ids=list(HEADLINES))
async def test_a_state_has_its_headline(why: Why, events: list[Any], group: str, person: str) -> None:
    answer = await explained([("night",), *events], group, person)
    assert headline(answer, "Amy", "Art") == HEADLINES[why]


def test_every_cause_that_can_decide_has_a_clause() -> None:
    assert CLAUSES.keys() == set(Why) - _NEVER_DECIDE - {Why.WANTED}
