"""Plans for the command line in one process: of a first night, or of each school as it is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

from local.accounts import ListedAccount
from local.known_school import KnownSchool, not_checked
from local.nightly import prepare_night
from sync_core.clock import SystemClock
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import AccountId, ClassId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder, FileDrop
from sync_core.errors import NotThere
from sync_core.graph.port import TenantReader, TenantReaders
from sync_core.messaging.messages import Priority
from sync_core.mis.drop.folder import FolderDrop
from sync_core.mis.drop.reader import FileDropReader
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.sources import MisSources
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.school_plan import note_shared_names, plan_to_show
from sync_core.services import Reading

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class EmptyTenant:
    """Implements TenantReaders and TenantReader for a tenant that has no classes."""

    def of(self, tenant: str, priority: Priority) -> TenantReader:
        return self

    async def classes(self) -> tuple[TenantClass, ...]:
        return ()

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        raise NotThere

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        raise NotThere


def preview_first_night(
    feed_path: Path, values: Mapping[str, object], accounts: Sequence[ListedAccount] | None
) -> list[Preview]:
    """What a first `sync` of the feed would do in a new world, without the world: nothing is started or written.

    Raises SnapshotRejected, UnknownSetting.
    """

    async def unknown(settings: SchoolSettings) -> KnownSchool:
        return KnownSchool(settings, ())

    return _result(preview_feed(feed_path, values, accounts, unknown, EmptyTenant()))


async def preview_feed(
    feed_path: Path,
    values: Mapping[str, object],
    accounts: Sequence[ListedAccount] | None,
    known: Callable[[SchoolSettings], Awaitable[KnownSchool]],
    tenants: TenantReaders,
) -> list[Preview]:
    """What `sync` of the feed would do to each `known` school, with the accounts that `sync` would create first.

    Waits for `known` and `tenants` alone. Raises SnapshotRejected, UnknownSetting.
    """
    night = prepare_night(feed_path, values, accounts)
    clock, sources, previews = SystemClock(), feed_sources(), []
    for settings in night.schools:
        school = await known(settings)
        existing = school.known_accounts
        school = replace(school, known_accounts=(*existing, *_new_accounts(night.users, existing)))
        reading = Reading(school, sources, clock, not_checked, tenants)
        planned = await plan_to_show(settings.school, reading)
        planned = await note_shared_names(planned, reading, lambda shared: shared.names)
        previews.append(preview_of(planned, settings))
    return previews


def feed_sources() -> MisSources:
    """Sources that read a feed in a folder as it is now, at once."""
    clock = SystemClock()
    readings = SharedReadings(clock, in_thread=_at_once)
    return MisSources(FileDropReader(_open_folder, timedelta(0), clock, readings, _at_once), {}, clock)


def _open_folder(drop: FileDrop) -> FolderDrop:
    assert isinstance(drop, FeedFolder)
    return FolderDrop(drop.path, _at_once)


async def _at_once(work: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Implements InThread: there is nothing else to do meanwhile, and no loop."""
    return work(*args, **kwargs)


def _result(work: Coroutine[object, None, _R]) -> _R:
    """The result of work that waits for nothing. It needs no event loop, for which Windows would open a socket."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _R = done.value
        return result
    work.close()
    raise AssertionError("a plan in one process waited")


def _new_accounts(users: Sequence[Mapping[str, object]], existing: Sequence[Account]) -> list[Account]:
    """The accounts of `users` that do not exist yet, with ids made up for the plan."""
    upns = {account.values.get(AccountProperty.UPN) for account in existing}
    names = {name.value: name for name in AccountProperty}
    return [
        Account(
            AccountId(f"new-account-{number}"),
            {names[name]: str(value).lower() for name, value in user.items() if name in names},
            user.get("accountEnabled") is not False,
        )
        for number, user in enumerate(users, start=1)
        if str(user["userPrincipalName"]).lower() not in upns
    ]
