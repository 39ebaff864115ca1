"""The expected classes of a tenant, computed from the CSV by code that shares nothing with the service it checks."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyascii import anyascii

_REMOVED = str.maketrans("", "", "@()\\/[]\"';:<>,&*?|{}+")


@dataclass(frozen=True, slots=True)
class ByHand:
    """Changes made by hand in Microsoft 365 that the sync must keep, by mail nickname."""

    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpectedClass:
    """A class of the feed; people are UPNs in lower case. Where names collide, a number follows the stem."""

    stem: str
    tail: str
    display_name: str
    owners: frozenset[str]
    members: frozenset[str]

    @property
    def nickname(self) -> str:
        return self.stem + self.tail


def expected_classes(feed: Path, admins: Sequence[str], domain: str) -> list[ExpectedClass]:
    """Every class of a OneRoster feed of one school, with the main teacher and `admins` as owners."""
    orgs, users = _rows(feed, "orgs"), _rows(feed, "users")
    dfe_code = next(org["identifier"] for org in orgs if org["type"] == "school")
    upns = {user["sourcedId"]: _upn(user, domain) for user in users}
    sessions = {session["sourcedId"]: session for session in _rows(feed, "academicSessions")}
    admin_owners = frozenset(admin.lower() for admin in admins)
    enrolments: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(feed, "enrollments"):
        enrolments[row["classSourcedId"]].append(row)
    groups: list[tuple[str, str, frozenset[str], frozenset[str]]] = []
    for class_ in _rows(feed, "classes"):
        session = sessions[class_["termSourcedIds"].split(",")[0]]
        year = sessions.get(session["parentSourcedId"], session)["startDate"][:4]
        enrolled = enrolments[class_["sourcedId"]]
        pupils = frozenset(upns[row["userSourcedId"]] for row in enrolled if row["role"] == "student")
        staff = [row for row in enrolled if row["role"] == "teacher"]
        main = [row for row in staff if row["primary"] == "true"] or sorted(staff, key=lambda row: row["userSourcedId"])
        teachers = {upns[main[0]["userSourcedId"]]} if main and class_["classType"] == "scheduled" else set()
        groups.append((class_["title"], year, admin_owners | teachers, pupils))
    latest = max(year for _, year, _, _ in groups)
    for grade in dict.fromkeys(user["grades"] for user in users if user["role"] == "student" and user["grades"]):
        pupils = frozenset(upns[user["sourcedId"]] for user in users if user["grades"] == grade)
        groups.append((grade, latest, admin_owners, pupils))
    return [_expected(*group, dfe_code) for group in groups]


def differences(expected: Sequence[ExpectedClass], classes: Sequence[Mapping[str, Any]], by_hand: ByHand) -> list[str]:
    """A sentence for each difference between the tenant and the expectation."""
    sentences: list[str] = []
    live = [class_ for class_ in classes if not class_["deleted"]]
    by_nickname: dict[str, list[ExpectedClass]] = {}
    for expected_class in expected:
        by_nickname.setdefault(expected_class.nickname.lower(), []).append(expected_class)
    matched: set[str] = set()
    for namesakes in by_nickname.values():
        first = namesakes[0]
        pattern = re.compile(re.escape(first.stem) + r"(-\d+)?" + re.escape(first.tail), re.IGNORECASE)
        candidates = [class_ for class_ in live if pattern.fullmatch(class_["mailNickname"])]
        if len(namesakes) == 1:
            candidates = [class_ for class_ in candidates if class_["mailNickname"].lower() == first.nickname.lower()]
        matched |= {class_["id"] for class_ in candidates}
        sentences += _compare(namesakes, candidates, by_hand)
    sentences += [f"{class_['mailNickname']}: is not in the feed" for class_ in live if class_["id"] not in matched]
    return sentences


def _compare(namesakes: Sequence[ExpectedClass], candidates: Sequence[Mapping[str, Any]], by_hand: ByHand) -> list[str]:
    first = namesakes[0]
    nickname = first.nickname
    if len(namesakes) != len(candidates):
        return [f"{nickname}: {len(candidates)} classes instead of {len(namesakes)}"]
    if len(namesakes) > 1:
        expected = Counter((one.owners, one.members | one.owners) for one in namesakes)
        actual = Counter((_people(one, "owners"), _people(one, "members")) for one in candidates)
        return (
            [] if expected == actual else [f"{nickname}: the {len(namesakes)} classes of this name have other people"]
        )
    class_, owners = candidates[0], first.owners | by_hand.owners.get(nickname, frozenset())
    name = by_hand.names.get(nickname, first.display_name)
    sentences = [] if class_["displayName"] == name else [f"{nickname}: is called {class_['displayName']}, not {name}"]
    sentences += _compare_people(nickname, "owner", _people(class_, "owners"), owners)
    in_feed = first.members | first.owners
    members = _people(class_, "members") - (owners - in_feed)
    return sentences + _compare_people(nickname, "member", members, in_feed)


def _compare_people(nickname: str, role: str, actual: frozenset[str], expected: frozenset[str]) -> list[str]:
    missing = [f"{nickname}: {role} {upn} is missing" for upn in sorted(expected - actual)]
    return missing + [f"{nickname}: {role} {upn} should not be there" for upn in sorted(actual - expected)]


def _people(class_: Mapping[str, Any], collection: str) -> frozenset[str]:
    return frozenset(upn.lower() for upn in class_[collection])


def _expected(title: str, year: str, owners: frozenset[str], pupils: frozenset[str], identifier: str) -> ExpectedClass:
    display = re.sub(r"[ -]+", "-", title.translate(_REMOVED).strip())
    plain = re.sub(r"[ -]+", "-", anyascii(display).translate(_REMOVED))
    tail = f".class.{identifier}.{year}"
    stem = re.sub(r"\.\.+", ".", plain).strip(".")[: 64 - len(tail)].rstrip(".")
    return ExpectedClass(
        stem=stem or "teaching",
        tail=tail,
        display_name=f"{display or 'teaching'}_Class [{identifier}][{year}]",
        owners=owners,
        members=pupils,
    )


def _upn(user: Mapping[str, str], domain: str) -> str:
    name = (user["username"] or user["email"]).lower()
    return name if "@" in name else f"{name}@{domain}"


def _rows(feed: Path, name: str) -> list[dict[str, str]]:
    with (feed / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
