"""Random operations on the whole local world, with faults in between, and a quiet night now and then to compare after.

`python -m tests.faults.soak --seed 7 --operations 10000` says what it did and survived. A seed repeats the operations
to the letter; a fault waits for a kind of request and its turn, so that the order of requests hardly matters.
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

import httpx

from local.expectation import ByHand
from local.nightly import count, drain
from local.school.data import SchoolGroup
from tests.faults.conftest import ANSWERS, PUPILS, SCHOOL, Afflicted, afflicted_world
from tests.faults.gates import Call, Deed, Rule
from tests.flow.trust import teaching, upn

TEACHERS = ("main", "second")
FRIENDS = ("boss.friend", "guest.teacher", "student.teacher")
"""People whom the MIS does not know: owners of a class only by somebody's hand."""

_PEOPLE = PUPILS.split()
_CLASSES = 20
_OPERATIONS_OF_A_NIGHT = 60
_NIGHTS_OF_A_CHECK = 3
_SHARE_THAT_FAILS = 0.06
_FAULTS = {
    "graph": [ANSWERS[name].of("Graph") for name in ANSWERS if name != "throttled silently"],
    "tables": [ANSWERS[name].of("tables") for name in ("unavailable", "reset", "lost")],
}


@dataclass(slots=True)
class Soak:
    afflicted: Afflicted
    random: random.Random
    done: Counter[str] = field(default_factory=Counter)
    nights: int = 0
    deleted: set[str] = field(default_factory=set)
    owners: dict[str, set[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def run(self, operations: int) -> None:
        """Raises AssertionError with what is wrong after a quiet night."""
        self.afflicted.trust.accounts(FRIENDS)
        weighted: list[tuple[Callable[[], object], int]] = [
            (self.somebody_comes, 30),
            (self.somebody_goes, 30),
            (self.another_teacher, 6),
            (self.another_class, 2),
            (self.hand_adds_a_member, 12),
            (self.hand_removes_a_member, 12),
            (self.hand_adds_an_owner, 4),
            (self.hand_removes_an_owner, 4),
            (self.hand_renames, 3),
            (self.hand_deletes, 1),
            (self.hand_restores, 2),
            (self.admin_resyncs, 1),
        ]
        whats, weights = zip(*weighted, strict=True)
        for number in range(1, operations + 1):
            if number % _OPERATIONS_OF_A_NIGHT == 0:
                self.night()
            else:
                (what,) = self.random.choices(whats, weights)
                what()
                self.done[what.__name__] += 1
        self.check()

    # --- the MIS

    def somebody_comes(self) -> None:
        group = self._group()
        if absent := [person for person in _PEOPLE if person not in group.pupils]:
            self.afflicted.change(replace(group, pupils=(*group.pupils, self.random.choice(absent))))

    def somebody_goes(self) -> None:
        group = self._group()
        if len(group.pupils) > 1:
            going = self.random.choice(group.pupils)
            self.afflicted.change(replace(group, pupils=tuple(person for person in group.pupils if person != going)))

    def another_teacher(self) -> None:
        group = self._group()
        people = " ".join(group.pupils)
        self.afflicted.change(teaching(group.id, group.title, people, self.random.choice(TEACHERS)))

    def another_class(self) -> None:
        if len(self.afflicted.school.groups) < _CLASSES:
            people = self.random.sample(_PEOPLE, self.random.randint(1, len(_PEOPLE)))
            self.afflicted.new_class(" ".join(people), self.random.choice(TEACHERS))

    # --- somebody in Microsoft 365

    def hand_adds_a_member(self) -> None:
        self._edit("add-member", upn=upn(self.random.choice((*_PEOPLE, *FRIENDS))))

    def hand_removes_a_member(self) -> None:
        self._edit("remove-member", upn=upn(self.random.choice(_PEOPLE)))

    def hand_adds_an_owner(self) -> None:
        friend = upn(self.random.choice(FRIENDS))
        if nickname := self._edit("add-owner", upn=friend):
            self.owners.setdefault(nickname, set()).add(friend)

    def hand_removes_an_owner(self) -> None:
        owner = upn(self.random.choice((*TEACHERS, *FRIENDS)))
        if nickname := self._edit("remove-owner", upn=owner):
            self.owners.get(nickname, set()).discard(owner)

    def hand_renames(self) -> None:
        name = f"Renamed {self.random.randrange(1000)}"
        if nickname := self._edit("rename", name=name):
            self.names[nickname] = name

    def hand_deletes(self) -> None:
        if nickname := self._edit("delete"):
            self.deleted.add(nickname)

    def hand_restores(self) -> None:
        for nickname in sorted(self.deleted)[:1]:
            self.afflicted.trust.by_hand("restore", nickname)
            self.deleted.discard(nickname)

    # --- the service

    def admin_resyncs(self) -> None:
        """Of a class that is there and not deleted; else it is refused, which is as well."""
        before = count(self.afflicted.trust.addresses)
        path = f"{self.afflicted.trust.addresses.host}/api/admin/schools/{SCHOOL}/classes/2026.teaching.T0/resync"
        answer = httpx.post(path, headers={"Authorization": "Bearer admin"}, timeout=60)
        if answer.status_code == 202:
            drain(self.afflicted.trust.addresses, before)

    def night(self) -> None:
        """A night with troubles; after some of them a quiet one, and the comparison."""
        self.nights += 1
        self.afflicted.deadly_night(self._troubles())
        self.done["night"] += 1
        if self.nights % _NIGHTS_OF_A_CHECK == 0:
            self.check()

    def check(self) -> None:
        while self.deleted:
            self.hand_restores()
        owners = {nickname: frozenset(people) for nickname, people in self.owners.items()}
        self.afflicted.by_hand = ByHand(owners=owners, names=self.names)
        self.afflicted.night()
        assert (wrong := self.afflicted.settled()) == [], f"after {sum(self.done.values())} operations: {wrong}"
        self.done["comparison"] += 1

    # --- within

    def _troubles(self) -> Callable[[Callable[[], None]], Rule]:
        """Some requests of a night fail, by what they are and not by when they come; and at times something dies."""
        seed = self.random.random()
        fate = self.random.choices(("", "kill", "bus", "lock", "azurite"), (60, 20, 8, 8, 4))[0]
        at, work = self.random.randint(1, 60), self.random.random() < 0.5
        turns: Counter[str] = Counter()

        def cut() -> None:
            self.afflicted.gates.cut_bus()
            self.afflicted.lose_locks()
            threading.Timer(0.5, self.afflicted.gates.mend_bus).start()

        def rule_with(kill: Callable[[], None]) -> Rule:
            fates = {
                "kill": Deed("kill -9 of the host", work=work, status=0, then=kill),
                "bus": Deed("bus: every connection cut", first=cut),
                "lock": Deed("locks lost", first=self.afflicted.lose_locks),
                "azurite": Deed("Azurite restarted", first=self.afflicted.world.restart_azurite),
            }

            def rule(call: Call) -> Deed | None:
                if call.number == at and fate:
                    return fates[fate]
                # Whether an owner was made by us or by hand is not to be known after a lost answer: he stays, then.
                if (call.method == "GET" and call.server == "tables") or "/teachers/" in call.path:
                    return None
                turns[call.shape] += 1
                dice = random.Random(f"{seed} {call.shape} {turns[call.shape]}")
                return dice.choice(_FAULTS[call.server]) if dice.random() < _SHARE_THAT_FAILS else None

            return rule

        return rule_with

    def _group(self) -> SchoolGroup:
        return self.random.choice(self.afflicted.school.groups)

    def _edit(self, action: str, **what: str) -> str:
        """The nickname of the class that was edited; empty where Graph refused it."""
        title = self._group().title.replace(" ", "-")
        nickname = f"{title}.class.1234567.2026"
        edit = {"action": action, "class": nickname, **what}
        answer = httpx.post(f"{self.afflicted.trust.addresses.tenant}/_sim/edit", json=edit)
        return nickname if answer.is_success else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=10_000)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, afflicted_world(Path(folder)) as afflicted:
        soak = Soak(afflicted, random.Random(options.seed))
        soak.run(options.operations)
        sys.stdout.write(f"seed {options.seed}: {options.operations} operations in {time.monotonic() - began:.0f} s\n")
        for title, counted in (("operations", soak.done), ("faults", afflicted.gates.done)):
            sys.stdout.write(f"{sum(counted.values())} {title}\n")
            sys.stdout.writelines(f"  {times:6} {what}\n" for what, times in sorted(counted.items()))


if __name__ == "__main__":
    main()
