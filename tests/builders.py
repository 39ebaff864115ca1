"""Short builders of domain objects, so that a test shows only the values that matter to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from uuid import UUID, uuid5

from local.school_settings import parse_school_settings
from local.tenant.names import DOMAIN
from sync_core.clock import Clock
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.desired import ClassName, DesiredClass
from sync_core.domain.classes.record import ActualClass, ClassRecord
from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Person, School, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.mis.budget import LONGEST_READING
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.sources import MisSources
from sync_core.planning.naming.class_keys import class_key

TENANT = "11111111-2222-4333-8444-555555555555"
NOON = datetime(2026, 9, 7, 12, 0, tzinfo=UTC)
SCHOOL = School(SchoolId("S1"), "Test School", "1234567")
_IDS = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@cache
def entra_id(person: str) -> AccountId:
    """The Entra id that the account of MIS person `person` has in tests."""
    return AccountId(str(uuid5(_IDS, person)))


def entra_ids(people: Iterable[str]) -> frozenset[AccountId]:
    return frozenset(entra_id(person) for person in people)


def class_id(key: str) -> ClassId:
    """The Entra id that the class with this key has in tests."""
    return ClassId(entra_id(f"class {key}"))


def mis_ids(*ids: str) -> tuple[MisId, ...]:
    return tuple(map(MisId, ids))


def person(id: str, username: str = "", email: str = "") -> Person:
    return Person(MisId(id), username, email)


def teaching(
    id: str, name: str, students: Iterable[str] = (), teachers: Iterable[str] = (), year: int = 2026
) -> MisGroup:
    return MisGroup(
        id=MisId(id),
        type=GroupType.TEACHING,
        name=name,
        academic_year=year,
        students=mis_ids(*students),
        teachers=mis_ids(*teachers),
    )


def by_id(*people: Person) -> dict[MisId, Person]:
    return {person.id: person for person in people}


def by_class_key(groups: Iterable[MisGroup]) -> dict[ClassKey, MisGroup]:
    """The groups by the keys of their classes."""
    return {class_key(group): group for group in groups}


def settings(**values: object) -> SchoolSettings:
    """The test school's settings: the defaults, and its accounts' domain, overridden by `values` as an admin sends."""
    return parse_school_settings(
        {"account_domain": DOMAIN, **values}, school=SCHOOL.id, tenant=TENANT, source=FeedFolder("feed")
    )


def snapshot(groups: Iterable[MisGroup]) -> Snapshot:
    """A snapshot of `groups`. Each person's username is their id."""
    listed = tuple(groups)
    people = {id_ for group in listed for id_ in (*group.students, *group.teachers)}
    return Snapshot(SCHOOL, listed, {id_: _person_of(id_) for id_ in people}, NOON)


@cache
def _person_of(username: MisId) -> Person:
    return Person(username, username=username)


def accounts(people: Iterable[str], domain: str = DOMAIN, enabled: bool = True) -> list[Account]:
    """An account for each person."""
    upns = {person: f"{person}@{domain}".lower() for person in people}
    return [Account(entra_id(person), {AccountProperty.UPN: upn}, enabled) for person, upn in upns.items()]


def mis_sources(clock: Clock, secrets: Mapping[str, str], longest: timedelta = LONGEST_READING) -> MisSources:
    """The sources of a deployment without a container, whose file drops need no settling time."""
    drops = FileDropReader(partial(open_store, None), timedelta(0), clock, SharedReadings(clock))
    return MisSources(drops, secrets, clock, longest)


def desired(key: str, members: Iterable[str] = (), owners: Iterable[str] = ()) -> DesiredClass:
    """A desired class. `members` and `owners` are MIS person ids; every owner is a member too."""
    owner_ids = entra_ids(owners)
    name = ClassName(f"{key}_Class [1234567][2026]", f"{key}.class.1234567.2026")
    return DesiredClass(
        tenant=TENANT,
        key=ClassKey(key),
        group_id=MisId(f"G-{key}"),
        group_type=GroupType.TEACHING,
        name=name,
        members=entra_ids(members) | owner_ids,
        owners=owner_ids,
    )


def synced(desired_class: DesiredClass, created_at: datetime = NOON) -> ClassRecord:
    """The row of a class whose actual state equals its desired state."""
    actual = ActualClass(
        class_id=class_id(desired_class.key),
        name=desired_class.name,
        created_at=created_at,
        members=desired_class.members,
        owners=desired_class.owners,
        granted=desired_class.owners,
    )
    return ClassRecord(
        school=SCHOOL.id,
        desired=desired_class,
        tenant=desired_class.tenant,
        actual=actual,
        intent=desired_class.name.mail_nickname,
    )
