"""The people of each class: the mission's table of owners and members, applied to one snapshot of a school."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from sync_core.domain.accounts import Account
from sync_core.domain.classes.choices import Follow
from sync_core.domain.classes.desired import ClassName, ClassRequest, DesiredClass, Reason, Rule
from sync_core.domain.classes.record import WITHOUT_CLASS, ClassRecord, ClassState, Records
from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, plain_id
from sync_core.domain.nicknames import without_doubtful
from sync_core.domain.roster import GroupType, MisGroup, Person, School, Snapshot, each_once
from sync_core.domain.runs import HoldStatus
from sync_core.domain.school.settings import DepartedOwners, Mis, SchoolSettings
from sync_core.planning.extra_owners import NO_EXTRA_OWNERS, ExtraOwners
from sync_core.planning.limits.doubt import Benefit
from sync_core.planning.limits.holds import NO_DECISIONS, Decisions
from sync_core.planning.matching.accounts import Matched, tries_of
from sync_core.planning.matching.everybody import Everybody, Heads, heads_of, owners_of, owning
from sync_core.planning.matching.guard import SchoolMatching
from sync_core.planning.matching.reasons import accounts_of
from sync_core.planning.naming.class_keys import own_classes
from sync_core.planning.naming.names import assign_names
from sync_core.planning.run_notes import note_on_retired, note_on_undecided, notes_on_feed, notes_on_graph_limits
from sync_core.planning.teams import wanted_team
from sync_core.planning.year.calendar import WITHOUT_DATES, SchoolDay
from sync_core.planning.year.continued import FollowedGroups, Proposal, follow_groups

_NOBODY = frozenset[MisId]()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledSchool:
    """The classes that a school should have, and the people whom the rules could not place: MIS person ids, no names.

    `classes` are without the pinned ones, and `overruled` are these as the rules would have them. `ended` are the
    classes whose group is no longer in the MIS, or that an admin ended (`ended_by_choice`), unchanged but marked.
    `groups` are all groups that can have a class. `people` are those of the MIS, and `students` and `staff` their
    accounts in each role. `matching` is how the people of the whole school were matched. `proposals` are groups that
    may continue earlier classes, and those of `classes` whose keys are in `waiting` are not to be made while that is
    not decided. `adoptions` are groups that may take classes which somebody made in Microsoft 365. `part`: `groups` and
    the known rows are those of the scope alone, and `matching` is the worst that it may be.
    """

    groups: Mapping[ClassKey, MisGroup]
    people: Mapping[MisId, Person]
    students: Matched
    staff: Matched
    classes: tuple[DesiredClass, ...]
    overruled: tuple[DesiredClass, ...]
    ended: tuple[DesiredClass, ...]
    people_without_account: tuple[MisId, ...]
    people_disabled: tuple[MisId, ...]
    people_ambiguous: tuple[MisId, ...]
    notes: tuple[str, ...]
    matching: SchoolMatching
    proposals: tuple[Proposal, ...]
    waiting: frozenset[ClassKey]
    part: bool = False
    adoptions: tuple[Proposal, ...] = ()
    ended_by_choice: frozenset[ClassKey] = frozenset()

    def without_class(self, proposals: Iterable[Proposal], classes: Iterable[DesiredClass]) -> Iterable[Proposal]:
        """The proposals whose decision none of these `classes` carries out.

        The calendar keeps a class that goes on as it is until its pupils come in, and its approval stands until then.
        """
        planned = {desired.key: (desired.academic_year, desired.group_id) for desired in classes}
        for each in proposals:
            key = (each.status is HoldStatus.APPROVED and each.part.continues) or each.part.key
            group = self.groups.get(each.part.key) or self.groups[key]
            if planned.get(key) != (group.academic_year, group.id):
                yield each


def desired_classes(
    snapshot: Snapshot,
    settings: SchoolSettings,
    accounts: Iterable[Account],
    records: Records,
    requests: Mapping[ClassKey, ClassRequest],
    scope: frozenset[MisId] | None = None,
    pinned: Set[ClassKey] = frozenset(),
    decisions: Decisions = NO_DECISIONS,
    extra: ExtraOwners = NO_EXTRA_OWNERS,
    day: SchoolDay = WITHOUT_DATES,
) -> RuledSchool:
    """Match the people of the snapshot to the accounts, and then as `ruled_classes`."""
    everybody = Everybody.of(snapshot, settings, accounts)
    return ruled_classes(everybody, snapshot, settings, records, requests, scope, pinned, decisions, extra, day)


def ruled_classes(
    everybody: Everybody,
    snapshot: Snapshot,
    settings: SchoolSettings,
    records: Records,
    requests: Mapping[ClassKey, ClassRequest],
    scope: frozenset[MisId] | None,
    pinned: Set[ClassKey],
    decisions: Decisions,
    extra: ExtraOwners,
    day: SchoolDay,
    heads: Heads | None = None,
) -> RuledSchool:
    """Apply the rules of owners and members to every group of a chosen type and every group that has a class.

    `scope` are the MIS ids of the groups to plan, and None means all groups; only then can a missing group end its
    class. Classes in `pinned`, and those whose year an admin ended, do not follow the rules. `decisions` are
    those on proposals. `extra` is what admins chose for classes. `heads` are those of the whole school if the snapshot
    and the records have the groups of the scope alone, and `everybody` then has the whole school, too.
    """
    extracted, part = extracted_groups(snapshot, settings), heads is not None
    retired = {key for key, record in records.items() if record.desired.retired and not _again(key, records, requests)}
    over, kept = extra.choices.following(Follow.ENDED) - pinned - retired, pinned | retired
    known = (records, settings, requests.keys(), kept, decisions, extra.choices, day)
    followed = FollowedGroups(groups=own_classes(extracted)) if part else follow_groups(extracted, *known)
    all_groups, apart = followed.groups, kept | over
    known_keys = records.keys() | requests.keys() | followed.waiting
    with_class = {key: group for key, group in all_groups.items() if group.type in settings.types or key in known_keys}
    groups = _within(scope, with_class, apart)
    rules = _Rules(snapshot, settings, everybody)
    names_before = {key: record.desired.name for key, record in records.items()}
    names = assign_names(groups, identifier_of(snapshot.school, settings), names_before)
    ruled = rules.desired_of(groups, names, records, requests)
    classes = tuple(_as_known(extra.applied(each, _wanted(each.key, records)), records) for each in ruled)
    absent = records.keys() - all_groups.keys() - apart - followed.proposed if scope is None else set()
    ending = (*_absent(absent | (retired - pinned), records, rules.benefit), *_chosen(over, records, scope))
    return RuledSchool(
        groups=all_groups,
        people=everybody.people,
        students=everybody.students,
        staff=everybody.staff,
        classes=classes,
        overruled=tuple(rules.desired_of(_of(pinned & records.keys(), all_groups), names_before, records, requests)),
        ended=tuple(map(extra.ended, ending)),
        **rules.without_one_account(groups.values()),
        notes=(
            *notes_on_feed(snapshot, extracted, settings, groups.values()),
            *note_on_undecided(followed.undecided & groups.keys()),
            *note_on_retired(retired & all_groups.keys()),
            *everybody.admin_notes,
            *notes_on_graph_limits(classes, records, everybody.admins),
        ),
        matching=rules.matching(with_class, records, apart, heads),
        part=part,
        proposals=tuple(each for each in followed.proposals if not each.keys.isdisjoint(groups)),
        waiting=followed.waiting,
        ended_by_choice=over,
    )


def _wanted(key: ClassKey, records: Records) -> DesiredClass | None:
    return records[key].desired if key in records else None


def _as_known(desired: DesiredClass, records: Records) -> DesiredClass:
    """The class of the row if it stays as it was: then a large school is in memory once."""
    before = _wanted(desired.key, records)
    return before if before is not None and before == desired else desired


def _within(
    scope: frozenset[MisId] | None, groups: Mapping[ClassKey, MisGroup], apart: Set[ClassKey]
) -> Mapping[ClassKey, MisGroup]:
    """The groups of the scope, except those whose classes do not follow the rules."""
    return {key: group for key, group in groups.items() if (scope is None or group.id in scope) and key not in apart}


def _again(key: ClassKey, records: Records, requests: Mapping[ClassKey, ClassRequest]) -> bool:
    """Whether the class was requested again since it was planned last."""
    request = requests.get(key)
    return request is not None and request.generation > records[key].desired.generation


def _of(keys: Set[ClassKey], groups: Mapping[ClassKey, MisGroup]) -> Mapping[ClassKey, MisGroup]:
    return {key: groups[key] for key in keys & groups.keys()}


def _absent(absent: Set[ClassKey], records: Records, benefit: Benefit) -> Iterable[ClassRecord]:
    """The classes whose groups are no longer in the MIS, beyond doubt, which have not ended yet."""
    for key in sorted(absent):
        wanted = records[key].desired
        if not wanted.ended and not benefit.keeps(wanted):
            yield records[key]


def _chosen(over: Set[ClassKey], records: Records, scope: frozenset[MisId] | None) -> Iterable[ClassRecord]:
    """The classes of the scope that an admin ended, which have not ended yet."""
    for key in sorted(over & records.keys()):
        wanted = records[key].desired
        if not wanted.ended and (scope is None or wanted.group_id in scope):
            yield records[key]


def groups_of_people(people: Set[MisId], snapshot: Snapshot, records: Records) -> frozenset[MisId]:
    """The MIS ids of the groups that these people are in now, or whose classes they were in at the last plan."""
    now = {group.id for group in snapshot.groups if not people.isdisjoint((*group.students, *group.teachers))}
    before = {
        record.desired.group_id
        for record in records.values()
        if any(reason.record in people for reason in record.desired.reasons.values())
    }
    return frozenset(now | before)


def extracted_groups(snapshot: Snapshot, settings: SchoolSettings) -> list[MisGroup]:
    """The groups that can become classes: ScholarPack's teaching groups cannot ("not extracted", RM TEC7627933)."""
    left_out = GroupType.TEACHING if settings.mis is Mis.SCHOLARPACK else None
    return [group for group in snapshot.groups if group.type is not left_out]


