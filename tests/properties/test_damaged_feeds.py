"""A byte of a feed is changed, dropped or doubled: the feed is read or rejected, and hardly anybody leaves a class."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.school import oneroster_csv, sds_csv
from local.school.data import SchoolData
from local.school.generate import generate
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.record import Records
from sync_core.domain.ids import RunId
from sync_core.domain.roster import FeedStatistics, Snapshot
from sync_core.domain.runs import Cause
from sync_core.errors import SnapshotRejected
from sync_core.messaging.messages import SyncSchool
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.csv_file import CsvFile
from sync_core.mis.files.formats import read_sets
from sync_core.mis.roster import Snapshots
from sync_core.planning.limits.past import Past
from sync_core.planning.limits.snapshot import check_left_out, check_snapshot, statistics_of
from sync_core.planning.membership import desired_classes
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.school_plan import plan_within_limits
from tests.builders import NOON, entra_id, synced
from tests.builders import settings as school_settings
from tests.mis import feeds

Files = Mapping[str, bytes]
_DOMAIN = "school.onmicrosoft.com"
_SCHOOL = replace(generate(pupils=30), groups=generate(pupils=30).groups[::3])
_SETTINGS = school_settings(account_domain=_DOMAIN, teaching_owners="all", departed_owners="revoke")
_ACCOUNTS = [
    Account(entra_id(upn), {AccountProperty.UPN: upn.lower()})
    for upn in sorted({one.email or f"{one.username}@{_DOMAIN}" for one in (*_SCHOOL.pupils, *_SCHOOL.staff)})
]
_WRITERS: Mapping[str, Callable[[SchoolData, Path], None]] = {
    "OneRoster 1.1": oneroster_csv.write,
    "OneRoster 1.2": oneroster_csv.write_1_2,
    "School Data Sync v2": sds_csv.write_v2,
    "School Data Sync v1": sds_csv.write_v1,
}
_DAMAGES: Mapping[str, Callable[[bytes, int, int], bytes]] = {
    "changed": lambda text, place, byte: text[:place] + bytes([byte]) + text[place + 1 :],
    "dropped": lambda text, place, byte: text[:place] + text[place + 1 :],
    "doubled": lambda text, place, byte: text[: place + 1] + text[place:],
}
_names, _kinds = st.sampled_from(sorted(_WRITERS)), st.sampled_from(sorted(_DAMAGES))
_bytes = st.sampled_from(b'",;\t\r\n\x000123456789aAsSzZ') | st.integers(0, 255)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A set without damage, and what a school was that followed it."""

    files: Files
    snapshot: Snapshot
    statistics: FeedStatistics
    records: Records


@contextmanager
def _opened(content: bytes) -> Iterator[io.BytesIO]:
    yield io.BytesIO(content)


def _read(files: Files) -> Snapshots:
    opened = {name.lower(): CsvFile(name, partial(_opened, content)) for name, content in files.items()}
    return read_sets([FeedFiles(opened, NOON)], feeds.TODAY)


def _plan(snapshot: Snapshot, records: Records) -> SchoolPlan:
    ruled = desired_classes(snapshot, _SETTINGS, _ACCOUNTS, records, {})
    request = SyncSchool(snapshot.school.id, RunId("run"), Cause.NIGHTLY)
    past = Past(removed=0, groups=len(snapshot.groups), holds=())
    return plan_within_limits(ruled.classes, records, _SETTINGS, request, past, NOON, ruled, whole=True)


@cache
def _whole(name: str) -> _Whole:
    with tempfile.TemporaryDirectory() as folder:
        _WRITERS[name](_SCHOOL, Path(folder))
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    (snapshot,) = _read(files).values()
    records = {key: synced(desired) for key, desired in _plan(snapshot, {}).wanted.items()}
    assert not _plan(snapshot, records).plan.diffs
    return _Whole(files, snapshot, statistics_of(snapshot), records)


@cache
def _files(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(_whole(name).files))


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, str, str, int, int]:
    """A set, one of its files, a damage, its place, and the byte that stands there if it is changed."""
    name = draw(_names)
    file = draw(_files(name))
    place = draw(st.integers(0, len(_whole(name).files[file]) - 1))
    byte = draw(_bytes)
    return name, file, draw(_kinds), place, byte


@settings(max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
@given(damages())
def test_a_damaged_byte_removes_at_most_one_person_and_is_rejected_with_its_place(
    damage: tuple[str, str, str, int, int],
) -> None:
    name, file, kind, place, byte = damage
    whole = _whole(name)
    content = _DAMAGES[kind](whole.files[file], place, byte)
    try:
        snapshots = _read({**whole.files, file: content})
        for each in snapshots.values():
            check_left_out(each, _SETTINGS.limits)
    except SnapshotRejected as rejected:
        assert ".csv" in rejected.message
        assert "nothing was changed" in str(rejected)
        assert rejected.remedy
        return
    assert all(row.place and row.reason and row.remedy for each in snapshots.values() for row in each.left_out)
    snapshot = snapshots.get(whole.snapshot.school.id)
    if snapshot is None:
        return  # the school is missing: MisSources rejects the feed and names the schools that it has
    try:
        check_snapshot(statistics_of(snapshot), whole.statistics, _SETTINGS.limits)
    except SnapshotRejected as rejected:
        assert rejected.remedy
        return
    diffs = _plan(snapshot, whole.records).plan.diffs
    assert len({person for diff in diffs for person in diff.members_removed | diff.owners_revoked}) <= 1
