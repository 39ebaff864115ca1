"""Decisions on holds. A decision applies to exactly what the admin was shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from annotated_types import MaxLen, MinLen

from sync_core.admin.explain import read_people
from sync_core.admin.requests import Accepted, Requester, recorded_run, require_enabled, submit
from sync_core.domain.constraints import FORM, PRINTABLE, Meaning
from sync_core.domain.runs import Approval, HeldClass, Hold, HoldKind, HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, SyncError, Unreadable
from sync_core.messaging.messages import MOST_DECIDED, DecideHold, Decision, Priority, SyncSchool
from sync_core.planning.limits.holds import holds_of, parts_of, people_of
from sync_core.planning.naming.class_keys import keys_called, names_of_class, names_of_group
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.school_plan import note_shared_names, plan_to_show
from sync_core.services import Services
from sync_core.sync.school import sync_under

_CLASSES_TO_READ = 20
"""A preview reads the people of so many classes: two requests each, within a second or two."""


_Name = Annotated[str, PRINTABLE, MinLen(1), MaxLen(256)]


@dataclass(frozen=True, slots=True)
class HoldChoice:
    """What a decision on a hold is about."""

    __pydantic_config__ = FORM
    classes: Annotated[
        tuple[_Name, ...] | None,
        Meaning("Keys, or other names, of the classes of the hold that are decided; without it, all of them"),
    ] = None
    confirm: Annotated[
        int | None,
        Meaning("How many people find no account: to approve a hold whose `approval` is `two_steps`"),
    ] = None


WHOLE_HOLD = HoldChoice()


class NotConfirmed(Conflict):
    """The approval of a hold about matching that does not say how many people find no account."""


class PlanDiffers(Conflict):
    """A plan made now is not the one that the admin was shown. `plan` is the new plan."""

    def __init__(self, message: str, remedy: str, plan: Preview) -> None:
        super().__init__(message, remedy)
        self.plan = plan


async def preview_school(settings: SchoolSettings, services: Services) -> Preview:
    """What a sync of the whole school would do now. Writes nothing.

    The people of the first classes that change are read from Microsoft 365. Those of the others are as last known, and
    so are all from the first class on that cannot be read.
    """
    planned = await plan_to_show(settings.school, services.reading)
    planned = await note_shared_names(planned, services.reading, lambda shared: shared.names)
    tenant = services.graph.of(settings.tenant, Priority.URGENT)
    changing = [planned.records[diff.key] for diff in planned.plan.diffs if not diff.create]
    seen = {}
    with suppress(SyncError):
        for record in changing[:_CLASSES_TO_READ]:
            seen[record.key] = await read_people(record, tenant)
    return preview_of(planned, settings, seen)


async def request_decision(
    settings: SchoolSettings,
    digest: str,
    decision: Decision,
    requester: Requester,
    services: Services,
    choice: HoldChoice = WHOLE_HOLD,
) -> Accepted:
    """Approve or reject a hold or some of its classes, if a sync would hold exactly that now.

    Raises Conflict, PlanDiffers, NotConfirmed, and Unreadable for a class that the hold does not have.
    """
    require_enabled(settings)
    planned = await plan_to_show(settings.school, services.reading)
    hold = next((hold for hold in planned.holds if hold.digest == digest), None)
    if hold is None:
        raise PlanDiffers(
            f"a sync would not hold {digest} now: the MIS or Microsoft 365 has changed since the hold was shown",
            "read the plan in this answer, and decide on its holds",
            preview_of(planned, settings),
        )
    parts = hold.classes if choice.classes is None else _chosen(hold, choice.classes, planned)
    if len(parts) > MOST_DECIDED:
        raise Conflict(
            f"hold {digest} has {len(parts)} classes, and one decision is about {MOST_DECIDED} at most",
            "name some of its classes in the request, then the others in another one",
        )
    if decision is Decision.APPROVE and hold.approval is Approval.TWO_STEPS:
        _require_confirmed(hold, parts, choice.confirm)
    held = tuple(part.digest for part in parts)
    request = DecideHold(settings.school, held, decision, requester.run)
    return await submit(request, _action(request), requester, services)


async def decide_hold(request: DecideHold, services: Services) -> RunRecord:
    """Carry out a decision in the school's turn: one sync that recognises the decided classes by their digests.

    If the MIS has changed since the decision, a class has another digest and is held again. A duplicate message that
    arrives after its run is done decides nothing, because an admin may have decided otherwise since.
    """
    run = await recorded_run(request, _action(request), services)
    if run.outcome is RunOutcome.REFUSED:
        return run
    status = HoldStatus.APPROVED if request.decision is Decision.APPROVE else HoldStatus.REJECTED
    decided = dict.fromkeys(request.held, status) if run.outcome is RunOutcome.REQUESTED else {}
    synced = await sync_under(run, SyncSchool(request.school, request.run, request.cause), services, decided)
    if decided and synced.outcome is not RunOutcome.PLANNED:
        # No plan could be made, so the decision has to outlive this run.
        standing = await services.schools.holds(request.school)
        await services.schools.replace_holds(request.school, standing, holds_of(parts_of(standing, decided)))
    return synced


def _action(request: DecideHold) -> str:
    """The decision with a digest of all that it is about, so that a message about anything else differs."""
    return f"{request.decision} {sha256(' '.join(sorted(request.held)).encode()).hexdigest()[:32]}"


def _chosen(hold: Hold, names: Iterable[str], planned: SchoolPlan) -> tuple[HeldClass, ...]:
    """The classes of the hold with these keys or names. Raises Unreadable with every name at fault."""
    named = {part.key: _names(part, planned) for part in hold.classes}
    found = {name: keys_called(name, named) for name in names}
    faults = [f"it has no class {name}" for name, keys in found.items() if not keys]
    faults += [f"{name} is the name of {', '.join(keys)}" for name, keys in found.items() if len(keys) > 1]
    if faults:
        raise Unreadable(
            f"hold {hold.digest} is not decided: {'; '.join(faults)}", "name each class by a key that the hold lists"
        )
    chosen = {key for keys in found.values() for key in keys}
    return tuple(part for part in hold.classes if part.key in chosen)


def _names(part: HeldClass, planned: SchoolPlan) -> tuple[str, ...]:
    record = planned.records.get(part.key)
    group = planned.ruled.groups.get(part.key) if planned.ruled else None
    of_class, of_group = names_of_class(record) if record else (), names_of_group(group) if group else ()
    return (part.key, part.group_name, part.name, *of_class, *of_group)


_EFFECTS = {
    HoldKind.ACCOUNT_MATCHING: (
        "an approval creates or updates the classes of the hold ({classes}), and adds everybody except the people who "
        "find no account ({people})"
    ),
    HoldKind.LOST_MATCHING: (
        "an approval takes people who find no account now ({people}) out of their classes ({classes})"
    ),
}


def _require_confirmed(hold: Hold, parts: Sequence[HeldClass], confirmed: int | None) -> None:
    people = len(people_of(parts))
    if confirmed == people:
        return
    effect = _EFFECTS[hold.kind].format(classes=len(parts), people=people)
    wrong = "" if confirmed is None else f"confirm is {confirmed}, and {people} people find no account; "
    raise NotConfirmed(
        f"hold {hold.digest} is not approved yet: {wrong}{effect}",
        "the page People, or a plan over the API, shows what was tried for each of them and the nearest accounts; "
        "correct students, staff or account_domain in the school's settings, or the accounts; to approve it anyway, "
        f'confirm the number: {{"confirm": {people}}}',
    )
