"""What a tenant should hold, computed straight from the CSV by code that shares nothing with the service it checks."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyascii import anyascii

_DROPPED = str.maketrans("", "", "@()\\/[]\"';:<>,")


@dataclass(frozen=True, slots=True)
class ByHand:
    """What somebody did in Microsoft 365 that is to last, by mail nickname."""

    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpectedClass:
    """People are UPNs in lower case. The nickname's middle may be numbered where names collide."""

    stem: str
    tail: str
    shown: str
    owners: frozenset[str]
    members: frozenset[str]

    @property
    def nickname(self) -> str:
        return self.stem + self.tail


def expected_classes(feed: Path, admins: Sequence[str], domain: str) -> list[ExpectedClass]:
    """Every class that a OneRoster feed of one school asks for, with the main teacher and `admins` as owners."""
    orgs, users = _rows(feed, "orgs"), _rows(feed, "users")
    dfe_code = next(org["identifier"] for org in orgs if org["type"] == "school")
    upns = {user["sourcedId"]: _upn(user, domain) for user in users}
    starts = {session["sourcedId"]: session for session in _rows(feed, "academicSessions")}
    everywhere = frozenset(admin.lower() for admin in admins)
    groups: list[tuple[str, str, frozenset[str], frozenset[str]]] = []
    for listed in _rows(feed, "classes"):
        session = starts[listed["termSourcedIds"].split(",")[0]]
        year = starts.get(session["parentSourcedId"], session)["startDate"][:4]
        enrolled = [row for row in _rows(feed, "enrollments") if row["classSourcedId"] == listed["sourcedId"]]
        pupils = frozenset(upns[row["userSourcedId"]] for row in enrolled if row["role"] == "student")
        staff = [row for row in enrolled if row["role"] == "teacher"]
        main = [row for row in staff if row["primary"] == "true"] or staff
        teaches = {upns[main[0]["userSourcedId"]]} if main and listed["classType"] == "scheduled" else set()
        groups.append((listed["title"], year, everywhere | teaches, pupils))
    latest = max(year for _, year, _, _ in groups)
    for grade in dict.fromkeys(user["grades"] for user in users if user["role"] == "student" and user["grades"]):
        pupils = frozenset(upns[user["sourcedId"]] for user in users if user["grades"] == grade)
        groups.append((grade, latest, everywhere, pupils))
    return [_expected(*group, dfe_code) for group in groups]


def differences(expected: Sequence[ExpectedClass], classes: Sequence[Mapping[str, Any]], by_hand: ByHand) -> list[str]:
    """Every way in which the tenant is not as expected, in words; empty if it is."""
    found: list[str] = []
    live = [listed for listed in classes if not listed["deleted"]]
    wanted: dict[str, list[ExpectedClass]] = {}
    for expected_class in expected:
        wanted.setdefault(expected_class.nickname.lower(), []).append(expected_class)
    matched: set[str] = set()
    for alike in wanted.values():
        first = alike[0]
        pattern = re.compile(re.escape(first.stem) + r"(-\d+)?" + re.escape(first.tail), re.IGNORECASE)
        candidates = [listed for listed in live if pattern.fullmatch(listed["mailNickname"])]
        if len(alike) == 1:
            candidates = [listed for listed in candidates if listed["mailNickname"].lower() == first.nickname.lower()]
        matched |= {listed["id"] for listed in candidates}
        found += _compare(alike, candidates, by_hand)
    found += [f"{listed['mailNickname']}: nobody asked for it" for listed in live if listed["id"] not in matched]
    return found


def _compare(alike: Sequence[ExpectedClass], candidates: Sequence[Mapping[str, Any]], by_hand: ByHand) -> list[str]:
    nickname = alike[0].nickname
    if len(alike) != len(candidates):
        return [f"{nickname}: {len(candidates)} classes instead of {len(alike)}"]
    if len(alike) > 1:
        want = Counter((one.owners, one.members | one.owners) for one in alike)
        have = Counter((_people(one, "owners"), _people(one, "members")) for one in candidates)
        return [] if want == have else [f"{nickname}: the {len(alike)} classes of that name have other people in them"]
    listed, owners = candidates[0], alike[0].owners | by_hand.owners.get(nickname, frozenset())
    shown = by_hand.names.get(nickname, alike[0].shown)
    found = [] if listed["displayName"] == shown else [f"{nickname}: is called {listed['displayName']}, not {shown}"]
    found += _who(nickname, "owner", _people(listed, "owners"), owners)
    wanted = alike[0].members | alike[0].owners
    members = _people(listed, "members") - (owners - wanted)
    return found + _who(nickname, "member", members, wanted)


def _who(nickname: str, role: str, have: frozenset[str], want: frozenset[str]) -> list[str]:
    missing = [f"{nickname}: {role} {upn} is missing" for upn in sorted(want - have)]
    return missing + [f"{nickname}: {role} {upn} should not be there" for upn in sorted(have - want)]


def _people(listed: Mapping[str, Any], collection: str) -> frozenset[str]:
    return frozenset(upn.lower() for upn in listed[collection])


def _expected(title: str, year: str, owners: frozenset[str], pupils: frozenset[str], identifier: str) -> ExpectedClass:
    shown = re.sub(r"[ -]+", "-", title.translate(_DROPPED).strip())
    plain = re.sub(r"[ -]+", "-", anyascii(shown).translate(_DROPPED))
    tail = f".class.{identifier}.{year}"
    stem = re.sub(r"\.\.+", ".", plain).strip(".")[: 64 - len(tail)].rstrip(".")
    return ExpectedClass(
        stem=stem or "teaching",
        tail=tail,
        shown=f"{shown or 'teaching'}_Class [{identifier}][{year}]",
        owners=owners,
        members=pupils,
    )


def _upn(user: Mapping[str, str], domain: str) -> str:
    name = (user["username"] or user["email"]).lower()
    return name if "@" in name else f"{name}@{domain}"


def _rows(feed: Path, name: str) -> list[dict[str, str]]:
    with (feed / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
