"""One request for several classes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sync_core.admin.classes.objections import ClassAction, ClassFacts, require_possible
from sync_core.admin.classes.requests import ClassOptions, request_action, request_classes, request_resync
from sync_core.admin.requests import Accepted, Requester, existing_class
from sync_core.admin.undo import request_release
from sync_core.domain.ids import ClassKey
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict
from sync_core.messaging.messages import Action
from sync_core.services import Services

MOST = 50
"""Classes of one request."""


async def request_for_several(
    settings: SchoolSettings,
    action: ClassAction,
    keys: Sequence[ClassKey],
    begin: Callable[[Sequence[ClassKey]], Requester],
    services: Services,
) -> tuple[Accepted, ...]:
    """The runs that carry out the request: one for all classes, but one for each class to restore.

    `begin` makes the requester of a run for these classes. Raises NotFound, Conflict: then nothing is requested for any
    class. To delete several classes at once is always refused.
    """
    match action:
        case ClassAction.CREATE:
            wanted = dict.fromkeys(keys, ClassOptions())
            return (await request_classes(settings, wanted, begin(keys), services),)
        case ClassAction.RESYNC:
            return (await request_resync(settings, keys, begin(keys), services),)
        case ClassAction.RELEASE:
            return (await request_release(settings, keys, begin(keys), services),)
        case ClassAction.RESTORE:
            requesters = {key: begin([key]) for key in keys}
            for key in keys:
                record = await existing_class(settings.school, key, services)
                require_possible(action, ClassFacts(settings=settings, key=key, record=record.outline))
            runs = [
                await request_action(settings, key, Action.RESTORE, requester, services)
                for key, requester in requesters.items()
            ]
            return tuple(runs)
        case ClassAction.DELETE:
            raise Conflict(
                "several classes are not deleted at once, so nothing was changed",
                "a class is deleted on its own page, which asks for its name",
            )
