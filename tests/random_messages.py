"""Random messages of the queues: every kind, with ids that exist and ids that do not, whole and damaged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, get_args

from hypothesis import strategies as st

from sync_core.domain.classes.year_end import YearEndChoice, YearEndFilter
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import (
    SYNC_REQUESTS,
    Action,
    ActOnClass,
    Change,
    DecideHold,
    Decision,
    EndYear,
    Priority,
    RefreshTenant,
    Request,
    SyncSchool,
    SyncWebhookEvents,
    TakeBackYearEnd,
    UndoRun,
    encode,
)


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids that messages name. `held` are digests of parts of holds."""

    tenants: Sequence[str]
    schools: Sequence[SchoolId]
    keys: Sequence[ClassKey]
    groups: Sequence[MisId]
    runs: Sequence[RunId]
    held: Sequence[str] = ("0123456789ab",)


NOW = st.none()
"""The end of a night that is spread over no time."""
Queued = tuple[bytes, str]
"""The body of a message, and its queue."""
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(["/", "a|b", "%", "\0", "x" * 600])
_FIELDS = sorted({field.name for kind in (*get_args(Request), *get_args(Change)) for field in fields(kind)})
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS | st.sampled_from([*Cause, *Action]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


def some(known: Sequence[str]) -> st.SearchStrategy[Any]:
    """Mostly one of the ids that are known."""
    return st.one_of(*[st.sampled_from(known)] * 9, _TEXTS) if known else _TEXTS


def random_requests(ids: Ids, until: st.SearchStrategy[datetime | None] = NOW) -> st.SearchStrategy[Request]:
    schools, runs, causes = some(ids.schools), some(ids.runs), st.sampled_from(Cause)
    listed = st.lists(some(ids.groups), max_size=3).map(tuple)
    return st.one_of(
        st.builds(ActOnClass, schools, some(ids.keys), st.sampled_from(Action), runs, causes),
        st.builds(UndoRun, schools, runs, runs, causes),
        st.builds(EndYear, schools, some(ids.held), st.builds(YearEndFilter), st.builds(YearEndChoice), runs, causes),
        st.builds(TakeBackYearEnd, schools, some(ids.held), st.builds(YearEndFilter), runs, causes),
        st.builds(
            DecideHold,
            schools,
            st.lists(some(ids.held), max_size=3).map(tuple),
            st.sampled_from(Decision),
            runs,
            causes,
        ),
        st.builds(SyncSchool, schools, runs, causes, st.none() | listed, listed),
        st.builds(SyncWebhookEvents, schools, runs, causes),
        st.builds(RefreshTenant, some(ids.tenants), runs, causes, until, st.booleans()),
    )


def random_changes(ids: Ids) -> st.SearchStrategy[Change]:
    parts = (some(ids.schools), some(ids.keys), some(ids.runs), st.sampled_from(Cause))
    return st.one_of(*(st.builds(kind, *parts) for kind in get_args(Change)))


def random_messages(ids: Ids, until: st.SearchStrategy[datetime | None] = NOW) -> st.SearchStrategy[Queued]:
    """Messages that can be encoded, on their queues."""
    requests = random_requests(ids, until).map(encode)
    return st.tuples(requests, st.just(SYNC_REQUESTS)) | st.tuples(
        random_changes(ids).map(encode), st.sampled_from(list(Priority))
    )


def damaged(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes that are no message, messages of which one field has any value, and messages with other bytes in them."""
    return st.one_of(
        st.binary(max_size=40),
        st.builds(_with_value, bodies, st.sampled_from(_FIELDS), _VALUES),
        st.builds(_with_bytes, bodies, st.integers(0, 300), st.binary(min_size=1, max_size=3)),
    )


def damaged_messages(ids: Ids) -> st.SearchStrategy[Queued]:
    """Damaged messages on any queue, also on one for other kinds."""
    bodies = random_messages(ids).map(lambda queued: queued[0])
    return st.tuples(damaged(bodies), st.sampled_from([SYNC_REQUESTS, *Priority]))


def _with_value(whole: bytes, name: str, value: Any) -> bytes:
    return json.dumps({**json.loads(whole), name: value}).encode()


def _with_bytes(whole: bytes, at: int, instead: bytes) -> bytes:
    at = at % (len(whole) + 1)
    return whole[:at] + instead + whole[at + len(instead) :]