_WITHOUT_PEOPLE = WITHOUT_CLASS | {ClassState.ENDED}


class _Rules:
    """The rules of one school, whose people and admin owners are matched to accounts by their role in a group."""

    def __init__(self, snapshot: Snapshot, settings: SchoolSettings, everybody: Everybody) -> None:
        self._settings, self._snapshot, self._everybody = settings, snapshot, everybody
        self.benefit = Benefit(snapshot.doubt, snapshot.people.keys())
        self.students, self.staff = everybody.students, everybody.staff

    def without_one_account(self, groups: Collection[MisGroup]) -> dict[str, Any]:
        """The fields of a RuledSchool: the people of these groups who have no account, a disabled one, or several."""
        everybody = self._everybody
        people: Set[MisId] = everybody.doubtful
        if people:
            people = everybody.doubtful.intersection(
                chain.from_iterable((*group.students, *owning(group, self._settings)) for group in groups)
            )
        return {
            "people_without_account": tuple(sorted(people & everybody.missing)),
            "people_disabled": tuple(sorted(people & everybody.disabled)),
            "people_ambiguous": tuple(sorted(people & everybody.ambiguous)),
        }

    def matching(
        self, groups: Mapping[ClassKey, MisGroup], records: Records, pinned: Set[ClassKey], heads: Heads | None
    ) -> SchoolMatching:
        """How the people of these groups found their accounts. Pinned classes lose nobody.

        `heads` are those of the whole school, None if the groups are all that have or get a class.
        """
        students, staff = self._students_of(groups), owners_of(groups.values(), self._settings)
        followed = groups.keys() & records.keys() - pinned
        lost = {key: self._lost(groups[key], records[key]) for key in sorted(followed)}
        tried = {
            person: dict.fromkeys(tries_of(self._everybody.people[person], rule))
            for people, matched, rule in (
                (students, self.students, self._settings.student_matching),
                (staff, self.staff, self._settings.staff_matching),
            )
            for person in people.keys() & matched.missing
        }
        heads = heads or heads_of(self._everybody, students, staff)
        unmatched = heads.students.unmatched, heads.staff.unmatched
        return SchoolMatching(
            students=heads.students,
            staff=heads.staff,
            classes={key: self._of_group(group, *unmatched) for key, group in groups.items()},
            tried={person: tuple(tries) for person, tries in tried.items()},
            lost={key: people for key, people in lost.items() if people},
            accounts=self._everybody.accounts,
        )

    def _of_group(self, group: MisGroup, students: frozenset[MisId], staff: frozenset[MisId]) -> frozenset[MisId]:
        """Those of these people who are students of the group or own its class."""
        if not (students or staff):
            return _NOBODY
        return students.intersection(group.students) | staff.intersection(owning(group, self._settings))

    def _students_of(self, groups: Mapping[ClassKey, MisGroup]) -> Mapping[MisId, None]:
        # Where every group has a class, as in most schools, these are the students of the snapshot.
        every = len(groups) == len(self._snapshot.groups)
        return self._snapshot.students if every else each_once(group.students for group in groups.values())

    def _lost(self, group: MisGroup, record: ClassRecord) -> dict[AccountId, MisId]:
        """The accounts that people of the group had in its class, where these people find no account now."""
        missing = self._of_group(group, self.students.missing, self.staff.missing)
        if not missing or record.state in _WITHOUT_PEOPLE:
            return {}
        everybody = self._everybody
        return {
            account: reason.person
            for account, reason in record.desired.reasons.items()
            if reason.person in missing and account in everybody.account_ids and account not in everybody.admins
        }

    def desired_of(
        self,
        groups: Mapping[ClassKey, MisGroup],
        names: Mapping[ClassKey, ClassName],
        records: Records,
        requests: Mapping[ClassKey, ClassRequest],
    ) -> Iterable[DesiredClass]:
        """The classes of these groups, in order of key."""
        for key, group in sorted(groups.items()):
            yield self._desired(key, group, names[key], records.get(key), requests.get(key))

    def _desired(
        self, key: ClassKey, group: MisGroup, name: ClassName, record: ClassRecord | None, request: ClassRequest | None
    ) -> DesiredClass:
        before = record.desired if record else None
        everybody = self._everybody
        owners = {account: Reason(Rule.ADMIN_OWNER) for account in everybody.admins}
        if request and request.creator in everybody.account_ids:
            owners[request.creator] = Reason(Rule.CREATOR)
        earlier_owners, earlier = (before.owners, before.members) if before else (frozenset(), frozenset())
        owners |= accounts_of(
            owning(group, self._settings), everybody.certain_staff, self.staff.candidates, earlier_owners
        )
        members = accounts_of(group.students, everybody.certain_students, self.students.candidates, earlier)
        members |= owners
        generation = request.generation if request else 0
        requested_again = request is not None and (before is None or generation > before.generation)
        # A class that is made again has nothing of the year end of the one before.
        earlier_class = None if requested_again else before
        if request and request.display_name and requested_again:
            name = replace(name, display_name=request.display_name)
        # An admin deleted it, yet the row is stale and not gone: somebody restored it in Microsoft 365.
        restored = record is not None and record.stale and not record.gone
        desired = DesiredClass(
            tenant=self._settings.tenant,
            key=key,
            group_id=group.id,
            group_type=group.type,
            name=name,
            members=frozenset(members),
            owners=frozenset(owners),
            reasons=members,
            group_name=group.name,
            group_subject=group.subject,
            academic_year=group.academic_year,
            earlier_group=_earlier_group(group, before),
            description=request.description if request else "",
            revoke=self._revokes(group),
            deleted=before is not None and before.deleted and not requested_again and not restored,
            generation=generation,
            team=wanted_team(self._settings, group.type, earlier_class.team if earlier_class else DesiredTeam.NONE),
            group_teachers=frozenset(map(plain_id, group.teachers)),
            year_end=earlier_class.year_end if earlier_class else None,
            adopts=record.adopts if record else ClassId(""),
        )
        return self.benefit.applied(desired, before) if before else desired

    def _revokes(self, group: MisGroup) -> bool:
        """Only if there are intended owners and all have accounts: a missing one may be a matching fault."""
        owners = owning(group, self._settings)
        certain = not self._everybody.admin_notes and all(person in self.staff.ids for person in owners)
        has_owner = bool(owners) or group.type is not GroupType.TEACHING
        return self._settings.departed_owners is DepartedOwners.REVOKE and certain and has_owner


def _earlier_group(group: MisGroup, before: DesiredClass | None) -> MisId:
    """The id of the group that the class had in an earlier year."""
    if before is None:
        return MisId("")
    return before.group_id if group.academic_year > before.academic_year else before.earlier_group


def identifier_of(school: School, settings: SchoolSettings) -> str:
    """What tells the school's class names from those of other schools: chosen, the DfE code, or the school's name."""
    return settings.name_identifier or school.dfe_code or " ".join(without_doubtful(school.name).split())
