"""Feeds that are made to use memory: whatever is sent, a reading takes at most 200 MiB."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from local.world import REPOSITORY
from tests.mis import feeds

_MAX_MEGABYTES = 200

_READ = """
import sys
from pathlib import Path
from local.feed import read_feed
from sync_core.errors import SnapshotRejected
from tests.mis import feeds
from tests.mis.peak_memory import print_peak
for path in sys.argv[1:]:
    try:
        read_feed(Path(path), feeds.TODAY)
    except SnapshotRejected as error:
        print(error.message)
    else:
        print("read")
print_peak()
"""


def many_long_people() -> Iterator[bytes]:
    """One letter of four bytes makes a text of 255 characters take a kilobyte of memory."""
    wide = ("😀" + "x" * 245).encode()
    for number in range(40_000):
        yield b"%09d,,,true,%b,student,%b,,,,%b,%b,\n" % (number, wide, wide, wide, wide)


def separators() -> Iterator[bytes]:
    yield from (b",,,,,,\n" * 10_000 for _ in range(1_000))


def one_record() -> Iterator[bytes]:
    yield from (b'"x\n",' * 10_000 for _ in range(1_000))


def one_line() -> Iterator[bytes]:
    yield from (b"x" * 100_000 for _ in range(900))


def wide_line() -> Iterator[bytes]:
    yield "ж,".encode() * 499_000 + b"\n"


def open_quote() -> Iterator[bytes]:
    yield b'"'
    yield from (b"x,y\n" * 25_000 for _ in range(10))


ATTACKS: list[tuple[str, bool, Callable[[], Iterator[bytes]], str]] = [
    ("users.csv", False, many_long_people, "more people, groups and memberships than fit into 120,000,000 bytes"),
    ("users.csv", True, separators, "users.csv has no header in its first 1,000 lines"),
    ("users.csv", True, one_line, "users.csv line 1: is longer than 1000000 characters"),
    ("orgs.csv", False, one_record, "orgs.csv line 200004: ends a record of more than 1000000 characters"),
    ("orgs.csv", False, wide_line, "orgs.csv line 4: has more than 10,000 cells"),
    ("orgs.csv", False, open_quote, "more than 200,000 rows of the feed cannot be read"),
]


def _attack(path: Path, file: str, replace: bool, content: Callable[[], Iterator[bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in feeds.oneroster().items():
            with archive.open(name, "w") as member:
                if name != file or not replace:
                    member.write(text.encode())
                if name == file:
                    for part in content():
                        member.write(part)
        # A zip file may unpack to a hundred times its size: these letters do not shrink.
        archive.writestr("noise.bin", bytes(range(256)) * 4_000, zipfile.ZIP_STORED)
    return path


def _large_index(path: Path) -> Path:
    """Five hundred thousand entries of one small file."""
    feeds.write_zip({"orgs.csv": "x\n"}, path)
    content = path.read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    index = content[start:end] * 500_000
    tail = content[end : end + 8] + struct.pack("<HHIIH", 0xFFFF, 0xFFFF, len(index), start, 0)
    path.write_bytes(content[:start] + index + tail)
    return path


def test_no_feed_takes_more_memory_than_a_reading_may(tmp_path: Path) -> None:
    paths = [_attack(tmp_path / f"{n}.zip", *attack[:3]) for n, attack in enumerate(ATTACKS)]
    paths.append(_large_index(tmp_path / "index.zip"))
    result = subprocess.run(
        [sys.executable, "-c", _READ, *map(str, paths)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    *messages, peak = result.stdout.splitlines()
    for message, expected in zip(messages, [*(attack[3] for attack in ATTACKS), "is not a complete zip"], strict=True):
        assert expected in message
    assert int(peak) <= _MAX_MEGABYTES
