"""The school of the benchmarks: teaching groups of 28 pupils and two teachers, as its MIS has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from local.school_settings import parse_school_settings
from local.tenant.names import DOMAIN
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ActualClass
from sync_core.domain.ids import AccountId, ClassId, MisId, SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Person, School, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.planning.membership import desired_classes

PUPILS_A_CLASS, OWNERS_A_CLASS = 28, 2
_PUPILS, _STAFF = 700, 50
_YEAR = 2026


@dataclass(frozen=True, slots=True)
class BenchSchool:
    """A school's settings and its MIS, whose `data` never change. Implements the port MisSource for that school."""

    settings: SchoolSettings
    data: Snapshot

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return self.data

    @property
    def upns(self) -> list[str]:
        """The user names of its people's accounts."""
        return [f"{person.username}@{DOMAIN}" for person in self.data.people.values()]

    def classes(self, ids: Mapping[str, AccountId]) -> tuple[DesiredClass, ...]:
        """The classes by the product's own rules, given the ids of accounts by UPN."""
        accounts = [Account(id_, {AccountProperty.UPN: upn}) for upn, id_ in ids.items()]
        return desired_classes(self.data, self.settings, accounts, {}, {}).classes


def make_school(number: int, groups: int, tenant: str) -> BenchSchool:
    """The school with that number. Each of its people is in a group."""
    id_ = f"S{number}"
    taught = tuple(_group(number, place) for place in range(groups))
    people = {person: Person(person, username=person) for person in _people(taught)}
    snapshot = Snapshot(
        School(SchoolId(id_), f"School {number}", f"{1_000_000 + number}"), taught, people, datetime.now(UTC)
    )
    settings = parse_school_settings(
        {"teaching_owners": "all", "account_domain": DOMAIN}, school=id_, tenant=tenant, source=FeedFolder("in memory")
    )
    return BenchSchool(settings, snapshot)


def _group(school: int, place: int) -> MisGroup:
    """Each round through the pupils skips one of them, so that no two groups are the same."""
    first = place * PUPILS_A_CLASS + place * PUPILS_A_CLASS // _PUPILS
    pupils = tuple(MisId(f"p{(first + seat) % _PUPILS}.s{school}") for seat in range(PUPILS_A_CLASS))
    teachers = tuple(MisId(f"t{(place * OWNERS_A_CLASS + seat) % _STAFF}.s{school}") for seat in range(OWNERS_A_CLASS))
    return MisGroup(
        id=MisId(f"G{place}"),
        type=GroupType.TEACHING,
        name=f"Set {place}",
        academic_year=_YEAR,
        students=pupils,
        teachers=teachers,
    )


def _people(groups: Iterable[MisGroup]) -> dict[MisId, None]:
    """All people of the groups in order, each once."""
    return dict.fromkeys(person for group in groups for person in (*group.students, *group.teachers))


def actual_as_desired(desired: DesiredClass, class_id: ClassId, created_at: datetime) -> ActualClass:
    """The actual state of a class after everything desired was applied."""
    return ActualClass(
        class_id=class_id,
        name=desired.name,
        created_at=created_at,
        members=desired.members,
        owners=desired.owners,
        granted=desired.owners,
    )
