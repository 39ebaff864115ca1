"""The routes of what admins choose for single classes, and of a school's owner rules."""

from __future__ import annotations

from sync_core.admin.classes.choices import (
    ChosenClass,
    WantedChoice,
    WantedRule,
    forget_owner_rule,
    list_owner_rules,
    read_choice,
    request_choice,
    save_owner_rule,
)
from sync_core.admin.requests import Accepted
from sync_core.domain.classes.choices import OwnerRule
from sync_core.http.admin.dependencies import Administered, Key, RuleId, SignedIn
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import ABSENT, CONFLICT, STARTS_RUN

router = admin_router("/schools/{school}", ABSENT)


@router.get("/classes/{key}/choice", responses=CONFLICT, summary="Read what a class follows, and its extra owners")
async def read_class_choice(settings: Administered, key: Key, call: SignedIn) -> ChosenClass:
    """Also the extra owners by owner rules, which have the id of their `rule`."""
    return await read_choice(settings, key, call.services)


@router.put("/classes/{key}/choice", **STARTS_RUN, summary="Choose what a class follows, and its extra owners")
async def put_class_choice(settings: Administered, key: Key, wanted: WantedChoice, call: SignedIn) -> Accepted:
    """Replaces all choices for the class. An extra owner who is left out loses the ownership that the sync gave."""
    return await request_choice(settings, key, wanted, call.requester("choose", settings.school, key), call.services)


@router.delete("/classes/{key}/choice", **STARTS_RUN, summary="Let a class follow the MIS, without extra owners")
async def delete_class_choice(settings: Administered, key: Key, call: SignedIn) -> Accepted:
    requester = call.requester("forget choice", settings.school, key)
    return await request_choice(settings, key, WantedChoice(), requester, call.services)


@router.get("/owner-rules", summary="List the school's owner rules")
async def list_rules(settings: Administered, call: SignedIn) -> list[OwnerRule]:
    return list(await list_owner_rules(settings, call.services))


@router.put("/owner-rules/{rule}", responses=CONFLICT, summary="Give somebody the classes of groups with a name")
async def put_rule(settings: Administered, rule: RuleId, wanted: WantedRule, call: SignedIn) -> OwnerRule:
    """The owner rule counts from the next sync of the school."""
    call.record(f"save owner rule {rule}", settings.school)
    return await save_owner_rule(settings, rule, wanted, call.caller.id, call.services)


@router.delete("/owner-rules/{rule}", status_code=204, summary="Delete an owner rule")
async def delete_rule(settings: Administered, rule: RuleId, call: SignedIn) -> None:
    """The next sync of the school revokes what the rule granted."""
    call.record(f"delete owner rule {rule}", settings.school)
    await forget_owner_rule(settings, rule, call.services)
