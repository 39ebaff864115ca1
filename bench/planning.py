"""Planning alone, from a snapshot to the rows and messages: its time, and a check that it grows with the school."""

from __future__ import annotations

import cProfile
import gc
import pstats
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from bench.school import actual_as_desired
from local.school_settings import parse_school_settings
from local.tenant.names import DOMAIN
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.ids import AccountId, ClassId, MisId, RunId, SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Person, School, Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.matching import Matching
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.planning.collector import collector_paused
from sync_core.planning.diff import Origin, make_plan
from sync_core.planning.limits.past import Past
from sync_core.planning.limits.restraint import Restraint
from sync_core.planning.limits.snapshot import check_snapshot, statistics_of
from sync_core.planning.matching.accounts import match_people
from sync_core.planning.membership import desired_classes

_PUPILS_A_CLASS = 30
_CLASSES_A_PUPIL = 10
_TENANT = "T"
_SCHOOL = SchoolId("S")
_RUN = RunId("run")
_MOST_SECONDS = 0.1
_MOST_GROWTH = 1.05
_MOST_MIB = 400
_REPEATS, _REPEATS_OF_LARGE, _REPEATED_BELOW = 20, 5, 10_000
_ACCOUNTS = 60_000


@dataclass(frozen=True, slots=True)
class Planned:
    """The planning of one school. `first` is the time of the first plan, `quiet` that of a plan without changes.

    Both are seconds of the processor, the best of several. `calls` is the number of functions that the first plan
    calls: unlike the times, it does not depend on the caches of the processor. `peak` is the most memory that the
    process used so far, in MiB, with the school itself and the rows of its classes.
    """

    classes: int
    memberships: int
    first: float
    quiet: float
    peak: int
    calls: int


@dataclass(frozen=True, slots=True)
class Result:
    """The smallest school first. `matching` is the time to match as many people as there are accounts, in seconds."""

    schools: tuple[Planned, ...]
    matching: float


def run(sizes: Sequence[int] = (500, 5_000, 33_334)) -> Result:
    """Plan schools with these numbers of classes.

    Raises RuntimeError if that is slow, takes too much memory, or grows faster than the school.
    """
    result = Result(tuple(_plan_school(classes) for classes in sizes), _match_tenant())
    smallest = result.schools[0]
    if max(smallest.first, smallest.quiet) > _MOST_SECONDS:
        raise RuntimeError(f"planning {smallest.memberships} memberships took {smallest}")
    if result.schools[-1].peak > _MOST_MIB:
        raise RuntimeError(f"planning takes too much memory: {result}")
    for one in result.schools:
        if one.calls / one.memberships > _MOST_GROWTH * smallest.calls / smallest.memberships:
            raise RuntimeError(f"planning grows faster than the school: {result}")
    return result


def section(result: Result) -> str:
    """The results as Markdown."""
    smallest = result.schools[0]
    rows = [
        f"| {one.classes:,} | {one.memberships:,} | {1000 * one.first:,.0f} ms | {1000 * one.quiet:,.0f} ms | "
        f"{one.memberships / smallest.memberships:.1f} | {one.calls / smallest.calls:.1f} | "
        f"{one.first / smallest.first:.1f} | {one.quiet / smallest.quiet:.1f} | {one.peak} |"
        for one in result.schools
    ]
    return "\n".join(
        [
            "Rules, limits and plan of one school, without reading or writing anything; the columns with times are "
            "relative to the smallest school. Memory is the most that the process used, with the school itself, its "
            f"accounts and rows, of which {_MOST_MIB} MiB are allowed. The work (functions called) grows with the "
            "school; the time of a large school grows more, because its data does not fit into the processor's caches.",
            "",
            "| classes | memberships | first night | quiet night | memberships, times | work, times | first, times "
            "| quiet, times | memory, MiB |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            f"{_ACCOUNTS:,} people of a tenant, in another order than its {_ACCOUNTS:,} accounts, are matched in "
            f"{1000 * result.matching:,.0f} ms, with nothing kept from before: each has a user name and an e-mail "
            "address, and each account a userPrincipalName and another mail.",
        ]
    )


def _plan_school(classes: int) -> Planned:
    snapshot, accounts = make_large_school(classes)
    settings = parse_school_settings(
        {"account_domain": DOMAIN}, school=_SCHOOL, tenant=_TENANT, source=FeedFolder("memory")
    )
    wanted, first = _timed(snapshot, settings, accounts, {})
    known = {desired.key: synced(desired) for desired in wanted}
    _, quiet = _timed(snapshot, settings, accounts, known)
    return Planned(
        classes=classes,
        memberships=classes * _PUPILS_A_CLASS,
        first=first,
        quiet=quiet,
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        calls=calls_of_first_plan(snapshot, settings, accounts),
    )


