"""The demonstration: a secondary school over three nights, each compared with an independent expectation."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from local.decisions import tell_of_decisions
from local.demonstration import Demonstration
from local.expectation import ByHand
from local.processes import Spawn, StartFailed
from local.report import PLAIN_SCRIPT, nights_table
from local.school.data import SchoolData
from local.school.day import next_day
from local.school.generate import generate
from local.school.oneroster_csv import accounts
from local.tenant.names import DOMAIN
from local.tenant.options import TenantOptions
from local.world import World, running_world

_MARK = "made by the demonstration"
"""The name of a file in the folder of its world, which another demonstration may remove."""


def run_demo(folder: Path | None, tenant: TenantOptions, console: Console, spawn: Spawn) -> int:
    """Returns the exit status: 0 if the tenant was as expected after every night and night three did nothing."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="class-sync-demo-", ignore_cleanup_errors=True) as home:
            return _run_demo(Path(home), tenant, console, spawn)
    make_room(folder)
    status = _run_demo(folder, tenant, console, spawn)
    python = os.path.relpath(sys.executable)
    command = f"{'python' if python.startswith('..') else python} -m local up --world {folder}"
    console.print(
        f"To look at it in the console: {command}\n"
        "Try there: decide on the class that is still held (Approvals), ask why a pupil is in a class (Why?), look at "
        "what a run changed (Runs), release the pinned class (Groups).",
        highlight=False,
    )
    return status


def make_room(folder: Path) -> None:
    """Remove an earlier demonstration. Raises StartFailed if it runs, and leaves a folder of anything else alone."""
    if running_world(folder):
        raise StartFailed(f"a world is running in {folder.resolve()}: stop it, or choose another --world")
    if (folder / _MARK).exists():
        shutil.rmtree(folder)
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / _MARK).touch()


def _run_demo(folder: Path, tenant: TenantOptions, console: Console, spawn: Spawn) -> int:
    world = World(folder, spawn=spawn, tenant=tenant)
    try:
        console.print("Starting Azurite, the Service Bus stand-in, the simulated tenant and the Functions host…")
        demonstration = Demonstration(world, world.start(), console)
        school = _three_nights(demonstration)
        if not demonstration.failures:
            tell_of_decisions(demonstration, school)
    finally:
        world.stop()
    console.print(nights_table(demonstration.nights))
    console.print(PLAIN_SCRIPT)
    for failure in demonstration.failures[:40]:
        console.print(f"[red]{failure}[/red]", highlight=False)
    if demonstration.failures:
        console.print(f"The demonstration failed with {len(demonstration.failures)} differences.")
        return 1
    console.print(
        "The tenant matched the expectation after every night, and night three wrote nothing. The wrong feed changed "
        "nothing, and nobody left a class before an admin approved it."
    )
    return 0


def _three_nights(demonstration: Demonstration) -> SchoolData:
    """Returns the school as it is after the last night."""
    school = _with_test_teacher(generate())
    console = demonstration.console
    console.print(f"{school.name}: {len(school.pupils)} pupils, {len(school.staff)} staff, {len(school.groups)} groups")
    demonstration.night("night one", school, ByHand())
    if demonstration.failures:
        return school

    later, story = next_day(school)
    strayed, owned, renamed = (_nickname(title) for title in ("7A", "8A", "9A"))
    stray, helper = accounts(school, DOMAIN)[-1][0], accounts(school, DOMAIN)[3][0]
    demonstration.by_hand("add-member", strayed, upn=stray)
    demonstration.by_hand("add-owner", owned, upn=helper)
    demonstration.by_hand("rename", renamed, name="Our lovely form")
    console.print(
        f"The next day: {story.moved} pupils change sets, {story.joined} join, {story.left} leave, "
        f"{story.teachers_changed} groups get a new teacher, {story.new_groups} group is added.\n"
        f"Changed by hand in Microsoft 365: a member added to {strayed}, an owner to {owned}, {renamed} renamed."
    )
    lasting = ByHand({owned: frozenset({helper.lower()})}, {renamed: "Our lovely form"})
    # Owners that the sync granted stay owners after they leave the group: the tenant before the night has their names.
    lasting = _with_departed(demonstration, lasting)
    demonstration.night("night two", later, lasting)

    writes = demonstration.stats()["writes"]
    third = demonstration.night("night three", later, lasting)
    stats = demonstration.stats()
    if third.messages.sent or stats["writes"] != writes:
        demonstration.failures.append(
            f"night three sent {third.messages.sent} changes and wrote {stats['writes'] - writes} times"
        )
    if stats["forbidden_deletes"]:
        demonstration.failures.append(f"{stats['forbidden_deletes']} deletes without $ref were attempted")
    return later


def _with_test_teacher(school: SchoolData) -> SchoolData:
    """The school, in which the first member of staff has the account of the test user who signs in as a teacher."""
    first, *others = school.staff
    return replace(school, staff=(replace(first, username="teacher.user"), *others))


def _with_departed(demonstration: Demonstration, by_hand: ByHand) -> ByHand:
    """The owners of each class before the night, in addition to those added by hand: granted owners are kept."""
    owners = dict(by_hand.owners)
    for class_ in demonstration.nights[-1].classes:
        nickname = class_["mailNickname"]
        granted = frozenset(upn.lower() for upn in class_["owners"])
        owners[nickname] = owners.get(nickname, frozenset()) | granted
    return ByHand(owners, by_hand.names)


def _nickname(title: str) -> str:
    return f"{title}.class.9164023.2026"
