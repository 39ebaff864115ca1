"""Imported before the processes of the local world are forked: what each would make at its first message."""

from __future__ import annotations

from local.processes import collect_garbage_seldom
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import DeleteClass, RefreshTenant, encode

encode(RefreshTenant("tenant", RunId("run"), Cause.NIGHTLY))
encode(DeleteClass(SchoolId("school"), ClassKey("key"), RunId("run"), Cause.NIGHTLY))
# The memory of what is imported stays shared, too: a collection would write to all of it in each process.
collect_garbage_seldom()
