"""Random operations on the whole local world, with faults in between, and comparisons after quiet nights.

`python -m tests.faults.soak --seed 7 --operations 10000` prints what it did and survived. The same seed repeats
the same operations. A fault waits for the nth request of a kind, so that the order of requests hardly matters.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from local import loopback
from local.expectation import ByHand
from local.nightly import count, drain
from local.school.data import SchoolGroup
from tests.faults.conftest import KNOWN_FAULTS, PUPILS, SCHOOL, FaultyWorld, start_faulty_world
from tests.faults.gates import Call, Fault, Rule
from tests.flow.trust import teaching, upn

TEACHERS = ("main", "second")
FRIENDS = ("boss.friend", "guest.teacher", "student.teacher")
"""People whom the MIS does not list: they own a class only if somebody added them by hand."""

_PEOPLE = PUPILS.split()
_CLASSES = 20
_OPERATIONS_OF_A_NIGHT = 60
_NIGHTS_OF_A_CHECK = 3
_SHARE_THAT_FAILS = 0.06
_FAULTS = {
    "graph": [KNOWN_FAULTS[name].for_server("Graph") for name in KNOWN_FAULTS if name != "throttled silently"],
    "tables": [KNOWN_FAULTS[name].for_server("tables") for name in ("unavailable", "reset", "lost")],
}


@dataclass(slots=True)
class Soak:
    faulty_world: FaultyWorld
    random: random.Random
    done: Counter[str] = field(default_factory=Counter)
    nights: int = 0
    deleted: set[str] = field(default_factory=set)
    owners: dict[str, set[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def run(self, operations: int) -> None:
        """Raises AssertionError with the errors that are left after a quiet night."""
        self.faulty_world.trust.add_accounts(FRIENDS)
        weighted: list[tuple[Callable[[], object], int]] = [
            (self.pupil_joins, 30),
            (self.pupil_leaves, 30),
            (self.teacher_changes, 6),
            (self.class_appears, 2),
            (self.add_member_by_hand, 12),
            (self.remove_member_by_hand, 12),
            (self.add_owner_by_hand, 4),
            (self.remove_owner_by_hand, 4),
            (self.rename_by_hand, 3),
            (self.delete_by_hand, 1),
            (self.restore_by_hand, 2),
            (self.resync_as_admin, 1),
        ]
        actions, weights = zip(*weighted, strict=True)
        for number in range(1, operations + 1):
            if number % _OPERATIONS_OF_A_NIGHT == 0:
                self.run_night()
            else:
                (action,) = self.random.choices(actions, weights)
                action()
                self.done[action.__name__] += 1
        self.check()

    # --- the MIS

    def pupil_joins(self) -> None:
        group = self._group()
        if absent := [person for person in _PEOPLE if person not in group.pupils]:
            self.faulty_world.change(replace(group, pupils=(*group.pupils, self.random.choice(absent))))

    def pupil_leaves(self) -> None:
        group = self._group()
        if len(group.pupils) > 1:
            leaver = self.random.choice(group.pupils)
            self.faulty_world.change(
                replace(group, pupils=tuple(person for person in group.pupils if person != leaver))
            )

    def teacher_changes(self) -> None:
        group = self._group()
        people = " ".join(group.pupils)
        self.faulty_world.change(teaching(group.id, group.title, people, self.random.choice(TEACHERS)))

    def class_appears(self) -> None:
        if len(self.faulty_world.school.groups) < _CLASSES:
            people = self.random.sample(_PEOPLE, self.random.randint(1, len(_PEOPLE)))
            self.faulty_world.new_class(" ".join(people), self.random.choice(TEACHERS))

    # --- edits by hand in Microsoft 365

    def add_member_by_hand(self) -> None:
        self._edit("add-member", upn=upn(self.random.choice((*_PEOPLE, *FRIENDS))))

    def remove_member_by_hand(self) -> None:
        self._edit("remove-member", upn=upn(self.random.choice(_PEOPLE)))

    def add_owner_by_hand(self) -> None:
        friend = upn(self.random.choice(FRIENDS))
        if nickname := self._edit("add-owner", upn=friend):
            self.owners.setdefault(nickname, set()).add(friend)

    def remove_owner_by_hand(self) -> None:
        owner = upn(self.random.choice((*TEACHERS, *FRIENDS)))
        if nickname := self._edit("remove-owner", upn=owner):
            self.owners.get(nickname, set()).discard(owner)

    def rename_by_hand(self) -> None:
        name = f"Renamed {self.random.randrange(1000)}"
        if nickname := self._edit("rename", name=name):
            self.names[nickname] = name

    def delete_by_hand(self) -> None:
        if nickname := self._edit("delete"):
            self.deleted.add(nickname)

    def restore_by_hand(self) -> None:
        for nickname in sorted(self.deleted)[:1]:
            self.faulty_world.trust.edit_by_hand("restore", nickname)
            self.deleted.discard(nickname)

    # --- the service

    def resync_as_admin(self) -> None:
        """Resync one class. The API rejects this if the class does not exist or is deleted."""
        before = count(self.faulty_world.trust.addresses)
        path = f"{self.faulty_world.trust.addresses.host}/api/admin/schools/{SCHOOL}/classes/2026.teaching.T0/resync"
        response = loopback.post(path, headers={"Authorization": "Bearer admin"}, timeout=60)
        if response.status_code == 202:
            drain(self.faulty_world.trust.addresses, before)

    def run_night(self) -> None:
        """Run a night with faults. After every third one, run a quiet night and compare."""
        self.nights += 1
        self.faulty_world.run_night_with_kill(self._make_faults())
        self.done["night"] += 1
        if self.nights % _NIGHTS_OF_A_CHECK == 0:
            self.check()

    def check(self) -> None:
        while self.deleted:
            self.restore_by_hand()
        owners = {nickname: frozenset(people) for nickname, people in self.owners.items()}
        self.faulty_world.by_hand = ByHand(owners=owners, names=self.names)
        self.faulty_world.run_night()
        assert (errors := self.faulty_world.settle_and_find_errors()) == [], (
            f"after {sum(self.done.values())} operations: {errors}"
        )
        self.done["comparison"] += 1

    # --- helpers

    def _make_faults(self) -> Callable[[Callable[[], None]], Rule]:
        """Some requests of a night fail, chosen by kind and not by time. Sometimes a process or connection fails."""
        seed = self.random.random()
        outage = self.random.choices(("", "kill", "bus", "lock", "azurite"), (60, 20, 8, 8, 4))[0]
        at, reaches_server = self.random.randint(1, 60), self.random.random() < 0.5
        counts: Counter[str] = Counter()

        def cut() -> None:
            self.faulty_world.gates.cut_bus()
            self.faulty_world.lose_locks()
            threading.Timer(0.5, self.faulty_world.gates.restore_bus).start()

        def rule_with(kill: Callable[[], None]) -> Rule:
            outages = {
                "kill": Fault("kill -9 of the host", reaches_server=reaches_server, status=0, after=kill),
                "bus": Fault("bus: every connection cut", before=cut),
                "lock": Fault("locks lost", before=self.faulty_world.lose_locks),
                "azurite": Fault("Azurite restarted", before=self.faulty_world.world.restart_azurite),
            }

            def rule(call: Call) -> Fault | None:
                if call.number == at and outage:
                    return outages[outage]
                # After a lost response nobody knows whether the sync added an owner: the owner stays.
                if (call.method == "GET" and call.server == "tables") or "/teachers/" in call.path:
                    return None
                counts[call.shape] += 1
                dice = random.Random(f"{seed} {call.shape} {counts[call.shape]}")
                return dice.choice(_FAULTS[call.server]) if dice.random() < _SHARE_THAT_FAILS else None

            return rule

        return rule_with

    def _group(self) -> SchoolGroup:
        return self.random.choice(self.faulty_world.school.groups)

    def _edit(self, action: str, **details: str) -> str:
        """Edit a random class. Returns its nickname, or an empty string if Graph refused."""
        title = self._group().title.replace(" ", "-")
        nickname = f"{title}.class.1234567.2026"
        edit = {"action": action, "class": nickname, **details}
        response = loopback.post(f"{self.faulty_world.trust.addresses.tenant}/_sim/edit", json=edit)
        return nickname if response.is_success else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=10_000)
    options = parser.parse_args()
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, start_faulty_world(Path(folder)) as faulty_world:
        soak = Soak(faulty_world, random.Random(options.seed))
        soak.run(options.operations)
        sys.stdout.write(
            f"seed {options.seed}: {options.operations} operations in {time.monotonic() - started_at:.0f} s\n"
        )
        for title, counted in (("operations", soak.done), ("faults", faulty_world.gates.fault_counts)):
            sys.stdout.write(f"{sum(counted.values())} {title}\n")
            sys.stdout.writelines(f"  {times:6} {name}\n" for name, times in sorted(counted.items()))


if __name__ == "__main__":
    main()
