"""The command line is a contract: its commands, its options, its exit statuses and the shape of its JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.world_commands import EDITS
from local import loopback
from local.tenant.names import TENANT_ID
from local.tenant.options import TenantOptions
from local.world import REPOSITORY, World, tenant_at, world_at
from tests.cli.parsing import parse
from tests.forked import Forked, fork_self
from tests.mis import feeds

AZURE_CLI = """#!{python}
import json, urllib.request
headers = {{"X-IDENTITY-HEADER": "local"}}
request = urllib.request.Request("{token}?resource=https://graph.microsoft.com", headers=headers)
given = json.load(urllib.request.urlopen(request))
expires = int(given["expires_on"])
print(json.dumps({{"accessToken": given["access_token"], "expires_on": expires, "expiresOn": "2099-01-01 00:00:00"}}))
"""


@dataclass(frozen=True, slots=True)
class Result:
    """How `python -m local` ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Forks the command line, which forks the processes of its world."""

    def call(*options: str, **environment: str) -> Result:
        errors = tmp_path / f"{len(list(tmp_path.iterdir()))}.stderr"
        status, printed = Forked("local", options, errors, environment, arguments=[fork_self]).finish()
        return Result(status, printed, errors.read_text(encoding="utf-8"))

    return call


def call_as_user(*options: str) -> Result:
    """Start the command line in a new interpreter; it starts others for its world."""
    command = [sys.executable, "-m", "local", *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def test_help_names_every_command_and_option(call: Call) -> None:
    output = call("--help").stdout
    for command in ("up", "sync", "announce", "plan", "tenant", "check", "doctor", "edit", "demo"):
        assert command in output
    output = call("sync", "--help").stdout
    for option in ("--mis", "--school", "--accounts", "--world", "--out"):
        assert option in output
    assert all(action in call("edit", "--help").stdout for action in EDITS)


def test_edit_takes_the_world_before_the_action() -> None:
    assert parse(["edit", "--world", "w"])["world"] == Path("w")
    assert parse(["edit", "add-member", "C", "a@b"]) == {"nickname": "C", "upn": "a@b", "as_json": False}


def test_announce_takes_several_groups_after_one_option() -> None:
    given = parse(["announce", "--groups", "A", "B", "--people", "p", "--world", "w", "S1"])
    assert (given["school"], given["groups"], given["people"], given["world"]) == ("S1", ["A", "B"], ["p"], Path("w"))


def test_sync_tenant_edit_and_announce_work_on_one_world(tmp_path: Path, call: Call) -> None:
    world, out = ("--world", str(tmp_path / "w")), tmp_path / "out.json"
    feed = str(feeds.write_zip(feeds.oneroster(), tmp_path / "feed.zip"))
    settings = tmp_path / "school.json"
    settings.write_text('{"teaching_owners": "all"}', encoding="utf-8")
    first = call("sync", "--mis", feed, "--school", str(settings), *world, "--out", str(out))
    assert first.returncode == 4, first.stderr
    assert "school S1 is not in step (classes without an owner: 2)\n" in first.stdout
    assert "classes that are to have no owner: 2 (2026.registration.R1, 2026.year.grade~3A10) — " in first.stdout
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["schools"] == [
        {
            "id": "S1",
            "groups": 3,
            "classes": {"created": 3, "changed": 0, "unchanged": 0, "held": 0, "refused": 0},
            "owners_granted": 2,
            "members_added": 6,
            "members_removed": 0,
            "people_without_account": 0,
        }
    ]
    assert report["messages"] == {"sent": 7, "applied": 7, "already_so": 0, "dead_lettered": 0}
    assert set(report) == {"schools", "graph", "messages", "seconds"}
    assert set(report["graph"]) == {"requests", "writes", "resource_units", "throttled"}

    listed = json.loads(call("tenant", *world, "--json").stdout)
    assert [class_["mailNickname"] for class_ in listed] == [
        "10.class.1234567.2026",
        "10A.class.1234567.2026",
        "10AMa1.class.1234567.2026",
    ]
    names = {"id", "displayName", "mailNickname", "externalId", "externalSource"}
    assert set(listed[0]) == names | {"owners", "members", "deleted"}
    assert listed[2]["owners"] == ["first@school.onmicrosoft.com", "second@school.onmicrosoft.com"]

    edited = call("edit", *world, "add-member", "10A.class.1234567.2026", "apupil@school.onmicrosoft.com")
    assert edited.returncode == 0, edited.stderr
    again = call("sync", "--mis", feed, "--school", str(settings), *world, "--out", str(out))
    assert again.returncode == 4, again.stderr
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["schools"][0]["members_removed"] == 1
    assert json.loads(call("tenant", *world, "--json").stdout) == listed

    changed = feeds.oneroster()
    changed["enrollments.csv"] += "E6,,,C1,S1,p2,student,\n"
    feeds.write_zip(changed, tmp_path / "feed.zip")
    announced = call("announce", "S1", "--groups", "C1", *world)
    assert announced.returncode == 0, announced.stderr
    assert "with 1 writes to Graph" in announced.stdout
    after = json.loads(call("tenant", *world, "--json").stdout)
    assert set(after[2]["members"]) - set(listed[2]["members"]) == {"ben@else.org"}


def test_a_plan_shows_what_a_sync_will_do_and_writes_nothing(tmp_path: Path, call: Call) -> None:
    world, out = ("--world", str(tmp_path / "w")), tmp_path / "out.json"
    feed = feeds.oneroster()
    settings = tmp_path / "school.json"
    settings.write_text('{"admin_owners": ["boss@school.onmicrosoft.com"]}', encoding="utf-8")
    given = ("--mis", str(feeds.write(feed, tmp_path / "feed")), *world)
    without_owners = call("plan", *given)
    assert without_owners.returncode == 4, without_owners.stderr
    assert "! not in step after the sync (classes without an owner: 2)\n" in without_owners.stdout
    options = (*given, "--school", str(settings))
    first = call_as_user("plan", *options, "--out", str(out))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("school S1: 3 groups; classes: 3 to create, 0 to change, 0 as they are, 0 held")
    assert "+ 10, 10_Class [1234567][2026] (2026.year.grade~3A10): owners +1, members +3\n" in first.stdout
    (plan,) = json.loads(out.read_text(encoding="utf-8"))
    assert {diff["key"]: len(diff["members_added"]) for diff in plan["classes"]} == {
        "2026.registration.R1": 2,
        "2026.teaching.C1": 3,
        "2026.year.grade~3A10": 3,
    }
    with world_at(tmp_path / "w", Forked):
        assert call("plan", *options).stdout == first.stdout
        assert json.loads(call("tenant", *world, "--json").stdout) == []

        assert call("sync", *options).returncode == 0
        assert "3 as they are" in call("plan", *options).stdout
        blank = feed | {"enrollments.csv": re.sub(r".*,p[12],.*\n", "", feed["enrollments.csv"])}
        feeds.write(blank, tmp_path / "feed")
        rejected = call("plan", *options)
        assert rejected.returncode == 1
        assert "school S1: rejected, nothing would be done\n! the feed differs too much" in rejected.stdout
        assert "it has 2 enrolments of 2026/27 and the last accepted one had 4: under 80%" in rejected.stdout


def test_check_shows_each_permission_and_the_command_that_grants_a_missing_one(
    tmp_path: Path, storage_accounts: Iterator[str], call: Call
) -> None:
    folder = ("--world", str(tmp_path / "w"))
    options = TenantOptions(("Member.Read.Hidden", "Group.ReadWrite.All"))
    world = World(tmp_path / "w", spawn=Forked, storage=next(storage_accounts), tenant=options)
    world.start()
    try:
        listed = call("check", *folder, "--json")
        shown = call("check", *folder, COLUMNS="320")
    finally:
        world.stop()
    assert (listed.returncode, shown.returncode) == (1, 1), listed.stderr
    (tenant,) = json.loads(listed.stdout)
    granted = {permission["name"]: permission["granted"] for permission in tenant["permissions"]}
    assert (tenant["tenant"], tenant["blocked"], sum(granted.values())) == (TENANT_ID, True, 8)
    assert [name for name in granted if not granted[name]] == ["Member.Read.Hidden", "Group.ReadWrite.All"]
    for permission in tenant["permissions"]:
        (row,) = (line for line in shown.stdout.splitlines() if line.startswith(f"│ {permission['name']} "))
        assert permission["purpose"] in row
        assert ("granted" if permission["granted"] else f"missing: {permission['command']}") in row
    assert f"{tenant['what']} — {tenant['remedy']}" in shown.stdout
    assert call("check", *folder).returncode == 0


def test_doctor_shows_each_line_and_what_to_do_where_one_fails(
    tmp_path: Path, storage_accounts: Iterator[str], call: Call
) -> None:
    folder = ("--world", str(tmp_path / "w"))
    feed = feeds.write_zip(feeds.oneroster(), tmp_path / "feed.zip")
    world = World(tmp_path / "w", spawn=Forked, storage=next(storage_accounts))
    world.start()
    try:
        assert call("sync", "--mis", str(feed), *folder).returncode == 4
        well = call("doctor", *folder, COLUMNS="80")
        feed.unlink()
        ill, listed = call("doctor", *folder), call("doctor", *folder, "--json")
        assert world.host
        world.host.stop()
        world.start_host(TENANT_ID="")
        not_started = call("doctor", *folder)
    finally:
        world.stop()
    assert (well.returncode, well.stderr) == (0, "")
    *lines, summary = well.stdout.splitlines()
    assert (len(lines), summary) == (14, "all 14 checks passed")
    assert all(re.match(r"✔ [a-zA-Z0-9 -]+: \S", line) for line in lines)
    assert (ill.returncode, listed.returncode) == (1, 1)
    *_, source, remedy, _, summary = ill.stdout.splitlines()
    assert source == f"✖ source of school S1: there is no feed at {feed}"
    assert remedy == ("  → nothing was changed; correct the path of the school's source, or have the MIS export there")
    assert summary == "1 of 14 checks failed"
    (failed,) = [line for line in json.loads(listed.stdout)["lines"] if not line["ok"]]
    assert source == f"✖ {failed['name']}: {failed['detail']}"
    assert not_started.returncode == 1
    assert not_started.stdout.splitlines() == [
        "✖ start: TENANT_ID is not set",
        "  → correct the application settings (docs/operations.md lists them)",
    ]


def test_check_reads_a_feed_and_starts_and_plans_nothing(tmp_path: Path, call: Call) -> None:
    feed, folder = feeds.oneroster(), tmp_path / "feed"
    path, world = str(feeds.write(feed, folder)), ("--world", str(tmp_path / "w"))
    good = call("check", path, *world, COLUMNS="100")
    assert (good.returncode, good.stderr) == (0, "")
    assert max(map(len, good.stdout.splitlines())) <= 100
    # Of an export of another year, the check says so: this one is of 2026/27.
    shown = re.sub(r"; today is in [^?]*\?", "", good.stdout)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines == [
        "format OneRoster 1.1 CSV (manifest.csv says so)",
        "schools S1 A School",
        "",
        "School S1, A School, DfE code 1234567",
        "academic year 2026/27 (3 groups)",
        "year groups 1 group, 2 pupils (10: 2)",
        "registration groups 1 group, 1 pupil, 1 enrolment, 1 teacher",
        "teaching groups 1 group, 1 pupil, 1 enrolment, 2 teachers",
        "pupils 2 in groups; with a user name: 1 (an address: 0), with an e-mail address: 1,",
        "with neither: 0",
        "teachers 2 in groups; with a user name: 2 (an address: 0), with an e-mail address: 0,",
        "with neither: 0",
        "a sync would accept this feed",
    ]
    assert not (tmp_path / "w").exists()

    last_century = {name: re.sub(r"\b202([67])", r"199\1", text) for name, text in feed.items()}
    old = call("check", str(feeds.write(last_century, tmp_path / "old")), COLUMNS="200")
    assert re.search(r"academic year +1996/97 \(3 groups\); today is in 20../..: is this an old export\?", old.stdout)

    spoilt = feed | {"enrollments.csv": feed["enrollments.csv"] + "E6,,,C1,S1,nobody,student,\n"}
    left_out = call("check", str(feeds.write(spoilt, tmp_path / "spoilt")), COLUMNS="200")
    assert left_out.returncode == 4, left_out.stderr
    assert 'enrollments.csv, column "userSourcedId": is not in users.csv (line 7) — ' in left_out.stdout
    assert "nobody," not in left_out.stdout

    blank = feed | {"enrollments.csv": feed["enrollments.csv"].replace("E3,,,C1,S1,p1,student,false\n", "")}
    worse = call("check", str(feeds.write(blank, tmp_path / "blank")), "--against", path, COLUMNS="200")
    assert worse.returncode == 2, worse.stderr
    assert "groups 3 → 3, pupils 2 → 2, teachers 2 → 2, enrolments 4 → 3" in worse.stdout
    assert "it has 3 enrolments of 2026/27 and the last accepted one had 4: under 80%" in worse.stdout
    assert "would reject this feed, and change nothing" in worse.stdout
    chosen = tmp_path / "school.json"
    chosen.write_text('{"limits": {"smallest_snapshot": 0.5}}', encoding="utf-8")
    options = (str(tmp_path / "blank"), "--against", path, "--school", str(chosen), "--json")
    allowed = call("check", *options)
    assert allowed.returncode == 0, allowed.stderr
    (report,) = json.loads(allowed.stdout)["reports"]
    assert (report["school"], report["rejections"], report["accepted"]["enrolments"]) == ("S1", [], 4)


def test_check_of_a_trust_says_once_what_all_schools_have_and_names_a_school_that_is_gone(
    tmp_path: Path, call: Call
) -> None:
    feed = {name: text.replace(",", ";") for name, text in feeds.oneroster().items() if name != "classes.csv"}
    feed["classes.csv"] = feeds.oneroster()["classes.csv"]
    feed["orgs.csv"] += "S2;;;Elm School;school;7654321;D1\n"
    feed["users.csv"] += "q1;;;true;S2;student;q;;Q;Pupil;;7;secret\n"
    both = str(feeds.write(feed, tmp_path / "both"))
    shown = call("check", both, COLUMNS="200")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("users.csv separates its cells with semicolons") == 1
    assert "schools  S1 A School, S2 Elm School" in shown.stdout
    one = call("check", both, "--only", "S2", COLUMNS="200").stdout
    assert "\nSchool S2, Elm School, DfE code 7654321\n" in one
    assert "\nSchool S1" not in one
    unknown = call("check", both, "--only", "S9")
    assert unknown.returncode == 2
    assert "the feed has no school S9, but S1 (A School), S2 (Elm School) — " in unknown.stderr
    alone = str(feeds.write(feeds.oneroster(), tmp_path / "alone"))
    gone = call("check", alone, "--against", both, COLUMNS="200")
    assert gone.returncode == 2, gone.stderr
    assert "missing  S2: in the earlier feed, and not in this one; a sync would reject it for them" in gone.stdout


def test_a_plan_against_a_tenant_reads_as_the_azure_cli_user(tmp_path: Path, call: Call) -> None:
    feed = feeds.write(feeds.oneroster(), tmp_path / "feed")
    assert call("sync", "--mis", str(feed), "--world", str(tmp_path / "w")).returncode == 4
    with tenant_at(tmp_path / "w", Forked) as address:
        cli = tmp_path / "az"
        cli.write_text(AZURE_CLI.format(python=sys.executable, token=f"{address}/msi/token"), encoding="utf-8")
        cli.chmod(0o755)
        chosen = tmp_path / "school.json"
        chosen.write_text('{"account_domain": "school.onmicrosoft.com"}', encoding="utf-8")
        options = ("--mis", str(feed), "--school", str(chosen), "--tenant", TENANT_ID, "--graph", f"{address}/v1.0")
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        before = loopback.get(f"{address}/_sim/stats").json()
        same = call("plan", *options, PATH=path)
        assert same.returncode == 4, same.stderr
        assert "3 as they are" in same.stdout
        assert "3 groups with the addresses of classes are taken for them" in same.stdout
        edit = {"action": "add-member", "class": "10A.class.1234567.2026", "upn": "apupil@school.onmicrosoft.com"}
        loopback.post(f"{address}/_sim/edit", json=edit).raise_for_status()
        changed = call("plan", *options, PATH=path).stdout
        assert "~ 10A, 10A_Class [1234567][2026] (2026.registration.R1): members -1\n" in changed
        assert "    as recorded: members: 2, owners: 0; wanted members: 1, owners: 0\n" in changed
        after = loopback.get(f"{address}/_sim/stats").json()
        assert (after["writes"], after["requests"] - before["requests"]) == (before["writes"], 4)
        for action in ("delete", "purge"):
            edit = {"action": action, "class": "10A.class.1234567.2026"}
            loopback.post(f"{address}/_sim/edit", json=edit).raise_for_status()
        section = {"displayName": "10a", "mailNickname": "Section_R1", "externalId": "R1", "externalSource": "sis"}
        loopback.post(f"{address}/_sim/classes", json=[section]).raise_for_status()
        shared = call("plan", *options, PATH=path).stdout
        assert "! 1 of the 1 classes to create share a name with 1 classes that are not of this app" in shared
        assert "School Data Sync do: 10a; those stay as they are" in shared
        granted = sorted(TenantOptions(("EduRoster.ReadWrite.All",)).granted)
        loopback.post(f"{address}/_sim/permissions", json={"granted": granted}).raise_for_status()
        unknown = call("plan", *options, PATH=path)
        assert unknown.returncode == 4, unknown.stderr
        assert (
            "! the tenant's classes could not be listed (Graph refused the signed-in user: Authorization_RequestDenied)"
            in unknown.stdout
        )
        assert "POST …/schools/S/plan" in unknown.stdout
        cli.write_text("#!/bin/sh\necho 'Please run az login' >&2\nexit 1\n", encoding="utf-8")
        refused = call("plan", *options, PATH=path)
        assert refused.returncode == 2
        assert "az login" in refused.stderr
        assert "Traceback" not in refused.stderr


BAD = [
    (["sync", "--mis", "{tmp}/nowhere"], "there is no feed at"),
    (["sync", "--mis", "{feed}", "--school", "{tmp}/bad.json"], "bad.json is no JSON"),
    (["sync", "--mis", "{feed}", "--school", "{tmp}/list.json"], "a JSON object with the school's settings is wanted"),
    (["sync", "--mis", "{feed}", "--accounts", "{tmp}/header.csv"], "header.csv has no accounts below its header"),
    (["plan", "--mis", "{feed}", "--accounts", "{tmp}/upn.csv"], 'upn.csv line 2, column "userPrincipalName"'),
    (["check", "{tmp}/nowhere"], "there is no feed at"),
    (["check", "{tmp}"], "unknown format (CSV files found: header.csv, upn.csv)"),
    (["check", "{feed}", "--against", "{tmp}/nowhere"], "there is no feed at"),
    (["check", "{feed}", "--school", "{tmp}/bad.json"], "bad.json is no JSON"),
    (["check", "{feed}", "--only", "S9"], "the feed has no school S9, but S1 (A School)"),
    (["announce", "S9"], "no matching signature found"),
    (["edit", "rename", "nobody", "x"], "there is no class with the mail nickname nobody"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_rejected_command_exits_with_2_and_names_the_fault(
    arguments: list[str], message: str, tmp_path: Path, call: Call
) -> None:
    feed = feeds.write(feeds.oneroster(), tmp_path / "feed")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "header.csv").write_text("userPrincipalName\n", encoding="utf-8")
    (tmp_path / "upn.csv").write_text("userPrincipalName,displayName\nx,y\n", encoding="utf-8")
    filled = [argument.format(tmp=tmp_path, feed=feed) for argument in arguments]
    command, *rest = filled
    result = call(command, "--world", str(tmp_path / "w"), *rest)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
