"""The settings of a school in the order of the settings page, and what the page calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.roster import GroupType
from sync_core.domain.school.matching import MisProperty
from sync_core.domain.school.settings import DepartedOwners, Mis, Rollover, TeachingOwners, Teams
from sync_core.domain.school.sources import AfterSync
from sync_core.domain.school.year import Pause


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that stand together. A setting that has settings of its own, such as `limits`, stands for all of them.

    `for_all_schools`: only an admin of all schools may change them.
    """

    id: str
    title: str
    settings: Sequence[str]
    hint: str = ""
    for_all_schools: bool = False


SECTIONS: Sequence[Section] = (
    # The order of "To automatically create classes in Microsoft 365" (source: RM TEC7627933).
    Section(
        "create",
        "Automatically create classes in Microsoft 365",
        ("types", "name_identifier", "admin_owners"),
        "Each night, new groups of these types become classes.",
    ),
    Section("owners", "Owners of teaching groups", ("teaching_owners", "departed_owners")),
    Section("teams", "Class teams", ("teams", "team_types")),
    Section("year", "Academic year", ("rollover", "year_starts_in", "time_zone")),
    Section(
        "calendar",
        "Calendar",
        ("calendar",),
        "Write a day as 31/07/2027 or 2027-07-31. What has no day does not happen. Update the calendar once a year.",
    ),
    Section(
        "accounts",
        "How people find their accounts",
        ("account_domain", "students", "staff"),
        "The page People tries a rule and shows how many find an account.",
    ),
    Section("school", "The school", ("name", "mis")),
    Section(
        "limits",
        "Limits",
        ("limits",),
        "What exceeds a limit waits for a decision. Shares are of 1: 0.4 is 40%, and 1 switches a limit off.",
    ),
    Section("access", "Who manages the school", ("access",)),
    Section(
        "source",
        "Where the MIS is read from",
        ("tenant", "source", "webhook_secrets"),
        "Only admins of all schools change these.",
        for_all_schools=True,
    ),
)
ELSEWHERE: Mapping[str, str] = {
    "id": "it never changes",
    "enabled": "a school is paused and resumed with its reason",
    "pause_reason": "a school is paused and resumed with its reason",
}
"""Settings that the page does not have, each with why."""

LABELS: Mapping[str, str] = {
    "id": "Id of the school",
    "types": "Types of groups that become classes automatically",
    "name_identifier": "Name identifier",
    "admin_owners": "Admins who own every class",
    "teaching_owners": "Who owns the class of a teaching group",
    "departed_owners": "An owner who no longer teaches the group",
    "teams": "Teams of classes",
    "team_types": "Types of groups whose classes get teams",
    "rollover": "In a new academic year",
    "year_starts_in": "Month in which the academic year starts",
    "time_zone": "Time zone",
    "calendar.last_day": "Last day of this academic year",
    "calendar.first_day": "First day of the next academic year",
    "calendar.pause_from": "First day of a pause",
    "calendar.pause_until": "Last day of the pause",
    "calendar.pause": "During the pause",
    "calendar.teachers_in_from": "Teachers come into next year's classes",
    "calendar.pupils_in_from": "Pupils come into next year's classes",
    "calendar.archive_on": "Remind admins to archive",
    "students.mis": "Pupils: in the MIS",
    "students.account": "Pupils: in Microsoft 365",
    "students.domain": "Pupils: domain",
    "staff.mis": "Staff: in the MIS",
    "staff.account": "Staff: in Microsoft 365",
    "staff.domain": "Staff: domain",
    "name": "Name of the school",
    "mis": "MIS",
    "limits.smallest_snapshot": "Smallest feed",
    "limits.class_loss": "Loss of a class",
    "limits.class_loss_people": "Loss of a class, in people",
    "limits.turnover": "Turnover of a class",
    "limits.school_loss": "Loss of the school",
    "limits.school_loss_people": "Loss of the school, in people",
    "limits.week_loss": "Loss of the school in a week",
    "limits.new_classes": "New classes",
    "limits.unmatched": "People without an account",
    "limits.unmatched_people": "People without an account, in people",
    "limits.left_out": "Rows that cannot be read",
    "limits.left_out_rows": "Rows that cannot be read, in rows",
    "access": "People and groups",
    "tenant": "Tenant",
    "webhook_secrets": "Secrets of webhooks",
    "source.kind": "Way",
    "source.path": "Folder or zip file",
    "source.folder": "Folder in the container",
    "source.after_sync": "After a sync",
    "source.url": "Address of the server",
    "source.version": "Version of OneRoster",
    "source.token_url": "Address of the token server",
    "source.client": "Client",
    "source.secret": "Name of the setting with the secret",
    "source.school": "Id of the school at Wonde",
    "source.staff_email": "E-mail addresses of staff",
    "source.student_email": "E-mail addresses of pupils",
    "enabled": "Synced",
    "pause_reason": "Reason of the pause",
    "account_domain": "Usual domain",
    "school": "Id of the school",
}
"""What each setting is called, by its place."""

