"""What the app learnt of a Microsoft 365 tenant, and the probes of it: questions, answers, and what the sync does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sync_core.domain.ids import AccountId, ClassId, RunId
from sync_core.errors import SyncError, TeamNotReady

ENOUGH_TO_PRICE = 4
"""People in one write from which a price of one, and one of a third for each person, differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFacts:
    """`resynced_at`: when all classes were last compared with Graph.

    `delta_tells_members`: whether the groups delta reports the members of classes. Classes have hidden membership, and
    Microsoft does not document whether the delta tells hidden members to an app that may read them.
    """

    resynced_at: datetime | None = None
    delta_tells_members: bool = True


class ProbeQuestion(StrEnum):
    """In the order in which they are asked."""

    CREATE = "Can the app create a class?"
    NAME = "Does a naming policy change the names of classes?"
    VISIBILITY = "Who may see the members of a class?"
    PATCH = "Does one request add several members with the permissions that the app has?"
    PRICE = "What does a request that adds several members cost?"
    MEMBERS = "Does the app see the members of a class?"
    DELTA = "Does the delta of groups report the members of a class?"
    TEACHER_TWICE = "What does Graph answer for a teacher who is one already?"
    TEAM = "Can the app make the team of a class?"
    TEAM_LOCKED = "Is a new team locked until a teacher activates it?"
    TEAM_PEOPLE = "What does Teams answer for people whom the app adds to a new team?"
    NICKNAME = "Is the mail nickname of a deleted class free?"
    EXTERNAL_ID = "Does a restored class keep its external id?"


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """Sentences: what the tenant answered, and what the sync does about it."""

    answer: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe of a tenant. `class_id` is that of its class once it is known.

    `unit_price` is what adding one member costs in resource units and writes, and `delta_tells_members` what the name
    says; each is None where the tenant did not say. `note` is why a probe has no answers, or lacks some.
    """

    tenant: str
    id: RunId
    requested_by: AccountId
    began_at: datetime
    ended_at: datetime | None = None
    class_id: ClassId = ClassId("")
    answers: Mapping[str, ProbeAnswer] = field(default_factory=dict)
    unit_price: float | None = None
    delta_tells_members: bool | None = None
    note: str = ""

    @property
    def nickname(self) -> str:
        """The mail nickname of its class, and its externalId: no other class has it."""
        return f"mis-class-sync-probe-{self.id}"


def known_price(probes: Iterable[Probe]) -> float | None:
    """What adding one member cost in the last of these probes that saw it."""
    prices = [probe.unit_price for probe in probes if probe.unit_price is not None]
    return prices[-1] if prices else None


# --- the answers

Outcomes = Mapping[str, int]
"""How many people have each outcome: added, already there, not known to Teams, refused."""


def not_created(error: SyncError) -> ProbeAnswer:
    return ProbeAnswer(f"no: {error.message}", f"no class of this tenant can be made — {error.remedy}")


CREATED = ProbeAnswer("yes", "each group becomes a class")


def name_answer(*, kept: bool) -> ProbeAnswer:
    if kept:
        return ProbeAnswer("no", "a class has the name and the mail nickname that the sync gives it")
    return ProbeAnswer(
        "yes",
        "classes have the names that the policy makes of them, which the sync leaves as they are; if you want other "
        "names, change the policy before there are classes (Entra admin center, Groups, Naming policy)",
    )


def visibility_answer(visibility: str) -> ProbeAnswer:
    if visibility == "HiddenMembership":
        return ProbeAnswer(
            "its members only (HiddenMembership)",
            "the app needs Member.Read.Hidden; a class that shows nobody is never taken for empty",
        )
    return ProbeAnswer(
        f"not its members alone ({visibility or 'Graph does not say'})",
        "nothing changes: the app does not rely on it, and a class that shows nobody is never taken for empty",
    )


def patch_answer(refusal: SyncError | None) -> ProbeAnswer:
    if refusal is None:
        return ProbeAnswer("yes", "members are added 20 at a time")
    return ProbeAnswer(
        f"no: {refusal.message}",
        "each member is added by a request of their own, 20 in a batch, which uses up the write limit faster; the "
        "optional permission Group.ReadWrite.All may allow the faster request (infra/scripts/grant_graph.py --restore)",
    )


def price_answer(units: float | None, share: float | None, people: int) -> ProbeAnswer:
    if units is None:
        return ProbeAnswer(
            "Graph does not say",
            "one write is assumed for each request, and Graph's refusals slow the app down if it is more",
        )
    used = f"; {share:.0%} of the limit was used then" if share is not None else ""
    answer = f"{units:g} resource {'unit' if units == 1 else 'units'} for {people} members{used}"
    if people < ENOUGH_TO_PRICE:
        return ProbeAnswer(answer, f"nothing: fewer than {ENOUGH_TO_PRICE} members do not show what each of them costs")
    return ProbeAnswer(answer, "the app stays within the write limit at this price, until Graph tells another one")


def members_answer(seen: int, people: int, refusal: SyncError | None) -> ProbeAnswer:
    if refusal is not None:
        return ProbeAnswer(f"no: {refusal.message}", f"the changes of classes stop and say why — {refusal.remedy}")
    if seen == people:
        return ProbeAnswer("yes", "a changed class is read again before anybody is taken out")
    return ProbeAnswer(
        f"{'not all' if seen else 'none'}: {seen} of {people} after a minute",
        "a class that shows nobody is never taken for empty: its changes stop and name Member.Read.Hidden; if the "
        "permission was granted today, probe again tomorrow",
    )


def delta_answer(tells: bool | None) -> ProbeAnswer:
    match tells:
        case True:
            return ProbeAnswer("yes", "changes that are made by hand are found and corrected every night")
        case False:
            return ProbeAnswer(
                "no",
                "a seventh of the classes is read each night, so a change that is made by hand is found within a week",
            )
        case None:
            return ProbeAnswer(
                "not known: the class was not in the delta within a minute",
                "the nightly sync finds out from the delta itself",
            )


def teacher_answer(refusal: SyncError | None) -> ProbeAnswer:
    answer = "it accepts the request" if refusal is None else f"a refusal: {refusal.message}"
    return ProbeAnswer(answer, "nothing depends on it: after a refusal the owners are read, and who is one stays one")


def team_answer(known_after: timedelta, shown_after: timedelta | None) -> ProbeAnswer:
    """`known_after` the creation of the class Teams took the request; the team showed `shown_after` that."""
    known = f"yes: Teams knew the class {known_after.total_seconds():.0f} s after it was made"
    if shown_after is None:
        return ProbeAnswer(
            f"{known}, and did not show the team within half a minute",
            "nothing: the app looks for a new team again, for as long as it takes",
        )
    return ProbeAnswer(
        f"{known}, and showed the team {shown_after.total_seconds():.0f} s later",
        "classes that have an owner get teams",
    )


def no_team_answer(error: SyncError) -> ProbeAnswer:
    if isinstance(error, TeamNotReady):
        return ProbeAnswer(
            f"not within a minute: {error.message}",
            "nothing: the app asks again; Teams may need 15 minutes for a class, and an owner needs a licence for it",
        )
    return ProbeAnswer(f"no: {error.message}", f"classes are synced without teams — {error.remedy}")


def locked_answer(*, locked: bool) -> ProbeAnswer:
    if locked:
        return ProbeAnswer(
            "yes", "its owners prepare it alone, and pupils come in when a teacher or the app activates it"
        )
    return ProbeAnswer("no", "the pupils of a class are sent to its team at once")


def team_people_answer(owners: Outcomes, members: Outcomes) -> ProbeAnswer:
    """What became of an owner, who is one already, and of members, who are new."""
    answer = f"an owner, who is one already: {_counted(owners)}; new members: {_counted(members)}"
    return ProbeAnswer(answer, "nothing: people whom Teams refuses stay in the class, and are tried again")


def _counted(outcomes: Outcomes) -> str:
    words = [f"{count} {outcome}" for outcome, count in outcomes.items() if count]
    return ", ".join(words) or "nobody to add"


def nickname_answer(*, free: bool) -> ProbeAnswer:
    if free:
        return ProbeAnswer("yes", "a class that is made again gets the nickname that it had")
    return ProbeAnswer("no, for 30 days", "a class that is made again within 30 days gets the next nickname")


def external_id_answer(*, kept: bool) -> ProbeAnswer:
    if kept:
        return ProbeAnswer("yes", "a restored class is recognised by it")
    return ProbeAnswer("no", "nothing depends on it: a restored class is recognised by its own id")


def unanswered(error: SyncError) -> ProbeAnswer:
    return ProbeAnswer(f"not known: {error.message}", f"the sync comes right either way — {error.remedy}")
