"""The end of the year for classes that an admin chooses: a preview, then exactly that as one run. Its reversal.

No date and no feed starts a year end. What an admin decided is written on the rows first, and then the changes are
sent. Every later plan leaves these classes as they are, and repeats a change that was lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from sync_core.admin.requests import Accepted, Requester, begin, refuse, require_enabled, submit
from sync_core.domain.classes.record import Records
from sync_core.domain.classes.year_end import NameChoice, YearEndFilter, YearEndOrder
from sync_core.domain.ids import AccountId, AccountIds, ClassKey, RunId, SchoolId
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, Unreadable
from sync_core.messaging.messages import Change, EndYear, Priority, TakeBackYearEnd
from sync_core.planning.diff import Origin, priority_of, year_end_diff
from sync_core.planning.reads.rows import records_in
from sync_core.planning.year.ending import SchoolNow, YearEndPlan, chosen, plan_taking_back, plan_year_end
from sync_core.services import Services

END, TAKE_BACK = "end-year", "take-back-year-end"
"""The first words of the actions of these runs. A digest follows."""
_Planned = Callable[[RunId], Awaitable[YearEndPlan]]
_TOO_LARGE = "class {} is too large for a row of Table storage and stays as it is"


class YearEndDiffers(Conflict):
    """A year end made now is not the one that the admin was shown. `plan` is the new one."""

    def __init__(self, plan: YearEndPlan) -> None:
        super().__init__(
            "the year end has changed since it was shown, so nothing was changed: a class has other people, another "
            "name or another state, or there is nothing to do",
            "look at the year end as it is now, and confirm that",
        )
        self.plan = plan


async def preview_year_end(settings: SchoolSettings, order: YearEndOrder, services: Services) -> YearEndPlan:
    """What the year end would do now. Reads the rows and the list of classes in Microsoft 365, and writes nothing.

    Raises Unreadable for a class that does not exist and for a suffix that is missing.
    """
    _require_suffix(order)
    return await _plan_end(settings, order, RunId("preview"), services)


async def request_year_end(
    settings: SchoolSettings, order: YearEndOrder, digest: str, requester: Requester, services: Services
) -> Accepted:
    """End the year of the classes, if that does exactly what the preview with this digest showed.

    No limit of the school holds any of it, because the admin saw it. Raises Conflict, YearEndDiffers, and as
    `preview_year_end`.
    """
    require_enabled(settings)
    plan = await preview_year_end(settings, order, services)
    if not plan.digest or plan.digest != digest:
        raise YearEndDiffers(plan)
    request = EndYear(settings.school, digest, order.filter, order.choice, requester.run)
    return await submit(request, f"{END} {digest}", requester, services)


async def preview_taking_back(settings: SchoolSettings, filter_: YearEndFilter, services: Services) -> YearEndPlan:
    """What the reversal would do now. Reads as `preview_year_end`, and also the history. Raises Unreadable."""
    return await _plan_back(settings, filter_, RunId("preview"), services)


async def request_taking_back(
    settings: SchoolSettings, filter_: YearEndFilter, digest: str, requester: Requester, services: Services
) -> Accepted:
    """Take the year end of the classes back, if that does what the preview showed. Raises as `request_year_end`."""
    require_enabled(settings)
    plan = await preview_taking_back(settings, filter_, services)
    if not plan.digest or plan.digest != digest:
        raise YearEndDiffers(plan)
    request = TakeBackYearEnd(settings.school, digest, filter_, requester.run)
    return await submit(request, f"{TAKE_BACK} {digest}", requester, services)


async def end_year(request: EndYear, services: Services) -> RunRecord:
    """In the school's turn: write the rows, then send the changes. The returned run is recorded."""
    run, settings = await begin(request, f"{END} {request.digest}", services)
    if settings is None:
        return run
    order = YearEndOrder(request.filter, request.choice)
    return await _carry_out(request, run, settings, lambda id_: _plan_end(settings, order, id_, services), services)


