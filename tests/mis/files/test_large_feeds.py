"""A set of hundreds of megabytes is read in little memory, which grows with the people and not with the file."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

from local.world import REPOSITORY
from tests.mis import feeds

_SIZE = 200_000_000
# How much the peak may grow over the peak that the process inherits from its parent. Measured alone: a peak of 23 MB
# with the interpreter and its imports, and 3,480 MB if the file is read into memory at once.
_MAX_MEGABYTES = 80

_READ = """
import resource, sys
from pathlib import Path
from local.feed import read_feed
from tests.mis import feeds
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
snapshot = read_feed(Path(sys.argv[1]), feeds.TODAY)["S1"]
assert sum(len(group.students) for group in snapshot.groups) == 4, snapshot
print(peak() - before)
"""


@pytest.mark.parametrize("packed", [False, True])
def test_two_hundred_megabytes_are_read_in_little_memory(packed: bool, tmp_path: Path) -> None:
    """Most enrolments are of pupils who left, from an MIS that exports all its history. Its ids are GUIDs."""
    folder = feeds.write(feeds.oneroster(), tmp_path / "feed")
    ids = b",".join(str(uuid5(NAMESPACE_URL, name)).encode() for name in ("class", "school", "pupil"))
    row = b"b7d1e6a2-5c1f-4b7e-9f0e-%012d,tobedeleted,2020-09-01T00:00:00Z," + ids + b",student,false\n"
    left = b"".join(row % n for n in range(20_000))
    with (folder / "enrollments.csv").open("ab") as file:
        for _ in range(_SIZE // len(left) + 1):
            file.write(left)
    if packed:
        with zipfile.ZipFile(tmp_path / "feed.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for part in folder.iterdir():
                archive.write(part, part.name)
    feed = tmp_path / ("feed.zip" if packed else "feed")
    result = subprocess.run(
        [sys.executable, "-c", _READ, str(feed)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < _MAX_MEGABYTES
