"""What a class has in common with a group that may continue it: name, pupils, staff, subject and MIS id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from sync_core.domain.classes.desired import Rule
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, MisId, plain_id
from sync_core.domain.roster import MisGroup
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.naming.names import clean_group_name

_YEAR_FIRST = re.compile(r"((?:year|yr|y)?\s*)(\d{1,2})(?!\d)(.*)", re.DOTALL)


class NameEvidence(StrEnum):
    """How the name of a group is that of the group of an earlier class. NEXT: as 11A/Ma1 follows 10A/Ma1."""

    SAME = "the same name"
    NEXT = "the name of the year below"
    OTHER = "another name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A group that may continue the class `key` of an earlier group, in place of a class of its own (`new_key`).

    `same_year`: both are of one academic year; otherwise the class is of the year before. `same_id`: the MIS has them
    under one id. `same_subject`: the MIS names a subject of each, and it is the same. `shared` counts the pupils that
    are in both, of those that the class has (`before`) and the group has (`now`), and `teachers` those who taught the
    class and teach the group, of those who taught it (`taught`).
    """

    key: ClassKey
    new_key: ClassKey
    name: NameEvidence
    same_year: bool = False
    same_id: bool = False
    same_subject: bool = False
    shared: int
    before: int
    now: int
    teachers: int = 0
    taught: int = 0

    @property
    def text(self) -> str:
        """What the new class is, as the part of a hold says it."""
        when = " in the same academic year" if self.same_year else ""
        text = (
            f"waits: it may continue class {self.key}, whose group had {self.name} in the MIS{when}: {self.shared} of "
            f"its {self.before} pupils are in the new group, which has {self.now}"
        )
        if self.taught:
            text += f"; {self.teachers} of its {self.taught} staff are in it too"
        if self.same_subject:
            text += "; both have the same subject"
        return f"{text}; the MIS has both groups under one id" if self.same_id else text


def continuation_of(record: ClassRecord, group: MisGroup) -> Continuation:
    pupils, before = pupils_of(record), record.desired
    years = group.academic_year - before.academic_year
    return Continuation(
        key=record.key,
        new_key=class_key(group),
        name=name_evidence(record, group, years),
        same_year=years == 0,
        same_id=before.group_id == group.id,
        same_subject=bool(group.subject and before.group_subject) and not have_two_subjects(record, group),
        shared=len(pupils & set(group.students)),
        before=len(pupils),
        now=len(group.students),
        teachers=len(before.group_teachers.intersection(map(plain_id, group.teachers))),
        taught=len(before.group_teachers),
    )


def name_evidence(record: ClassRecord, group: MisGroup, years: int) -> NameEvidence:
    """How the names of a class and of a group are alike that is `years` later, of which at most one counts."""
    before, now = folded_name(record.desired.group_name), folded_name(group.name)
    if before and before == now:
        return NameEvidence.SAME
    return NameEvidence.NEXT if years and now and now == following_name(before) else NameEvidence.OTHER


def following_name(name: str) -> str:
    """The name of the same group one year later, where the name begins with its year: 11a/ma1 for 10a/ma1."""
    parts = _YEAR_FIRST.fullmatch(name)
    return f"{parts[1]}{int(parts[2]) + 1}{parts[3]}" if parts else ""


def have_two_subjects(record: ClassRecord, group: MisGroup) -> bool:
    """Whether the MIS names a subject of each, and they differ."""
    before, now = record.desired.group_subject, group.subject
    return bool(before and now) and before != now


def pupils_of(record: ClassRecord) -> set[MisId]:
    return {MisId(reason.record) for reason in record.desired.reasons.values() if reason.rule is Rule.STUDENT}


def folded_name(name: str) -> str:
    return " ".join(clean_group_name(name).casefold().split())