async def take_back(request: TakeBackYearEnd, services: Services) -> RunRecord:
    """As `end_year`."""
    run, settings = await begin(request, f"{TAKE_BACK} {request.digest}", services)
    if settings is None:
        return run
    return await _carry_out(
        request, run, settings, lambda id_: _plan_back(settings, request.filter, id_, services), services
    )


async def _carry_out(
    request: EndYear | TakeBackYearEnd, run: RunRecord, settings: SchoolSettings, plan: _Planned, services: Services
) -> RunRecord:
    """The run lists its classes before their rows are written: a redelivery does the rest of them, and no others.

    By then, a plan made now is no longer the one that was shown.
    """
    begun = bool(run.changed)
    try:
        planned = await plan(request.run)
    except Unreadable as fault:
        return await refuse(run, str(fault), services)
    if not begun and planned.digest != request.digest:
        reason = "the year end has changed since it was shown, so nothing was changed — look at it as it is now"
        return await refuse(run, reason, services)
    writes = [wanted for wanted in planned.writes if not begun or wanted.key in run.changed]
    if not begun:
        run = replace(run, changed=tuple(wanted.key for wanted in writes), notes=planned.what)
        await services.runs.write_run(run)
    too_large = await services.classes.write_desired(request.school, writes)
    records = await records_in(settings, services.reading.school)
    changes = _changes(run, records)
    await services.outbox.send_changes(changes, priority_of(request.cause, len(changes)))
    changed = tuple(key for key in run.changed if key not in too_large)
    notes = (*run.notes, *map(_TOO_LARGE.format, too_large))
    run = replace(run, at=services.clock.now(), outcome=RunOutcome.PLANNED, changed=changed, notes=notes)
    await services.runs.write_run(run)
    return run


def _changes(run: RunRecord, records: Records) -> list[Change]:
    origin = Origin(run.school, run.id, run.cause)
    diffs = [year_end_diff(records[key]) for key in run.changed if key in records]
    return [change for diff in diffs if diff for change in diff.changes(origin)]


async def _plan_end(settings: SchoolSettings, order: YearEndOrder, run: RunId, services: Services) -> YearEndPlan:
    return plan_year_end(order.filter, order.choice, await _look(settings, services), run)


async def _plan_back(settings: SchoolSettings, filter_: YearEndFilter, run: RunId, services: Services) -> YearEndPlan:
    now = await _look(settings, services)
    ended = {record.key: record for record in chosen(filter_, now.records) if record.desired.retired}
    returned = await _removed(settings.school, ended, services)
    return plan_taking_back(filter_, returned, now, run)


async def _look(settings: SchoolSettings, services: Services) -> SchoolNow:
    reading = services.reading
    listed = await reading.tenants.of(settings.tenant, Priority.URGENT).classes()
    return SchoolNow(
        records=await records_in(settings, reading.school),
        requests=await reading.school.class_requests(settings.school),
        names={each.id: each.display_name for each in listed},
        today=settings.date_at(reading.clock.now()),
        first_month=settings.year_starts_in,
    )


async def _removed(school: SchoolId, ended: Records, services: Services) -> dict[ClassKey, AccountIds | None]:
    """Whom the year end of each class removed; None for a class whose year end is no longer on record."""
    removed: dict[ClassKey, AccountIds | None] = {}
    by_run: dict[RunId, list[ClassKey]] = {}
    for key, record in ended.items():
        ending = record.desired.year_end
        if ending and ending.pupils:
            by_run.setdefault(ending.run, []).append(key)
    for run, keys in by_run.items():
        recorded = await services.runs.run(school, run)
        if recorded is None:
            removed |= dict.fromkeys(keys)
            continue
        changes = await services.classes.classes_of_run(school, run)
        since = min((first.at for first in changes.values()), default=recorded.at)
        for key, deltas in (await services.classes.histories(school, keys, since)).items():
            removed[key] = frozenset[AccountId]().union(*(each.members_removed for each in deltas if each.run == run))
    return removed


def _require_suffix(order: YearEndOrder) -> None:
    if order.choice.rename is NameChoice.SUFFIX and not order.choice.suffix.strip():
        raise Unreadable("the year end is to rename classes, and has no suffix", "give a suffix, or choose `year`")
