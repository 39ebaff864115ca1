"""Which sets of files lie in a drop, by the listing alone: each with its moment, and what tells it from others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

PROCESSED = "processed"
MANIFEST = "manifest.csv"
_ARCHIVED = re.compile(PROCESSED + r"/(\d{8}T\d{6}\.\d{6}Z)-([0-9a-f]{16})")
_MOMENT = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class DropFile:
    """A file as a listing shows it: `name` with the folders within the drop, `version` new each time it is written."""

    name: str
    size: int
    modified: datetime
    version: str


@dataclass(frozen=True, slots=True)
class ExportSet:
    """Files that were exported together: `place` is their folder within the drop, or the zip file.

    `moment` is when the newest of them was written. Where a set was moved, moment and fingerprint are those it had.
    """

    place: str
    files: tuple[DropFile, ...]
    moment: datetime
    fingerprint: str
    archived: bool

    @property
    def zipped(self) -> bool:
        return len(self.files) == 1 and _is_zip(self.files[0].name)

    @property
    def overwritten(self) -> bool:
        """Whether the next export takes its place."""
        return self.place == ""

    def as_archived(self, beside: Iterable[ExportSet]) -> ExportSet:
        """Where and as what it will lie once it is moved, after those `beside` that came within the same second."""
        others = {one.moment for one in beside if one.archived and one.fingerprint != self.fingerprint}
        moment = self.moment
        while moment in others:
            moment += timedelta(microseconds=1)
        place = f"{PROCESSED}/{moment.astimezone(UTC).strftime(_MOMENT)}-{self.fingerprint}"
        return replace(self, place=place, moment=moment, archived=True)

    def settled(self, now: datetime, settle: timedelta) -> bool:
        """Whether nothing more is to come: nothing was written for so long, or the manifest, as the last, was."""
        if not settle or self.archived or now - self.moment >= settle:
            return True
        manifest = [file.modified for file in self.files if _base(file.name).lower() == MANIFEST]
        others = [file.modified for file in self.files if _base(file.name).lower() != MANIFEST]
        return bool(manifest and others) and manifest[0] > max(others)


def export_sets_of(files: Iterable[DropFile]) -> list[ExportSet]:
    """The sets, oldest first: CSV files in the drop itself, in a folder each, or in a zip file each.

    What was moved lies two folders deep; anything else that deep is nobody's set.
    """
    places: dict[str, list[DropFile]] = {}
    for file in files:
        folder, _, base = file.name.rpartition("/")
        if _is_zip(base):
            places.setdefault(folder if _ARCHIVED.fullmatch(folder) else file.name, []).append(file)
        elif base.lower().endswith(".csv") and not base.startswith("."):
            places.setdefault(folder, []).append(file)
    found = [_set(place, within) for place, within in places.items() if _counts(place)]
    return sorted(found, key=lambda one: (_latest(one), one.place))


def _latest(one: ExportSet) -> datetime:
    """A container tells seconds alone: what came within the second in which another was moved came after it."""
    return one.moment if one.archived or one.moment.microsecond else one.moment.replace(microsecond=999_999)


def _counts(place: str) -> bool:
    return bool(_ARCHIVED.fullmatch(place)) or (place.count("/") == 0 and place != PROCESSED)


def _set(place: str, files: list[DropFile]) -> ExportSet:
    ordered = tuple(sorted(files, key=lambda file: file.name))
    if archived := _ARCHIVED.fullmatch(place):
        moment = datetime.strptime(archived[1], _MOMENT).replace(tzinfo=UTC)
        return ExportSet(place, ordered, moment, archived[2], archived=True)
    told = "\n".join(f"{file.name}\t{file.size}\t{file.version}" for file in ordered)
    moment = max(file.modified for file in ordered)
    return ExportSet(place, ordered, moment, sha256(told.encode()).hexdigest()[:16], archived=False)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")
