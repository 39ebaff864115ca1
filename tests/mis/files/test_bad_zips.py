"""Zip files are untrusted: damage, paths that lead outside and zip bombs are rejected. Nothing is unpacked to disk."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from local.feed import read_feed
from sync_core.errors import SnapshotRejected
from tests.mis import feeds

Spoil = Callable[[zipfile.ZipFile], None]


def link(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("Student2.csv")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(member, "/etc/passwd")


def named(name: str) -> Spoil:
    return lambda archive: archive.writestr(name, "x\n")


def swollen(archive: zipfile.ZipFile) -> None:
    with archive.open("More.csv", "w") as member:
        for _ in range(101):
            member.write(b"\0" * 1_000_000)


def crowded(archive: zipfile.ZipFile) -> None:
    for number in range(1_001):
        archive.writestr(f"photo{number}.png", "")


TABLE: list[tuple[str, Spoil, str]] = [
    ("a path upwards", named("../School.csv"), "a path that leads outside it"),
    ("a path upwards within", named("a/../../b.csv"), "a path that leads outside it"),
    ("an absolute path", named("/etc/cron.d/x.csv"), "a path that leads outside it"),
    ("a drive", named("C:/x.csv"), "a path that leads outside it"),
    ("backslashes", named("..\\\\x.csv"), "a path that leads outside it"),
    ("not even a CSV file", named("../../root/.ssh/authorized_keys"), "a path that leads outside it"),
    ("a link", link, "or a link"),
    ("a bomb", swollen, "unpacks to more than 100 times its size"),
    ("a thousand files", crowded, "contains more than 1000 files"),
    ("a file in two folders", named("more/Extra.csv"), "more than one folder"),
    ("a file twice", named("school.CSV"), "appears twice"),
]


@pytest.mark.parametrize(("what", "spoil", "message"), TABLE)
def test_a_suspicious_archive_is_rejected(what: str, spoil: Spoil, message: str, tmp_path: Path) -> None:
    path = feeds.write_zip(feeds.sds_v1(), tmp_path / "feed.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        spoil(archive)
    with pytest.raises(SnapshotRejected) as caught:
        read_feed(path, feeds.TODAY)
    assert message in caught.value.message
    assert caught.value.remedy.startswith("nothing was changed")
    assert [file.name for file in tmp_path.iterdir()] == ["feed.zip"]


@pytest.mark.parametrize("name", ["set/feed.zip", "users.csv.gz"])
def test_a_packed_file_within_a_zip_file_is_named(name: str, tmp_path: Path) -> None:
    path = feeds.write_zip({name: "PK", "logo.png": ""}, tmp_path / "outer.zip")
    with pytest.raises(SnapshotRejected) as caught:
        read_feed(path, feeds.TODAY)
    assert str(caught.value) == (
        "the export contains a packed file (zip or gz), and no CSV file — nothing was changed; deliver the CSV files "
        "themselves, in one folder or in one zip file"
    )


@pytest.mark.parametrize("name", ["feed.zip", "users.csv.gz"])
def test_a_packed_file_in_a_folder_is_named(name: str, tmp_path: Path) -> None:
    feeds.write({name: ""}, tmp_path)
    with pytest.raises(
        SnapshotRejected, match=r"the folder has a packed file .* name the zip file, or deliver the CSV"
    ):
        read_feed(tmp_path, feeds.TODAY)


def test_one_csv_file_is_no_feed(tmp_path: Path) -> None:
    feeds.write(feeds.oneroster(), tmp_path)
    with pytest.raises(
        SnapshotRejected, match=r"names one CSV file, .* name the folder or the zip file that has them all"
    ):
        read_feed(tmp_path / "users.csv", feeds.TODAY)


def test_an_archive_that_declares_too_large_a_size_is_rejected(tmp_path: Path) -> None:
    path = feeds.write_zip(feeds.sds_v1(), tmp_path / "feed.zip")
    _declare_size(path, 2_000_000_001)
    with pytest.raises(SnapshotRejected, match="unpacks to more than 2000000000 bytes"):
        read_feed(path, feeds.TODAY)


def test_an_archive_that_declares_too_small_a_size_is_rejected(tmp_path: Path) -> None:
    """A zip bomb with a false index: no more bytes are read than the index claims, and the checksum then fails."""
    path = feeds.write_zip(feeds.sds_v1(), tmp_path / "feed.zip")
    _declare_size(path, 20)
    with pytest.raises(SnapshotRejected):
        read_feed(path, feeds.TODAY)


def test_an_encrypted_archive_is_rejected(tmp_path: Path) -> None:
    path = feeds.write_zip(feeds.sds_v1(), tmp_path / "feed.zip")
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(SnapshotRejected, match="is encrypted"):
        read_feed(path, feeds.TODAY)


def _declare_size(path: Path, size: int) -> None:
    """Make the index claim this size, in bytes, for the first member."""
    damaged = bytearray(path.read_bytes())
    at = damaged.index(b"PK\x01\x02") + 24
    damaged[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(bytes(damaged))


def test_a_truncated_zip_is_rejected(tmp_path: Path) -> None:
    complete = feeds.write_zip(feeds.sds_v1(), tmp_path / "whole.zip").read_bytes()
    for cut in (0, 10, len(complete) // 2, len(complete) - 30):
        truncated = tmp_path / f"torn{cut}.zip"
        truncated.write_bytes(complete[:cut])
        with pytest.raises(SnapshotRejected, match="is not a complete zip file"):
            read_feed(truncated, feeds.TODAY)
    damaged = bytearray(complete)
    damaged[60] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(bytes(damaged))
    with pytest.raises(SnapshotRejected):
        read_feed(tmp_path / "damaged.zip", feeds.TODAY)


def test_a_zip_with_any_one_byte_damaged_is_rejected_or_read(tmp_path: Path) -> None:
    path = tmp_path / "feed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in feeds.sds_v1().items():
            archive.writestr(name, text)
    complete = path.read_bytes()
    rejected = 0
    for at in range(len(complete)):
        damaged = bytearray(complete)
        damaged[at] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            read_feed(path, feeds.TODAY)
        except SnapshotRejected:
            rejected += 1
    assert rejected > len(complete) / 2
