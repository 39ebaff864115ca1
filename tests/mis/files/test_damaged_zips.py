"""Zip files with random damage, in each compression: they are read or rejected, and nothing else is raised."""

from __future__ import annotations

import random
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync_core.errors import SnapshotRejected
from sync_core.mis.files.archive import open_zip

_TIME = datetime(2026, 11, 27, tzinfo=UTC)
_DAMAGES = 1_500
_COMPRESSIONS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def _write(path: Path, compression: int) -> bytes:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("Schülé.csv", "ID,Name\n1,A School\n2,École\n" + "3,Another\n" * 40)
    return path.read_bytes()


def _read(path: Path) -> int:
    files = open_zip(path, _TIME)
    return sum(1 for file in files.files.values() for _ in file.rows(["ID"]))


@pytest.mark.parametrize("compression", _COMPRESSIONS)
def test_random_damage_is_read_or_rejected(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "feed.zip"
    whole = _write(path, _COMPRESSIONS[compression])
    rng = random.Random(compression)
    rejected = 0
    for _ in range(_DAMAGES):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            _read(path)
        except SnapshotRejected as error:
            assert error.remedy.startswith("nothing was changed")
            rejected += 1
    assert _DAMAGES / 2 < rejected <= _DAMAGES


@pytest.mark.parametrize("compression", _COMPRESSIONS)
def test_only_what_unpacks_in_steps_is_read(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "feed.zip"
    _write(path, _COMPRESSIONS[compression])
    if compression in ("stored", "deflate"):
        assert _read(path) == 42
        return
    with pytest.raises(SnapshotRejected, match=r"^the export is compressed in a way .* Deflate") as caught:
        _read(path)
    assert "feed.zip is compressed in a way that is not read — " in str(caught.value.for_admin())
