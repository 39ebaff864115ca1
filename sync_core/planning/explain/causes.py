"""Every cause that an explanation can name, with its sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from sync_core.domain.classes.desired import GrantRecord, Reason, Rule
from sync_core.errors import MembersHidden


class Why(StrEnum):
    """The cause that a sentence names: of a role as it is now, of what the rules say, or of the next sync."""

    ADDED_BY_SYNC = "added_by_sync"
    REMOVED_BY_SYNC = "removed_by_sync"
    ADDED_BY_HAND = "added_by_hand"
    REMOVED_BY_HAND = "removed_by_hand"
    ADDED_UNRECORDED = "added_unrecorded"
    REMOVED_UNRECORDED = "removed_unrecorded"
    NEVER_ADDED = "never_added"
    NOT_SHOWN = "not_shown"
    ACCOUNT_DELETED = "account_deleted"
    CLASS_NOT_MADE = "class_not_made"
    CLASS_DELETED = "class_deleted"
    CLASS_GONE = "class_gone"
    CLASS_NOT_FOUND = "class_not_found"

    RULES_UNKNOWN = "rules_unknown"
    WANTED = "wanted"
    PINNED_OUT = "pinned_out"
    GROUP_ENDED = "group_ended"
    NOT_EXTRACTED = "not_extracted"
    ENDED_BY_CHOICE = "ended_by_choice"
    GRANT_OVER = "grant_over"
    NO_PERSON = "no_person"
    NOT_LISTED = "not_listed"
    NOT_LISTED_SINCE = "not_listed_since"
    NOT_MAIN_TEACHER = "not_main_teacher"
    NO_TEACHER_OWNS = "no_teacher_owns"
    NO_VALUE = "no_value"
    NO_ACCOUNT = "no_account"
    SEVERAL_ACCOUNTS = "several_accounts"
    SHARED_ACCOUNT = "shared_account"
    OTHER_ACCOUNT = "other_account"

    DELETED = "deleted"
    GONE = "gone"
    ENDED = "ended"
    YEAR_ENDED = "year_ended"
    PINNED = "pinned"
    MAY_BE_CONTINUED = "may_be_continued"
    CLASS_NOT_YET = "class_not_yet"
    PUPILS_NOT_YET = "pupils_not_yet"
    YEAR_OVER = "year_over"
    CALENDAR_PAUSE = "calendar_pause"
    NOT_PLANNED = "not_planned"
    ACCOUNT_MISSING = "account_missing"
    HELD = "held"
    REFUSED = "refused"
    OWNER_NOT_OURS = "owner_not_ours"
    OWNERS_KEPT = "owners_kept"
    OWNERS_UNCERTAIN = "owners_uncertain"
    NO_TEACHER_LISTED = "no_teacher_listed"
    LAST_OWNER = "last_owner"


_LISTED = "the rules do not want them in it, though the MIS lists person {person} in group {group}"
_SOUGHT = "the MIS lists person {person} in group {group}, "
_UNWANTED = "the rules do not want them in it"

SENTENCES: Mapping[Why, str] = {
    # the role now
    Why.ADDED_BY_SYNC: "{role} since {when}, by {run}{because}",
    Why.REMOVED_BY_SYNC: "not {role} since {when}, by {run}",
    Why.ADDED_BY_HAND: "{role}, added by hand in Microsoft 365{removed}",
    Why.REMOVED_BY_HAND: "not {role}, removed by hand in Microsoft 365; added by {run} on {when}",
    Why.ADDED_UNRECORDED: (
        "{role}, and no sync recorded that it added them: it was done by hand, by a sync that is under way or was "
        "interrupted, or before the history begins"
    ),
    Why.REMOVED_UNRECORDED: (
        "not {role}, and no sync recorded that it removed them: it was done by hand, or by a sync that is under way or "
        "was interrupted; added by {run} on {when}"
    ),
    Why.NEVER_ADDED: "not {role}, and no sync on record added them",
    Why.NOT_SHOWN: (
        "Microsoft 365 shows nobody in the class, and a sync recorded {recorded} people in it, {among}: whether they "
        f"are in it is not known — {MembersHidden().remedy}"
    ),
    Why.ACCOUNT_DELETED: "not {role}: Microsoft 365 does not have their account any more; added by {run} on {when}",
    Why.CLASS_NOT_MADE: "not {role}: the class is not made yet",
    Why.CLASS_DELETED: "not {role}: the class was deleted at an admin's request",
    Why.CLASS_GONE: "not {role}: the class was deleted in Microsoft 365",
    Why.CLASS_NOT_FOUND: "not {role}: Microsoft 365 does not have the class, which no night has noticed yet",
    # the rules
    Why.RULES_UNKNOWN: "the rules could not be applied: {notes}",
    Why.WANTED: "the rules want them in it{because}",
    Why.PINNED_OUT: f"{_UNWANTED}: a pin keeps the class as it was {{then}}, and they were not in it then",
    Why.GROUP_ENDED: "the rules want nobody in it: {type} group {group} of academic year {year} is not in the MIS",
    Why.NOT_EXTRACTED: (
        "the rules want nobody in it: teaching groups are not extracted from ScholarPack — correct mis in the school's "
        "settings if the school has another MIS"
    ),
    Why.ENDED_BY_CHOICE: "the rules want nobody in it: an admin ended the class, whatever the MIS has",
    Why.GRANT_OVER: f"{_UNWANTED}: they were an extra owner{{grant}}, and that is over",
    Why.NO_PERSON: (
        f"{_UNWANTED}: no person in the MIS finds this account, so no group lists them — if they are in the MIS, ask "
        "by MIS person id to see which account is looked for"
    ),
    Why.NOT_LISTED: f"{_UNWANTED}: the MIS does not list them in {{type}} group {{group}}",
    Why.NOT_LISTED_SINCE: (
        f"{_UNWANTED}: the MIS does not list them in {{type}} group {{group}}; it did when {{run}} added them on "
        "{when}"
    ),
    Why.NOT_MAIN_TEACHER: (
        f"{_LISTED}: teaching_owners is main in the school's settings, so only the main teacher owns a class of such a "
        "group"
    ),
    Why.NO_TEACHER_OWNS: f"{_LISTED}: it is a {{type}} group, and no teacher owns a class of such a group",
    Why.NO_VALUE: (
        f"{_SOUGHT}and the MIS has no value by which {{role}} find their accounts — enter it in the MIS, or correct "
        "{role} in the school's settings"
    ),
    Why.NO_ACCOUNT: (
        f"{_SOUGHT}and no account matches; looked for {{sought}} — correct the account, the MIS, or {{role}} and "
        "account_domain in the school's settings"
    ),
    Why.SEVERAL_ACCOUNTS: (
        f"{_SOUGHT}and several accounts match, {{accounts}}; looked for {{sought}} — give the value to one account "
        "alone"
    ),
    Why.SHARED_ACCOUNT: (
        f"{_SOUGHT}and account {{accounts}} matches, and it also matches MIS person {{others}}; looked for {{sought}} "
        "— give each person a value of their own in the MIS"
    ),
    Why.OTHER_ACCOUNT: f"{_LISTED}: their account is {{accounts}} now, and this is another; looked for {{sought}}",
    # the next sync
    Why.DELETED: "an admin deleted the class",
    Why.GONE: "the class is gone from Microsoft 365 until an admin restores it or requests it again",
    Why.ENDED: "its group is no longer in the MIS, or an admin ended the class, so it stays as it is",
    Why.YEAR_ENDED: "an admin ended the year of the class, and it stays as it is until that is taken back",
    Why.PINNED: "the class is pinned until an admin releases it",
    Why.MAY_BE_CONTINUED: (
        "the class stays as it is until an admin decides whether another group continues it: {holds}"
    ),
    Why.CLASS_NOT_YET: "next year's classes are made on {day}, with their owners",
    Why.PUPILS_NOT_YET: "pupils come into next year's classes from {day}, and until then they stay as they are",
    Why.YEAR_OVER: "the year of the class ended on {day}, so nobody joins or leaves it",
    Why.CALENDAR_PAUSE: "nobody leaves a class before {day} has passed: the school's calendar has a pause",
    Why.NOT_PLANNED: "{notes}",
    Why.ACCOUNT_MISSING: "Microsoft 365 does not have their account any more",
    Why.HELD: "{holds}",
    Why.REFUSED: "the last sync was refused: {message} — {remedy}",
    Why.OWNER_NOT_OURS: "an owner stays if they were added by hand or if their grant was never confirmed",
    Why.OWNERS_KEPT: "departed_owners is keep in the school's settings, so an owner who was granted stays",
    Why.OWNERS_UNCERTAIN: (
        "an owner is revoked only if the accounts of all intended owners are known: find those without one in the run"
    ),
    Why.NO_TEACHER_LISTED: "an owner is revoked only if the group has a teacher, and the MIS lists none",
    Why.LAST_OWNER: "the last owner of a class stays",
}
"""The table of sentences: each cause has one, and a sentence names no other cause."""

_BECAUSE = {
    Rule.STUDENT: "the MIS lists person {} as a student of its group",
    Rule.TEACHER: "the MIS lists person {} as a teacher of its group, and the settings make this teacher an owner",
    Rule.ADMIN_OWNER: "the school's settings name them in admin_owners",
    Rule.CREATOR: "they requested the class",
    Rule.EXTRA_OWNER: "they are an extra owner{}",
    Rule.IN_DOUBT: "the account of MIS person {} is in doubt, so an existing member stays",
    Rule.UNDONE: "they were in it before run {}, which was undone",
    Rule.PINNED: "they were in it when an admin pinned it in run {}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause, with the facts that its sentence names."""

    why: Why
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return SENTENCES[self.why].format(**self.facts)


def because(reason: Reason | None) -> str:
    if reason is None:
        return ""
    record = grant_in_words(reason) if reason.rule is Rule.EXTRA_OWNER else reason.record
    return f": {_BECAUSE[reason.rule].format(record)}"


def grant_in_words(reason: Reason) -> str:
    """Until when a person is an extra owner, by which owner rule if one, and who gave it, as the end of a sentence."""
    grant = GrantRecord.of(reason.record)
    until = f" until {date.fromisoformat(grant.until):%d %b %Y}" if grant.until else ""
    rule = f" by the owner rule {grant.rule}" if grant.rule else ""
    return f"{until}{rule}, given by admin {grant.given_by}"
