"""Random actions of all callers over the admin API, and random messages on the queues, while nights go on.

`python -m tests.faults.storm --minutes 10` does each of the two for so long, in a local world of its own, then lets it
come to rest, runs one night without disturbance, and prints what it did and what is wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import requests
import schemathesis
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from local.nightly import count_messages, fire_timer
from local.school.data import SchoolData
from local.school.oneroster_csv import write
from local.tenant.names import DOMAIN, TENANT_ID
from local.world import USERS
from sync_core import errors
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.errors import Malformed
from sync_core.messaging.messages import SYNC_REQUESTS, Priority, decode_change, decode_request
from tests.flow.trust import HEAD, STAFF_ROOM, Trust, pupils, registration, staff, start_trust, teaching, upn
from tests.random_messages import Ids, Queued, damaged_messages, random_messages
from tests.waiting import wait_until

OAK, ELM = "OAK", "ELM"
"""ELM may leave, and its records may be erased. What is in its classes then is not compared."""
_BOSS = upn("boss")
_SETTINGS: dict[str, Any] = {
    "admin_owners": [_BOSS],
    "access": [HEAD, STAFF_ROOM],
}
_NO_LIMITS = {"school_loss": 1, "week_loss": 1, "class_loss": 1, "turnover": 1, "new_classes": 1000}
_CALLERS = (*["admin"] * 6, *["head"] * 3, "colleague", "teacher", "visitor", "nobody", "")
_ENDS_SCHOOL = {"DELETE /api/admin/schools/{school}", "DELETE /api/admin/schools/{school}/records"}
_SLOW = re.compile("dead-letters|probe")
"""They open a link to each queue, or wait for the replicas of the tenant."""
_SECONDS_OF_A_DAY = 20
_MESSAGES_AT_ONCE = 50
_MOST_WAITING = 100
_DELIVERIES = 2
_REST_WITHIN = 180.0
_NO_REASON = "the queue recorded no reason"
_OURS = {"", "PlanNotMade", "TenantBlocked", *(name for name, each in vars(errors).items() if isinstance(each, type))}

_NOTHING = Ids([], [], [], [], [])

_Example = TypeVar("_Example")


def make_school(id_: str, identifier: str) -> SchoolData:
    """A school whose groups have ids of its own."""
    return SchoolData(
        id_,
        f"{id_.title()} School",
        identifier,
        2026,
        pupils("amy ben cleo dora eve fay"),
        staff("main second boss"),
        (
            teaching(f"{id_}1", "Art", "amy ben", "main"),
            teaching(f"{id_}2", "2S/Music", "cleo dora eve", "second main"),
            registration(f"{id_}3", "7A", "amy ben cleo", "main"),
        ),
    )


@dataclass(slots=True)
class Storm:
    """What was done so far, by kind, what the API answered, and what is wrong."""

    trust: Trust
    random: random.Random
    operations: Sequence[Any]
    session: requests.Session
    senders: Mapping[str, ServiceBusSender]
    ids: Ids = _NOTHING
    done: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def begin_night(self) -> None:
        """Give the schools their settings back, let pupils join and leave, and start a night without waiting for it.

        From then on, requests and messages name what exists now.
        """
        with suppress(AssertionError):  # an admin saved another school under the same identifier
            self._save_settings(self.random.choice([_NO_LIMITS, {}]))
        self._change_mis()
        fire_timer(self.trust.addresses)
        self.done["night"] += 1
        self.ids = self._find_ids()

    # --- random actions over the API

    def act(self) -> None:
        """Send random requests of random callers to one route of the document."""
        operation = self.random.choice(self.operations)
        if _SLOW.search(operation.path) and self.random.random() < 0.9:
            return
        mode = self.random.choice([*GenerationMode, GenerationMode.POSITIVE])
        with suppress(Unsatisfiable):  # an operation without input has no invalid input
            self._give(operation.as_strategy(generation_mode=mode), 3, self._call)

    def _call(self, case: Any) -> None:
        ids = self.ids
        known: dict[str, Sequence[str]] = {
            "school": ids.schools,
            "key": ids.keys,
            "run": ids.runs,
            "digest": ids.held,
            "tenant": ids.tenants,
            "queue": [SYNC_REQUESTS, *Priority],
        }
        for name in case.path_parameters:
            if known.get(name) and self.random.random() < 0.8:
                case.path_parameters[name] = self.random.choice(known[name])
        route = f"{case.operation.method.upper()} {case.operation.path}"
        if route in _ENDS_SCHOOL and case.path_parameters["school"] == OAK:
            case.path_parameters["school"] = ELM
        caller = self.random.choice(_CALLERS)
        case.headers = {**(case.headers or {}), **({"Authorization": f"Bearer {caller}"} if caller else {})}
        response = case.call(session=self.session, timeout=300)
        self.done[route] += 1
        self.answers[str(response.status_code)] += 1
        if response.status_code >= 500:
            what = f"{route} by {caller}: {response.status_code} {response.text[:500]}"
            self.wrong.append(f"{what} of {case.path_parameters} {case.body!r:.500}")

    # --- random messages

    def send(self) -> None:
        """Put random messages on the queues, each in its own session or in any."""
        batch: list[Queued] = []
        self._give(random_messages(self.ids) | damaged_messages(self.ids), _MESSAGES_AT_ONCE, batch.append)
        for body, queue in batch:
            message = ServiceBusMessage(body, session_id=self._session(body), message_id=uuid4().hex)
            self.senders[queue].send_messages(message)
            self.done[f"message on {queue}"] += 1
        wait_until(lambda: sum(self._unsettled().values()) < _MOST_WAITING, _REST_WITHIN)

    def _session(self, body: bytes) -> str:
        """Mostly the one that the app would choose, so that messages of one class meet the others of that class."""
        if self.random.random() < 0.8:
            with suppress(Malformed):
                return decode_request(body).session
            with suppress(Malformed):
                return decode_change(body).session
        return f"any {self.random.randrange(5)}"

    # --- the end

    def come_to_rest(self) -> None:
        """Wait until every message is settled, undo what admins chose, run a night, and note what is wrong."""
        self._rest()
        self._save_settings(_NO_LIMITS)
        with suppress(AssertionError):  # 409: there are no pins
            self.trust.run_action("DELETE", f"schools/{OAK}/pins")
        self._repair_classes()
        self._approve_holds()
        self.trust.run_night()
        self.wrong += self._wrong_classes() + self._wrong_letters() + self._strangers()

    def _rest(self) -> None:
        wait_until(lambda: not any(self._unsettled().values()), _REST_WITHIN)

    def _save_settings(self, limits: Mapping[str, float]) -> None:
        for school in (OAK, ELM):
            self.trust.save_settings(school, **_SETTINGS, limits=limits)

    def _repair_classes(self) -> None:
        """Restore or create again what admins deleted."""
        for class_ in self.trust.call("GET", f"schools/{OAK}/classes").json():
            path = f"schools/{OAK}/classes/{class_['key']}"
            if class_["state"] in ("deleted", "gone", "deleting"):
                self.trust.run_action("POST", f"{path}/restore")

    def _approve_holds(self) -> None:
        for hold in self.trust.call("POST", f"schools/{OAK}/plan").json()["holds"]:
            self.trust.run_action("POST", f"schools/{OAK}/holds/{hold['digest']}/approve")

    def _wrong_classes(self) -> list[str]:
        """Classes of OAK with other people than its MIS and its settings say. Admins may own what they requested."""
        live = {one["externalId"]: one for one in self.trust.list_classes() if not one["deleted"]}
        people: dict[str, tuple[set[str], set[str]]] = {}
        for group in self.trust.schools[OAK].groups:
            teachers = set() if group.homeroom else {upn(group.staff[0].teacher)}
            key = f"2026.{'registration' if group.homeroom else 'teaching'}.{group.id}"
            people[key] = (teachers | {_BOSS}, set(map(upn, group.pupils)))
        people["2026.year.grade~3A7"] = ({_BOSS}, {upn(pupil.id) for pupil in self.trust.schools[OAK].pupils})
        callers = {f"{name}.user@{DOMAIN}" for name in (*USERS, "head", "colleague")}
        wrong = []
        for key, (owners, members) in people.items():
            found = live.get(f"{OAK}|{key}")
            if found is None:
                wrong.append(f"class {key} is not there")
                continue
            has_owners, has_members = set(found["owners"]), set(found["members"])
            if not owners <= has_owners or not has_owners <= owners | callers:
                wrong.append(f"class {key} has the owners {sorted(has_owners)} instead of {sorted(owners)}")
            if has_members - has_owners != members - has_owners or not owners <= has_members:
                wrong.append(f"class {key} has the members {sorted(has_members)} instead of {sorted(members | owners)}")
        return wrong

    def _wrong_letters(self) -> list[str]:
        letters = self.trust.call("GET", "dead-letters").json()
        self.done["dead letters"] = len(letters)
        return [f"dead letter {one}" for one in letters if one["reason"] in ("", _NO_REASON) or not one["remedy"]]

    def _strangers(self) -> list[str]:
        """What no error of ours says: in events, in the log, and in what ends a function."""
        found: Counter[str] = Counter()
        for text in (self.trust.world.folder / "host.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
            line = json.loads(text)
            raised = line.get("exception", "").strip().rpartition("\n")[2].partition(":")[0].rpartition(".")[2]
            if "unexpected " in text or raised not in _OURS:
                found[re.sub(r"[0-9a-f-]{12,}", "…", f"{line['message']} {line.get('event')} {raised}")] += 1
        return [f"{times} times in the log: {text}" for text, times in found.most_common(20)]

    # --- helpers

    def _change_mis(self) -> None:
        """One pupil joins or leaves each group of OAK."""
        school = self.trust.schools[OAK]
        groups = []
        for group in school.groups:
            pupil = self.random.choice(school.pupils).id
            others = tuple(each for each in group.pupils if each != pupil)
            groups.append(replace(group, pupils=(*others, pupil) if pupil not in group.pupils else others))
        self.trust.schools[OAK] = replace(school, groups=tuple(groups))
        write(self.trust.schools[OAK], self.trust.world.folder / f"feed {OAK}")

    def _give(self, strategy: st.SearchStrategy[_Example], most: int, do: Callable[[_Example], object]) -> None:
        """Do something with at most so many examples."""

        @seed(self.random.getrandbits(64))
        @settings(
            max_examples=most,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def give(example: _Example) -> None:
            do(example)

        give()

    def _find_ids(self) -> Ids:
        runs, keys, held = [], [], []
        for school in (OAK, ELM):
            with suppress(AssertionError):  # the school left, or cannot be read
                runs += [run["id"] for run in self.trust.call("GET", f"schools/{school}/runs").json()[-20:]]
                keys += [class_["key"] for class_ in self.trust.call("GET", f"schools/{school}/classes").json()]
                for hold in self.trust.call("GET", f"schools/{school}/holds").json():
                    held += [hold["digest"], *(part["digest"] for part in hold["classes"])]
        return Ids(
            tenants=[TENANT_ID],
            schools=[SchoolId(OAK), SchoolId(ELM)],
            keys=list(map(ClassKey, keys)),
            groups=[MisId(group.id) for school in self.trust.schools.values() for group in school.groups],
            runs=list(map(RunId, runs)),
            held=held,
        )

    def _unsettled(self) -> dict[str, int]:
        queues = count_messages(self.trust.addresses)
        return {name: queue["active"] + queue["locked"] + queue["scheduled"] for name, queue in queues.items()}


@contextmanager
def start_storm(trust: Trust, seed_: int) -> Iterator[Storm]:
    """The world with two schools that were synced once."""
    trust.add_more_users()
    for school, identifier in ((OAK, "1234567"), (ELM, "7654321")):
        trust.add_school(make_school(school, identifier), **_SETTINGS, limits=_NO_LIMITS)
    trust.run_night()
    document: Any = schemathesis.openapi.from_url(f"{trust.addresses.host}/api/admin/openapi.json")
    operations = [operation.ok() for operation in document.get_all_operations()]
    with ExitStack() as opened:
        session = opened.enter_context(requests.Session())
        session.headers.clear()
        session.trust_env = False
        client = opened.enter_context(ServiceBusClient.from_connection_string(trust.addresses.service_bus))
        senders = {queue: opened.enter_context(client.get_queue_sender(queue)) for queue in (SYNC_REQUESTS, *Priority)}
        yield Storm(trust, random.Random(seed_), operations, session, senders)


def blow(storm: Storm, part: Callable[[], None], seconds: float) -> None:
    """Do one of the two for so long, with a night now and then, and come to rest."""
    ends, night_at = time.monotonic() + seconds, 0.0
    while (now := time.monotonic()) < ends:
        if now > night_at:
            night_at = now + _SECONDS_OF_A_DAY
            storm.begin_night()
        part()
    storm.come_to_rest()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", choices=("actions", "messages"), help="only one of the two")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        start_trust(Path(folder), deliveries=_DELIVERIES) as trust,
        start_storm(trust, options.seed) as storm,
    ):
        for name, part in (("actions", storm.act), ("messages", storm.send)):
            if options.only in (None, name):
                blow(storm, part, options.minutes * 60)
        for title, counted in (("things done", storm.done), ("answers", storm.answers)):
            sys.stdout.write(f"{sum(counted.values())} {title}\n")
            sys.stdout.writelines(f"  {times:6} {name}\n" for name, times in sorted(counted.items()))
        sys.stdout.write(f"{len(storm.wrong)} things are wrong\n")
        sys.stdout.writelines(f"  {what}\n" for what in storm.wrong)
    return 1 if storm.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
