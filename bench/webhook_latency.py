"""The time from an accepted webhook until its changes are in Graph: in a quiet hour, and during a full night."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from statistics import quantiles

import httpx

from local.mis.webhooks import send_webhook
from local.nightly import count, drain, fire_timer
from local.school.data import SchoolData
from local.school.generate import generate
from local.school.oneroster_csv import accounts, write
from local.tenant.names import DOMAIN, TENANT_ID
from local.tenant.throttle import WRITES, WRITES_WINDOW
from local.world import WEBHOOK_SETTING, Addresses, World

_LATENCY = 0.15
_QUIET_SCHOOLS, _TEAM_SCHOOLS, _NIGHT_SCHOOLS = 6, 6, 3
_TIMEOUT = timedelta(seconds=120)
_POLL = 0.02
# Limits that hold no change.
_UNLIMITED = {"class_loss": 1, "turnover": 1, "school_loss": 1, "week_loss": 1}


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds of webhooks, each of which caused `changes` of memberships."""

    name: str
    changes: int
    seconds: Sequence[float]

    def percentile(self, share: int) -> float:
        return quantiles(self.seconds, n=100, method="inclusive")[share - 1]


@dataclass(frozen=True, slots=True)
class Result:
    """`writes` are the writes to Graph during the measured part of the night, which took `seconds`."""

    rows: tuple[Row, ...]
    plans_of_a_storm: int
    writes: int
    seconds: float


