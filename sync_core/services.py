"""What the use cases are given: every port, filled in once by the wiring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sync_core.clock import Clock
    from sync_core.domain.accounts import Account
    from sync_core.domain.ids import SchoolId
    from sync_core.domain.permissions import TenantCheck
    from sync_core.domain.roster import MisGroup, Snapshot
    from sync_core.domain.school.settings import SchoolSettings
    from sync_core.graph.port import TenantReaders, Tenants, TenantTeams
    from sync_core.messaging.port import DeadLetters, Outbox, QueueCheck
    from sync_core.mis.port import DatedMis, FileDrops, MisSource, ReadAgain, SourceCheck, Uploads
    from sync_core.state.port import (
        ClassStore,
        RunStore,
        SchoolReader,
        SchoolStore,
        TableCheck,
        TenantStore,
        WebhookInbox,
    )

MOST_KEPT = 800_000
"""People, groups and memberships of the schools that a worker keeps: about 50 MB."""
MOST_ACCOUNTS = 60_000
"""The accounts that these schools were matched with: as many as a worker has of all tenants anyway."""


class Applying(Protocol):
    """All that a change of one class is applied with: no MIS and no queue."""

    @property
    def classes(self) -> ClassStore: ...

    @property
    def schools(self) -> SchoolStore: ...

    @property
    def runs(self) -> RunStore: ...

    @property
    def graph(self) -> Tenants: ...

    @property
    def teams(self) -> TenantTeams: ...

    @property
    def clock(self) -> Clock: ...


def _one_by_one(reader: SchoolReader, all_rows: bool) -> AbstractAsyncContextManager[SchoolReader]:
    return nullcontext(reader)


async def _never(settings: SchoolSettings, whole: Snapshot, groups: Sequence[MisGroup]) -> tuple[MisGroup, ...] | None:
    return None


class Kept(Protocol):
    """What a plan of a school leaves for those that follow. `size` counts people, groups and memberships.

    `accounts` are those of its tenant, the same tuple for all its schools.
    """

    @property
    def size(self) -> int: ...

    @property
    def accounts(self) -> tuple[Account, ...]: ...


class KeptSchools:
    """What plans left of the schools that this worker read last, in memory only, up to `most` of all their sizes."""

    def __init__(self, most: int = MOST_KEPT, most_accounts: int = MOST_ACCOUNTS) -> None:
        self._most, self._most_accounts = most, most_accounts
        self._schools: dict[SchoolId, Kept] = {}

    def of(self, school: SchoolId) -> Kept | None:
        return self._schools.get(school)

    def put(self, school: SchoolId, kept: Kept) -> None:
        """Keep it in place of what was kept of the school. What was put first goes first."""
        self.drop(school)
        self._schools[school] = kept
        while self._are_too_many:
            self.drop(next(iter(self._schools)))

    def drop(self, school: SchoolId) -> None:
        self._schools.pop(school, None)

    @property
    def _are_too_many(self) -> bool:
        """One tenant may have any number of accounts, which the worker has for its plan anyway."""
        kept = self._schools.values()
        tenants = {id(each.accounts): len(each.accounts) for each in kept}
        too_many_accounts = len(tenants) > 1 and sum(tenants.values()) > self._most_accounts
        return too_many_accounts or sum(each.size for each in kept) > self._most


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a plan may touch. Nothing in it can write, so a preview cannot write either.

    `check_tenant` reads what the app may do in a tenant, by id, without a request to Graph. `ahead` makes of
    `school` the reader of one plan, which may read at one time what the plan needs: also all rows of classes or not.
    `again` reads some groups of a school again, and `kept` is what plans left for the next ones.
    """

    school: SchoolReader
    mis: MisSource
    clock: Clock
    check_tenant: Callable[[str], Awaitable[TenantCheck]]
    tenants: TenantReaders
    ahead: Callable[[SchoolReader, bool], AbstractAsyncContextManager[SchoolReader]] = _one_by_one
    again: ReadAgain = _never
    kept: KeptSchools = field(default_factory=KeptSchools)


@dataclass(frozen=True, slots=True)
class Checks:
    """What only a health check asks: whether the tables, the queues and the sources of schools can be used."""

    tables: TableCheck
    queues: QueueCheck
    sources: SourceCheck


@dataclass(frozen=True, slots=True)
class Services:
    """The ports. The stores are parts of one store, in which no write of one part is lost to another."""

    classes: ClassStore
    schools: SchoolStore
    tenants: TenantStore
    runs: RunStore
    inbox: WebhookInbox
    reading: Reading
    graph: Tenants
    teams: TenantTeams
    file_drops: FileDrops
    uploads: Uploads
    dated_mis: DatedMis
    outbox: Outbox
    dead_letters: DeadLetters
    checks: Checks

    @property
    def clock(self) -> Clock:
        return self.reading.clock

    @property
    def mis(self) -> MisSource:
        return self.reading.mis