_WORDS: Mapping[type[StrEnum], Mapping[StrEnum, str]] = {
    GroupType: {
        GroupType.YEAR: "Year groups",
        GroupType.REGISTRATION: "Registration groups",
        GroupType.TEACHING: "Teaching groups",
    },
    TeachingOwners: {
        TeachingOwners.MAIN: "The main teacher",
        TeachingOwners.ALL: "All of its staff",
    },
    DepartedOwners: {
        DepartedOwners.KEEP: "stays an owner",
        DepartedOwners.REVOKE: "stops being an owner, if the sync made them one",
    },
    Teams: {
        Teams.NONE: "no teams",
        Teams.CREATE: "a team for each class, which its teachers activate",
        Teams.RELEASE: "a team for each class, which the sync activates from the day on which pupils come in",
    },
    Pause: {
        Pause.ADDITIONS_ONLY: "people join classes, and nobody leaves one",
        Pause.NOTHING: "nothing changes",
    },
    Rollover: {
        Rollover.NEW: "a group gets a new class",
        Rollover.REUSE: "a group keeps last year's class",
        Rollover.ASK: "an admin decides for each class that may go on",
    },
    MisProperty: {
        MisProperty.USERNAME_OR_EMAIL: "user name, and e-mail address",
        MisProperty.USERNAME: "user name",
        MisProperty.EMAIL: "e-mail address",
        MisProperty.ID: "MIS id",
    },
    AccountProperty: {
        AccountProperty.UPN: "user principal name",
        AccountProperty.MAIL: "mail",
        AccountProperty.MAIL_NICKNAME: "mail nickname",
        AccountProperty.EMPLOYEE_ID: "employee id",
        AccountProperty.SAM_ACCOUNT_NAME: "on-premises user name (sAMAccountName)",
    },
    AfterSync: {
        AfterSync.KEEP: "the files stay where they are",
        AfterSync.ARCHIVE: "the files are moved to the archive folder",
    },
    Mis: {
        Mis.ARBOR: "Arbor",
        Mis.BROMCOM: "Bromcom",
        Mis.CLOUD_SCHOOL: "Cloud School",
        Mis.CMIS: "CMIS",
        Mis.ED_GEN: "Ed:Gen",
        Mis.HORIZONS: "Horizons",
        Mis.INTEGRIS: "Integris",
        Mis.ISAMS: "iSAMS",
        Mis.SCHOLARPACK: "ScholarPack",
        Mis.SEEMIS: "SEEMiS",
        Mis.SIMS: "SIMS",
        Mis.WCBS: "WCBS",
        Mis.OTHER: "another one",
    },
}
"""By type: choices of two types may have one value."""
WITHOUT_CHOICE: Mapping[str, str] = {
    "students.account": "user principal name, and mail",
    "staff.account": "user principal name, and mail",
    "teaching_owners": "as usual for the MIS",
}
"""What it means if nothing is chosen."""


_DOMAIN = "In place of the usual domain. Empty: the usual domain."
HINTS: Mapping[str, str] = {
    "calendar.last_day": "From the next day on, nobody joins or leaves classes of this year.",
    "calendar.first_day": "Says which academic year is the next one. Nothing happens on this day itself.",
    "calendar.pause_from": "",
    "calendar.pause_until": "",
    "calendar.pause": "",
    "calendar.teachers_in_from": "Before that day, next year's groups get no class. Empty: classes are made at once.",
    "calendar.pupils_in_from": "Before that day, no pupil is in a class of next year. Empty: with their teachers.",
    "calendar.archive_on": "The app sends a reminder on the day before, and archives nothing.",
    "id": "Its sourcedId in OneRoster, its DfE number in School Data Sync v1, and any id that you choose for Wonde.",
    "types": "ScholarPack has no teaching groups.",
    "name_identifier": "In names and addresses of new classes; empty: the DfE code. Classes that exist keep theirs.",
    "teams": "A team is made once its class has an owner. No choice here removes a team that exists.",
    "students.mis": "",
    "staff.mis": "",
    "students.account": "",
    "staff.account": "",
    "account_domain": "Added to a value that has none, such as school.org. Empty: nothing is added.",
    "students.domain": _DOMAIN,
    "staff.domain": _DOMAIN,
    "limits.class_loss": "Share of its pupils whom a class loses, if they are at least as many as the next limit says.",
    "limits.class_loss_people": "Fewer people than this are never held as the loss of a class.",
    "limits.school_loss": "Share of memberships lost in one plan, if they are at least as many as the next limit says.",
    "limits.school_loss_people": "Fewer memberships than this are never held as a loss of the school.",
    "limits.week_loss": "Share of memberships lost in seven days, if they are at least as many as above.",
    "limits.unmatched": "Share of pupils, or staff, without an account, if at least as many as the next limit says.",
    "limits.unmatched_people": "Fewer people than this never hold the plan.",
    "limits.left_out": "Share of the rows of one file, if more than the next limit. Above it the feed is rejected.",
    "limits.left_out_rows": "As many rows or fewer never reject a feed.",
}
"""In place of the description of the API, which speaks of defaults that the page does not leave out."""


def word_for(choice: StrEnum) -> str:
    return _WORDS.get(type(choice), {}).get(choice, choice.value)