def _match_tenant() -> float:
    """The fewest seconds of the processor to match the people of a large tenant by the usual rule of a school."""
    people = [
        Person(MisId(f"p{number}"), username=f"User{number}", email=f"a.person{number}@{DOMAIN}")
        for number in range(_ACCOUNTS)
    ]
    properties = (AccountProperty.UPN, AccountProperty.MAIL)
    # In the order of their ids, as the rows of accounts are read.
    of_people = sorted((str(uuid5(NAMESPACE_URL, person.id)), place) for place, person in enumerate(people))
    accounts = [
        Account(
            AccountId(id_),
            dict(zip(properties, (f"user{place}@{DOMAIN}", f"a.person{place}@{DOMAIN}"), strict=True)),
        )
        for id_, place in of_people
    ]
    rule = Matching(domain=DOMAIN)
    best = float("inf")
    for _ in range(_REPEATS):
        gc.collect()
        began = time.process_time()
        with collector_paused():
            (matched,) = match_people([(people, rule)], accounts)
        best = min(best, time.process_time() - began)
    if len(matched.ids) != _ACCOUNTS:
        raise RuntimeError(f"{len(matched.ids)} of {_ACCOUNTS} people were matched")
    return best


def calls_of_first_plan(snapshot: Snapshot, settings: SchoolSettings, accounts: Sequence[Account]) -> int:
    """The number of functions called by the first plan of a school."""
    profile = cProfile.Profile()
    profile.runcall(plan_snapshot, snapshot, settings, accounts, {})
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # typeshed does not know it


def _timed(
    snapshot: Snapshot, settings: SchoolSettings, accounts: Sequence[Account], known: Records
) -> tuple[tuple[DesiredClass, ...], float]:
    """The planned classes, and the fewest seconds of the processor: other processes may use it too."""
    best = float("inf")
    for _ in range(_REPEATS if len(snapshot.groups) < _REPEATED_BELOW else _REPEATS_OF_LARGE):
        classes: tuple[DesiredClass, ...] = ()
        anew = replace(snapshot)  # It remembers who is in its groups.
        gc.collect()
        began = time.process_time()
        classes = plan_snapshot(anew, settings, accounts, known)
        best = min(best, time.process_time() - began)
    return classes, best


@collector_paused()
def plan_snapshot(
    snapshot: Snapshot, settings: SchoolSettings, accounts: Sequence[Account], known: Records
) -> tuple[DesiredClass, ...]:
    """Plan as sync_core.sync does, from the snapshot to the messages."""
    check_snapshot(statistics_of(snapshot), None, settings.limits)
    ruled = desired_classes(snapshot, settings, accounts, known, {})
    past = Past(0, len(snapshot.groups), ())
    restraint = Restraint(known, settings.limits, past, _RUN, snapshot.taken_at, ruled)
    restrained = restraint.apply(ruled.classes, whole=True)
    plan = make_plan(restrained.classes, ruled.ended, known)
    changes = plan.changes(Origin(_SCHOOL, _RUN, Cause.NIGHTLY))
    if bool(changes) is bool(known):
        raise RuntimeError(f"{len(changes)} changes for {len(known)} known classes")
    return restrained.classes


def make_large_school(classes: int) -> tuple[Snapshot, list[Account]]:
    """A school with that many teaching groups, each pupil in ten of them, and the accounts of all people."""
    pupils = [MisId(f"p{number}") for number in range(classes * _PUPILS_A_CLASS // _CLASSES_A_PUPIL)]
    staff = [MisId(f"t{number}") for number in range(max(classes // 4, 1))]
    groups = tuple(
        MisGroup(
            id=MisId(f"G{place}"),
            type=GroupType.TEACHING,
            name=f"Set {place}",
            academic_year=2026,
            students=tuple(pupils[(place * _PUPILS_A_CLASS + seat) % len(pupils)] for seat in range(_PUPILS_A_CLASS)),
            teachers=(staff[place % len(staff)],),
        )
        for place in range(classes)
    )
    people = {name: Person(name, username=name) for name in (*pupils, *staff)}
    accounts = [
        Account(AccountId(str(uuid5(NAMESPACE_URL, name))), {AccountProperty.UPN: f"{name}@{DOMAIN}"})
        for name in people
    ]
    return Snapshot(School(_SCHOOL, "School", "1234567"), groups, people, datetime.now(UTC)), accounts


def synced(desired: DesiredClass) -> ClassRecord:
    """The row of the class, which is in Microsoft 365 as desired."""
    actual = actual_as_desired(desired, ClassId(desired.key), datetime.now(UTC))
    # A copy, as the tables return it, so that equal sets are compared by value and not by identity.
    stored = replace(desired, members=frozenset(set(desired.members)), reasons=dict(desired.reasons))
    return ClassRecord(
        school=_SCHOOL, desired=stored, tenant=stored.tenant, actual=actual, intent=desired.name.mail_nickname
    )
