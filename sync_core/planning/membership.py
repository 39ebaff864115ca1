"""The people of each class: the mission's table of owners and members, applied to one snapshot of a school."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from sync_core.domain.accounts import Account
from sync_core.domain.classes.choices import Follow
from sync_core.domain.classes.desired import ClassName, ClassRequest, DesiredClass, Reason, Rule
from sync_core.domain.classes.record import WITHOUT_CLASS, ClassRecord, ClassState, Records
from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, plain_id
from sync_core.domain.nicknames import without_doubtful
from sync_core.domain.roster import GroupType, MisGroup, Person, School, Snapshot
from sync_core.domain.runs import HoldStatus
from sync_core.domain.school.settings import DepartedOwners, Mis, SchoolSettings, TeachingOwners
from sync_core.planning.doubt import Benefit
from sync_core.planning.extra_owners import NO_EXTRA_OWNERS, ExtraOwners
from sync_core.planning.matching.accounts import Matched, ids_of_upns, match_people, tries_of
from sync_core.planning.matching.guard import RoleMatching, SchoolMatching
from sync_core.planning.naming.names import assign_names
from sync_core.planning.run_notes import limits_of_graph, note_on_retired, note_on_undecided
from sync_core.planning.teams import wanted_team
from sync_core.planning.year.calendar import WITHOUT_DATES, SchoolDay
from sync_core.planning.year.continued import NO_DECISIONS, Proposal, follow_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledSchool:
    """The classes that a school should have, and the people whom the rules could not place: MIS person ids, no names.

    `classes` are without the pinned ones, and `overruled` are these as the rules would have them. `ended` are the
    classes whose group is no longer in the MIS, or that an admin ended (`ended_by_choice`), unchanged but marked.
    `groups` are all groups that can have a class. `people` are those of the MIS, and `students` and `staff` their
    accounts in each role. `matching` is how the people of the whole school were matched. `proposals` are groups that
    may continue earlier classes, and those of `classes` whose keys are in `waiting` are not to be made while that is
    not decided. `adoptions` are groups that may take classes which somebody made in Microsoft 365.
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
    decided: Mapping[str, HoldStatus] = NO_DECISIONS,
    extra: ExtraOwners = NO_EXTRA_OWNERS,
    day: SchoolDay = WITHOUT_DATES,
) -> RuledSchool:
    """Apply the rules of owners and members to every group of a chosen type and every group that has a class.

    `scope` are the MIS ids of the groups to plan, and None means all groups; only then can a missing group end its
    class. Classes in `pinned`, and those whose year an admin ended, do not follow the rules. `decided` are the
    decisions on proposals, by digest. `extra` is what admins chose for classes.
    """
    extracted = extracted_groups(snapshot, settings)
    retired = {key for key, record in records.items() if record.desired.retired and not _again(key, records, requests)}
    over, kept = extra.choices.following(Follow.ENDED) - pinned - retired, pinned | retired
    followed = follow_groups(extracted, records, settings, requests.keys(), kept, decided, extra.choices, day)
    all_groups, apart = followed.groups, kept | over
    known_keys = records.keys() | requests.keys() | followed.waiting
    with_class = {key: group for key, group in all_groups.items() if group.type in settings.types or key in known_keys}
    groups = {
        key: group for key, group in with_class.items() if (scope is None or group.id in scope) and key not in apart
    }
    rules = _Rules(snapshot, settings, tuple(accounts))
    known = {key: record.desired for key, record in records.items()}
    names_before = {key: desired.name for key, desired in known.items()}
    names = assign_names(groups, identifier_of(snapshot.school, settings), names_before)
    ruled = rules.desired_of(groups, names, records, requests)
    classes = tuple(extra.applied(desired, known.get(desired.key)) for desired in ruled)
    absent = records.keys() - all_groups.keys() - apart - followed.proposed if scope is None else set()
    ending = (*_absent(absent | (retired - pinned), records, rules.benefit), *_chosen(over, records, scope))
    involved = {person for group in groups.values() for person in (*group.students, *rules.owning(group))}
    return RuledSchool(
        groups=all_groups,
        people=snapshot.people,
        students=rules.students,
        staff=rules.staff,
        classes=classes,
        overruled=tuple(rules.desired_of(_of(pinned & records.keys(), all_groups), names_before, records, requests)),
        ended=tuple(map(extra.ended, ending)),
        **rules.without_one_account(involved),
        notes=(
            *_notes(snapshot, settings, groups.values()),
            *note_on_undecided(followed.undecided & groups.keys()),
            *note_on_retired(retired & all_groups.keys()),
            *rules.admin_notes,
            *limits_of_graph(classes, records, rules.admins),
        ),
        matching=rules.matching(with_class, records, apart),
        proposals=tuple(each for each in followed.proposals if not each.keys.isdisjoint(groups)),
        waiting=followed.waiting,
        ended_by_choice=over,
    )


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

    def __init__(self, snapshot: Snapshot, settings: SchoolSettings, accounts: tuple[Account, ...]) -> None:
        students = {person for group in snapshot.groups for person in group.students}
        teachers = {person for group in snapshot.groups for person in group.teachers}
        self._settings = settings
        self.benefit = Benefit(snapshot.doubt, snapshot.people.keys())
        roles = ((students, settings.student_matching), (teachers, settings.staff_matching))
        by_role = [([snapshot.people[id_] for id_ in ids], rule) for ids, rule in roles]
        self.students, self.staff = match_people(by_role, accounts, _enrolled(snapshot))
        self._people, self._accounts = snapshot.people, accounts
        # One reason for each person, not for each membership: a large school has a million memberships.
        self._student_reasons = {person: Reason(Rule.STUDENT, person) for person in self.students.ids}
        self._teacher_reasons = {person: Reason(Rule.TEACHER, person) for person in self.staff.ids}
        self._known_ids = frozenset(account.id for account in accounts)
        upns = [upn.lower() for upn in dict.fromkeys(settings.admin_owners)]
        ids = ids_of_upns(frozenset(upns), accounts) if upns else {}
        admins = [ids.get(upn) for upn in upns]
        self.admins = {account: number for number, account in enumerate(admins, start=1) if account}
        self.admin_notes = tuple(
            f"admin owner number {number} of the settings has no account — correct admin_owners in the settings"
            for number, account in enumerate(admins, start=1)
            if account is None
        )

    def without_one_account(self, people: Set[MisId]) -> dict[str, Any]:
        """The fields of a RuledSchool: those of these people who have no account, a disabled one, or several."""
        students, staff = self.students, self.staff
        return {
            "people_without_account": tuple(sorted(people & (students.missing | staff.missing))),
            "people_disabled": tuple(sorted(people & (students.disabled | staff.disabled))),
            "people_ambiguous": tuple(sorted(people & (students.candidates.keys() | staff.candidates.keys()))),
        }

    def owning(self, group: MisGroup) -> tuple[MisId, ...]:
        """The teachers who own the group's class."""
        if group.type is not GroupType.TEACHING:
            return ()
        return group.teachers if self._settings.teaching_owners is TeachingOwners.ALL else group.teachers[:1]

    def matching(self, groups: Mapping[ClassKey, MisGroup], records: Records, pinned: Set[ClassKey]) -> SchoolMatching:
        """How the people of these groups found their accounts. Pinned classes lose nobody."""
        students = frozenset(person for group in groups.values() for person in group.students)
        staff = frozenset(person for group in groups.values() for person in self.owning(group))
        followed = groups.keys() & records.keys() - pinned
        lost = {key: self._lost(groups[key], records[key]) for key in sorted(followed)}
        tried = {
            person: dict.fromkeys(tries_of(self._people[person], rule))
            for people, matched, rule in (
                (students, self.students, self._settings.student_matching),
                (staff, self.staff, self._settings.staff_matching),
            )
            for person in people & matched.missing
        }
        unmatched = students & (self.students.missing | self.students.candidates.keys())
        unmatched_staff = staff & (self.staff.missing | self.staff.candidates.keys())
        return SchoolMatching(
            students=RoleMatching(students, unmatched),
            staff=RoleMatching(staff, unmatched_staff),
            classes={
                key: unmatched.intersection(group.students) | unmatched_staff.intersection(self.owning(group))
                for key, group in groups.items()
            },
            tried={person: tuple(tries) for person, tries in tried.items()},
            lost={key: people for key, people in lost.items() if people},
            accounts=self._accounts,
        )

    def _lost(self, group: MisGroup, record: ClassRecord) -> dict[AccountId, MisId]:
        """The accounts that people of the group had in its class, where these people find no account now."""
        missing = self.students.missing.intersection(group.students) | self.staff.missing.intersection(
            self.owning(group)
        )
        if not missing or record.state in _WITHOUT_PEOPLE:
            return {}
        return {
            account: reason.person
            for account, reason in record.desired.reasons.items()
            if reason.person in missing and account in self._known_ids and account not in self.admins
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
        owners = {account: Reason(Rule.ADMIN_OWNER) for account in self.admins}
        if request and request.creator in self._known_ids:
            owners[request.creator] = Reason(Rule.CREATOR)
        earlier_owners, earlier = (before.owners, before.members) if before else (frozenset(), frozenset())
        owners |= _certain(self.owning(group), self.staff, self._teacher_reasons, earlier_owners)
        members = _certain(group.students, self.students, self._student_reasons, earlier) | owners
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
        owning = self.owning(group)
        certain = not self.admin_notes and all(person in self.staff.ids for person in owning)
        has_owner = bool(owning) or group.type is not GroupType.TEACHING
        return self._settings.departed_owners is DepartedOwners.REVOKE and certain and has_owner


def _earlier_group(group: MisGroup, before: DesiredClass | None) -> MisId:
    """The id of the group that the class had in an earlier year."""
    if before is None:
        return MisId("")
    return before.group_id if group.academic_year > before.academic_year else before.earlier_group


def identifier_of(school: School, settings: SchoolSettings) -> str:
    """What tells the school's class names from those of other schools: chosen, the DfE code, or the school's name."""
    return settings.name_identifier or school.dfe_code or " ".join(without_doubtful(school.name).split())


def _enrolled(snapshot: Snapshot) -> frozenset[MisId]:
    """The people of teaching and registration groups. A year group also has pupils who left or are yet to come."""
    groups = (group for group in snapshot.groups if group.type is not GroupType.YEAR)
    return frozenset(person for group in groups for person in (*group.students, *group.teachers))


def _certain(
    people: Iterable[MisId], matched: Matched, reasons: Mapping[MisId, Reason], before: frozenset[AccountId]
) -> dict[AccountId, Reason]:
    """The accounts of matched people, and those of ambiguous people that were desired before."""
    certain: dict[AccountId, Reason] = {}
    for person in people:
        if person in matched.ids:
            certain[matched.ids[person]] = reasons[person]
        else:
            in_doubt = matched.candidates.get(person, frozenset()) & before
            certain |= {account: Reason(Rule.IN_DOUBT, person) for account in in_doubt}
    return certain


def _notes(snapshot: Snapshot, settings: SchoolSettings, groups: Iterable[MisGroup]) -> list[str]:
    notes = _note_of_left_out(snapshot)
    notes += [
        f"{group.type} group {plain_id(group.id)} is empty, so its class has no students — "
        "put people into the group in the MIS, or end the group there"
        for group in groups
        if not group.students and not group.teachers
    ]
    if not settings.name_identifier and not snapshot.school.dfe_code:
        instead = "the school's name" if snapshot.school.name else "none"
        notes.append(
            f"the feed has no DfE code for the school, so its class names have {instead} — "
            "set name_identifier, or have the MIS export the code; names of classes never change later"
        )
    if left_out := len(snapshot.groups) - len(extracted_groups(snapshot, settings)):
        notes.append(
            f"{left_out} teaching groups were left out: teaching groups are not extracted from ScholarPack — "
            "correct mis in the school's settings if the school has another MIS"
        )
    return notes


def _note_of_left_out(snapshot: Snapshot) -> list[str]:
    if not (left_out := sum(count.left_out for count in snapshot.counts)):
        return []
    return [
        f"{left_out} rows of the feed were left out, and nobody left a class because of them — "
        f"GET /api/admin/schools/{snapshot.school.id}/left-out lists them; correct them in the MIS"
    ]