@dataclass(slots=True)
class _Scene:
    """A world with schools of a thousand pupils; those that send webhooks have only classes of their forms."""

    world: World
    addresses: Addresses
    schools: dict[str, SchoolData] = field(default_factory=dict)
    person_of: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    def join(self, school: SchoolData, types: Sequence[str], **settings: object) -> None:
        self.schools[school.id] = school
        self._export(school)
        body = {
            "tenant": TENANT_ID,
            "source": {"kind": "folder", "path": str(self._feed(school))},
            "types": list(types),
            "account_domain": DOMAIN,
            "limits": _UNLIMITED,
            "webhook_secrets": [WEBHOOK_SETTING],
            **settings,
        }
        url = f"{self.addresses.host}/api/admin/schools/{school.id}"
        httpx.put(url, json=body, headers={"Authorization": "Bearer admin"}, timeout=60).raise_for_status()

    def move(self, id_: str, pupils: int) -> list[str]:
        """Add that many pupils to another form, or remove them from it again. Returns the forms."""
        school = self.schools[id_]
        forms = [group for group in school.groups if group.homeroom]
        moved: dict[str, set[str]] = {}
        for number in range(pupils):
            here, other = forms[number % len(forms)], forms[(number + 1) % len(forms)]
            moved.setdefault(here.id, set()).add(other.pupils[number // len(forms)])
        groups = tuple(
            replace(group, pupils=tuple(dict.fromkeys((*group.pupils, *sorted(moved[group.id])))))
            if group.id in moved and not moved[group.id] <= set(group.pupils)
            else replace(group, pupils=tuple(one for one in group.pupils if one not in moved.get(group.id, ())))
            for group in school.groups
        )
        self.schools[id_] = replace(school, groups=groups)
        self._export(self.schools[id_])
        return sorted(moved)

    def latency(self, id_: str, pupils: int) -> float:
        """Seconds from the answer to the webhook until the last of its changes is recorded."""
        groups = self.move(id_, pupils)
        log_from = self.log_size
        self.sent += 1
        send_webhook(self.addresses.host, id_, f"msg_{self.sent}", groups)
        accepted = datetime.now(UTC)
        while True:
            settled = self._settled(id_, log_from)
            if len(settled) >= len(groups):
                return (max(settled) - accepted).total_seconds()
            if datetime.now(UTC) - accepted > _TIMEOUT:
                raise RuntimeError(f"{len(settled)} of {len(groups)} classes were changed within {_TIMEOUT}")
            time.sleep(_POLL)

    def team_latency(self, id_: str) -> float:
        """Seconds from the answer to a webhook until the teams have the people of their groups in the MIS."""
        groups = self.move(id_, 1)
        by_id = {group.id: group for group in self.schools[id_].groups}
        wanted = {self._address(id_, by_id[group].title): set(by_id[group].pupils) for group in groups}
        self.sent += 1
        send_webhook(self.addresses.host, id_, f"msg_{self.sent}", groups)
        accepted = time.monotonic()
        while self._in_teams(wanted) != wanted:
            if time.monotonic() - accepted > _TIMEOUT.total_seconds():
                raise RuntimeError(f"the teams were not changed within {_TIMEOUT}")
            time.sleep(_POLL)
        return time.monotonic() - accepted

    def _in_teams(self, addresses: Iterable[str]) -> dict[str, set[str]]:
        """Who is in the teams of the classes with these addresses: MIS ids, but not of owners."""
        teams = httpx.get(f"{self.addresses.tenant}/_sim/teams", timeout=60).json()
        chosen = (team for team in teams if team["mailNickname"] in addresses)
        return {team["mailNickname"]: {self.person_of[upn] for upn in team["members"]} for team in chosen}

    def _address(self, id_: str, title: str) -> str:
        return f"{title}.class.{self.schools[id_].dfe_code}.{self.schools[id_].starts}"

    def _settled(self, id_: str, log_from: int) -> list[datetime]:
        """The times at which changes of the school's classes were recorded."""
        events = [(at, event) for at, event in self._events(log_from) if event.get("school") == id_]
        return [at for at, event in events if event["name"].startswith("change.")]

    def storm(self, id_: str, webhooks: int, seconds: float) -> None:
        """Send that many webhooks of one school, spread evenly over `seconds`."""
        groups, began = self.move(id_, 1), time.monotonic()
        for number in range(webhooks):
            send_webhook(self.addresses.host, id_, f"storm_{number}", groups)
            time.sleep(max(began + seconds * (number + 1) / webhooks - time.monotonic(), 0))

    def plans(self, id_: str, log_from: int) -> int:
        """The number of plans of a school that webhooks caused, from that position of the log on."""
        plans = [event for _, event in self._events(log_from) if event["name"] == "school.planned"]
        return len([event for event in plans if event["school"] == id_ and event["cause"] == "webhook"])

    def night(self) -> None:
        before = count(self.addresses)
        fire_timer(self.addresses)
        drain(self.addresses, before)

    def writes(self) -> int:
        return int(httpx.get(f"{self.addresses.tenant}/_sim/stats").json()["writes"])

    @property
    def log_size(self) -> int:
        return self._log.stat().st_size

    @property
    def _log(self) -> Path:
        return self.world.folder / "host.jsonl"

    def _events(self, start: int) -> Iterator[tuple[datetime, dict[str, str]]]:
        with self._log.open("rb") as log:
            log.seek(start)
            for line in log:
                if line.endswith(b"\n") and "event" in (record := json.loads(line)):
                    yield datetime.fromisoformat(record["ts"]), record["event"]

    def _feed(self, school: SchoolData) -> Path:
        return self.world.folder / f"feed {school.id}"

    def _export(self, school: SchoolData) -> None:
        write(school, self._feed(school))


def run(quiet: int = 12, large: int = 4, busy: int = 16) -> Result:
    """Webhooks of one change and of 200 in a quiet hour, and of one change during a night slowed by Graph's limit."""
    with _scene() as scene:
        schools = cycle(sorted(school for school in scene.schools if school.startswith("QUIET")))
        one = [scene.latency(next(schools), 1) for _ in range(quiet)]
        in_team = [scene.team_latency(f"TEAM{number % _TEAM_SCHOOLS}") for number in range(quiet)]
        many = [scene.latency(next(schools), 200) for _ in range(large)]
        *others, stormy = sorted(school for school in scene.schools if school.startswith("QUIET"))
        for number in range(_NIGHT_SCHOOLS):
            data = generate()
            scene.join(
                replace(data, id=f"NIGHT{number}", dfe_code=f"20000{number:02}"), ["year", "registration", "teaching"]
            )
        began, written, log_from = time.monotonic(), scene.writes(), scene.log_size
        fire_timer(scene.addresses)
        during_night, next_school = [], cycle(others)
        with ThreadPoolExecutor(1) as thread:
            storm = thread.submit(scene.storm, stormy, 1000, 60.0)
            for number in range(busy):
                time.sleep(max(began + 3.0 * (number + 1) - time.monotonic(), 0))
                during_night.append(scene.latency(next(next_school), 1))
            storm.result()
        seconds, writes = time.monotonic() - began, scene.writes() - written
        plans = scene.plans(stormy, log_from)
        if not any(count(scene.addresses).unsettled.values()):
            raise RuntimeError("the night was over before it was measured")
    rows = (
        Row("one change, a quiet hour", 1, one),
        Row("one change, until the team has it", 1, in_team),
        Row("200 changes, a quiet hour", 200, many),
        Row("one change, during a full night", 1, during_night),
    )
    return Result(rows, plans, writes, seconds)


@contextmanager
def _scene() -> Iterator[_Scene]:
    with tempfile.TemporaryDirectory(prefix="bench-webhooks-") as folder:
        world = World(Path(folder))
        try:
            scene = _Scene(world, world.start())
            data = generate()
            people = [{"userPrincipalName": upn, "displayName": name} for upn, name in accounts(data)]
            httpx.post(f"{scene.addresses.tenant}/_sim/users", json=people, timeout=60).raise_for_status()
            for number in range(_QUIET_SCHOOLS):
                scene.join(replace(data, id=f"QUIET{number}", dfe_code=f"10000{number:02}"), ["registration"])
            everybody = (*data.staff, *data.pupils)
            scene.person_of = {upn: each.id for (upn, _), each in zip(accounts(data), everybody, strict=True)}
            for number in range(_TEAM_SCHOOLS):
                school = replace(data, id=f"TEAM{number}", dfe_code=f"30000{number:02}")
                scene.join(school, ["registration"], teams="release", admin_owners=[people[0]["userPrincipalName"]])
            ready = {f"teams_{name}_seconds": 0 for name in ("class_known", "owner_known", "team_shown")}
            httpx.post(f"{scene.addresses.tenant}/_sim/switches", json=ready, timeout=60).raise_for_status()
            scene.night()
            switches = {"latency_seconds": _LATENCY}
            httpx.post(f"{scene.addresses.tenant}/_sim/switches", json=switches, timeout=60).raise_for_status()
            yield scene
        finally:
            world.stop()


def section(result: Result) -> str:
    """The results as Markdown."""
    lines = [
        "Seconds from the answer 202 to a webhook until its last change is in Graph and recorded. Schools of 1,000 "
        f"pupils in 227 groups, read from CSV for each plan; {_LATENCY:g} s per answer of Graph; one process.",
        "",
        "| | webhooks | p50 | p95 | longest |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(_line(row) for row in result.rows),
        "",
        "Teams copies people of a group a day later in the simulated tenant: what the team has by then, the app wrote.",
        "",
        f"The night: {_NIGHT_SCHOOLS} new schools of 227 classes, more than the {WRITES:,} writes that Graph allows in "
        f"{WRITES_WINDOW:.0f} s; {result.writes:,} writes in the {result.seconds:.0f} s that were measured. "
        f"Meanwhile 1,000 webhooks of another school within a minute caused {result.plans_of_a_storm} plans.",
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    seconds = (row.percentile(50), row.percentile(95), max(row.seconds))
    return f"| {row.name} | {len(row.seconds)} | {' | '.join(f'{second:.1f}' for second in seconds)} |"
