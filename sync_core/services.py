"""What the use cases are given: every port, filled in once by the wiring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sync_core.clock import Clock
    from sync_core.domain.permissions import TenantCheck
    from sync_core.graph.port import TenantReaders, Tenants, TenantTeams
    from sync_core.messaging.port import DeadLetters, Outbox, QueueCheck
    from sync_core.mis.port import DatedMis, FileDrops, MisSource, SourceCheck, Uploads
    from sync_core.state.port import (
        ClassStore,
        RunStore,
        SchoolReader,
        SchoolStore,
        TableCheck,
        TenantStore,
        WebhookInbox,
    )


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


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a plan may touch. Nothing in it can write, so a preview cannot write either.

    `check_tenant` reads what the app may do in a tenant, by id, without a request to Graph. `ahead` makes of
    `school` the reader of one plan, which may read at one time what the plan needs: also all rows of classes or not.
    """

    school: SchoolReader
    mis: MisSource
    clock: Clock
    check_tenant: Callable[[str], Awaitable[TenantCheck]]
    tenants: TenantReaders
    ahead: Callable[[SchoolReader, bool], AbstractAsyncContextManager[SchoolReader]] = _one_by_one


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
