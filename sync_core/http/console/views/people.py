"""People whose account is missing, in doubt or disabled, and the rules by which accounts are found, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from sync_core.admin.overview.matching import MatchingReport, MatchingRules, RecordedMatching
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.roster import MatchRate
from sync_core.domain.school.matching import Matching, MisProperty
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import faults_of
from sync_core.http.admin.etags import etag_of
from sync_core.http.console.formats import count
from sync_core.http.console.forms import FieldFault
from sync_core.planning.matching.accounts import Try
from sync_core.planning.matching.findings import Finding, PersonFound, Role
from sync_core.planning.matching.guard import MatchRates

FINDINGS: Mapping[Finding, str] = {
    Finding.NO_ACCOUNT: "No account",
    Finding.IN_DOUBT: "In doubt",
    Finding.DISABLED: "Disabled",
}
MIS_PROPERTIES: Mapping[MisProperty, str] = {
    MisProperty.USERNAME_OR_EMAIL: "user name, and e-mail address",
    MisProperty.USERNAME: "user name",
    MisProperty.EMAIL: "e-mail address",
    MisProperty.ID: "MIS id",
}
ACCOUNT_PROPERTIES: Mapping[str, str] = {
    "": "user principal name, and mail",
    AccountProperty.UPN: "user principal name",
    AccountProperty.MAIL: "mail",
    AccountProperty.MAIL_NICKNAME: "mail nickname",
    AccountProperty.EMPLOYEE_ID: "employee id",
    AccountProperty.SAM_ACCOUNT_NAME: "on-premises user name (sAMAccountName)",
}
ROLES: Mapping[Role, str] = {Role.STUDENT: "Pupil", Role.STAFF: "Staff"}
GROUPS_SHOWN = 4


# --- the rules as a form

LABELS: Mapping[str, str] = {
    f"{role}.{name}": f"{who}, {what}"
    for role, who in (("students", "Pupils"), ("staff", "Staff"))
    for name, what in (("mis", "in the MIS"), ("account", "in Microsoft 365"), ("domain", "domain"))
}
"""The fields of the form, each with what a fault calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleForm:
    """The form of the rules. `texts` are the values of its fields, and `based_on` identifies the saved settings."""

    saved: MatchingRules
    texts: Mapping[str, str]
    based_on: str
    labels: Mapping[str, str] = field(default_factory=lambda: LABELS)
    mis_properties: Mapping[MisProperty, str] = field(default_factory=lambda: MIS_PROPERTIES)
    account_properties: Mapping[str, str] = field(default_factory=lambda: ACCOUNT_PROPERTIES)


def rule_form(settings: SchoolSettings, sent: Mapping[str, str] | None = None) -> RuleForm:
    """Filled in with the rules that are saved, or as it was sent."""
    saved = MatchingRules.of(settings)
    return RuleForm(saved=saved, texts=texts_of_rules(saved) | dict(sent or {}), based_on=etag_of(settings))


def texts_of_rules(rules: MatchingRules) -> dict[str, str]:
    """The rules as the fields of the form."""
    by_role = {"students": rules.students, "staff": rules.staff}
    return {
        f"{role}.{name}": str(getattr(rule, name) or "")
        for role, rule in by_role.items()
        for name in ("mis", "account", "domain")
    }


def read_rules(sent: Mapping[str, str]) -> MatchingRules | tuple[FieldFault, ...]:
    """The rules that a form has, or the faults of its fields."""
    by_role = {role: _values(sent, role) for role in ("students", "staff")}
    try:
        return TypeAdapter(MatchingRules).validate_python(by_role)
    except ValidationError as error:
        faults = (faults_of([each]).partition(": ") for each in error.errors())
        return tuple(FieldFault(field, text) for field, _, text in faults)


def _values(sent: Mapping[str, str], role: str) -> dict[str, str | None]:
    values = {name: sent.get(f"{role}.{name}", "").strip() for name in ("mis", "account", "domain")}
    return {**values, "account": values["account"] or None}


