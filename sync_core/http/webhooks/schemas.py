"""The bodies of webhooks: which groups or people of a school changed, or Wonde's event about its access to a school."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from sync_core.domain.ids import MisId
from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import Unreadable, faults_of
from sync_core.messaging.messages import LONGEST_ID, MOST_IDS

_Id = Annotated[
    MisId, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00-\x1f]+$")
]
_Body = TypeVar("_Body", bound=BaseModel)
_FORM = f'{{"type": …, "timestamp": …, "data": {{"groups": […], "people": […]}}}}, each with {MOST_IDS} ids at most'


class ChangedBody(BaseModel, extra="forbid"):
    """Ids as the MIS has them. With neither groups nor people, anything in the school may have changed."""

    groups: Annotated[tuple[_Id, ...], Field(max_length=MOST_IDS)] = ()
    people: Annotated[tuple[_Id, ...], Field(max_length=MOST_IDS)] = ()


class WebhookBody(BaseModel):
    """The payload of Standard Webhooks. The sender chooses `type`."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    timestamp: datetime
    data: ChangedBody = ChangedBody()


class WondeBody(BaseModel):
    """Wonde's event about its access to a school. Its other members are ignored."""

    payload_type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    school_id: Annotated[str, StringConstraints(min_length=1, max_length=100)]


def read_event(id_: str, at: datetime, body: bytes) -> WebhookEvent:
    """Raises Unreadable."""
    changed = _read(WebhookBody, body, _FORM).data
    return WebhookEvent(
        id=id_, at=at, groups=tuple(sorted(set(changed.groups))), people=tuple(sorted(set(changed.people)))
    )


def read_wonde(body: bytes) -> WondeBody:
    """Raises Unreadable."""
    return _read(WondeBody, body, '{"payload_type": …, "school_id": …}')


def _read(model: type[_Body], body: bytes, form: str) -> _Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        message = f"the webhook's body was not understood: {faults_of(error.errors())}"
        raise Unreadable(message, f"send {form}") from None