def rule_text(rule: Matching) -> str:
    """`user name compared with mail nickname, with @school.org added where there is no domain`."""
    account = ACCOUNT_PROPERTIES[rule.account or ""]
    domain = f", with @{rule.domain} added where there is no domain" if rule.domain else ""
    return f"{MIS_PROPERTIES[rule.mis]} compared with {account}{domain}"


# --- how many are found


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """How many of a role find an account. `before` is the share with the saved rules, if it is another one."""

    who: str
    share: str
    before: str
    text: str


def rate_cards(rates: MatchRates, saved: MatchRates | None = None) -> tuple[RateCard, ...]:
    """A card for each role of which anybody is in a class. `saved` are the rates that these are compared with."""
    roles = (
        ("pupil", rates.students, saved.students if saved else None),
        ("member of staff", rates.staff, saved.staff if saved else None),
    )
    return tuple(_rate_card(who, rate, before) for who, rate, before in roles if rate and rate.people)


def _rate_card(who: str, rate: MatchRate, before: MatchRate | None) -> RateCard:
    people = count(rate.people, who, "members of staff" if who.startswith("member") else "")
    moved = before is not None and before != rate
    return RateCard(
        who="Pupils" if who == "pupil" else "Staff",
        share=_share(rate),
        before=_share(before) if before and moved else "",
        text=f"{count(rate.people - rate.unmatched)} of {people} {'finds' if rate.people == 1 else 'find'} an account",
    )


def _share(rate: MatchRate) -> str:
    """Whole per cent, rounded down: 100% are all."""
    return f"{100 * (rate.people - rate.unmatched) // rate.people if rate.people else 100}%"


# --- who is not


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountShown:
    """An account by what it is called, or by its Entra id, and the value that is near or in doubt."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedFor:
    """A value that accounts were searched for, and where. Without a value, `what` says that the MIS has none."""

    what: str
    value: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonShown:
    """A person by MIS id. `looked_for` says each value that was tried, and where; `why` explains the finding."""

    person: MisId
    finding: str
    role: str = ""
    groups: tuple[str, ...] = ()
    more_groups: int = 0
    why: str = ""
    looked_for: tuple[LookedFor, ...] = ()
    accounts: tuple[AccountShown, ...] = ()


def recorded_people(recorded: RecordedMatching, finding: Finding | None) -> tuple[PersonShown, ...]:
    return tuple(PersonShown(person=person, finding=FINDINGS[kind]) for person, kind in recorded.of(finding))


def person_shown(found: PersonFound, names: Mapping[AccountId, str]) -> PersonShown:
    return PersonShown(
        person=found.person,
        finding=FINDINGS[found.finding],
        role=ROLES[found.role],
        groups=found.groups[:GROUPS_SHOWN],
        more_groups=max(0, len(found.groups) - GROUPS_SHOWN),
        why=_why(found),
        looked_for=tuple(map(_looked_for, found.tries)),
        accounts=tuple(AccountShown(name=names.get(each.id, each.id), value=each.value) for each in found.accounts),
    )


def counts_of(report: MatchingReport | RecordedMatching) -> dict[str, tuple[str, int]]:
    """What a list can be narrowed to: the words and the number of people, by the value of the filter."""
    findings = {finding.value: (words, len(report.of(finding))) for finding, words in FINDINGS.items()}
    return {"": ("Everybody", len(report.of(None))), **findings}


def _why(found: PersonFound) -> str:
    if found.finding is Finding.DISABLED:
        return "The account is disabled. The person is in their classes with it."
    if found.finding is Finding.NO_ACCOUNT:
        return "The nearest accounts:" if found.accounts else "No account has a value like these."
    if len(found.accounts) > 1:
        return "The values lead to several accounts, so none is taken:"
    return "Somebody else in the MIS leads to the same account, so neither gets it:"


def _looked_for(tried: Try) -> LookedFor:
    name = MIS_PROPERTIES[tried.mis]
    if not tried.value:
        return LookedFor(what=f"the MIS has no {name}")
    where = " and ".join(ACCOUNT_PROPERTIES[each] for each in tried.accounts)
    return LookedFor(what=name, value=tried.value, where=where)
