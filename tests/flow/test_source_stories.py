"""Numbered stories of a school whose MIS is a server. The app reads it with a secret from an application setting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiohttp import web

from local.mis.oneroster_api import OneRosterServer
from local.mis.token_server import CLIENT, SECRET
from local.mis.webhooks import send_webhook
from local.nightly import count, drain
from local.school.data import SchoolData
from local.school.oneroster_csv import write
from local.world import WEBHOOK_SETTING
from tests.flow.trust import Trust, pupils, staff, start_trust, teaching

OAK = SchoolData(
    "OAK",
    "Oak School",
    "1234567",
    2026,
    pupils("amy ben cleo"),
    staff("main"),
    (teaching("T1", "Art", "amy ben", "main"),),
)
ART = "Art.class.1234567.2026"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        assert trust.world.host
        trust.world.host.stop()
        trust.world.start_host(MIS_SECRET_OAK=SECRET, MIS_SECRET_OLD="what it was last year")
        yield trust


@pytest.fixture(scope="module")
def server(trust: Trust) -> Iterator[OneRosterServer]:
    """The vendor's server, in its own thread. It serves the feed that was written last."""
    server = OneRosterServer(trust.world.folder / "feed OAK", page=2)
    started = threading.Event()
    loop = asyncio.new_event_loop()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = web.AppRunner(server.app())
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        server.port = runner.addresses[0][1]
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(10)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def source(server: OneRosterServer, secret: str = "MIS_SECRET_OAK", version: str = "1.2") -> dict[str, str]:
    url = f"http://127.0.0.1:{server.port}"
    return {
        "kind": "oneroster",
        "url": url,
        "version": version,
        "token_url": f"{url}/token",
        "client": CLIENT,
        "secret": secret,
    }


def test_01_settings_alone_connect_a_school(trust: Trust, server: OneRosterServer) -> None:
    trust.add_school(OAK, source=source(server))
    trust.run_night()
    assert trust.read_last_run("OAK")["outcome"] == "planned"
    assert trust.read_class(ART)["members"] == "amy ben main"
    assert trust.call("GET", "schools/OAK").json()["source"]["secret"] == "MIS_SECRET_OAK"


def test_02_only_changes_in_the_mis_cause_writes(trust: Trust, server: OneRosterServer) -> None:
    trust.schools["OAK"] = replace(OAK, groups=(replace(OAK.groups[0], pupils=("amy", "ben", "cleo")),))
    trust.run_night()
    assert trust.read_class(ART)["members"] == "amy ben cleo main"
    writes = trust.count_writes()
    trust.run_night()
    assert trust.count_writes() == writes


def test_03_an_invalid_secret_rejects_the_sync_and_is_reported(trust: Trust, server: OneRosterServer) -> None:
    trust.save_settings("OAK", source=source(server, "MIS_SECRET_OLD"))
    trust.run_night()
    run = trust.read_last_run("OAK")
    assert run["outcome"] == "rejected"
    assert "returned 401" in run["notes"][0]
    assert "what it was last year" not in (trust.world.folder / "host.jsonl").read_text(encoding="utf-8")
    assert trust.read_class(ART)["members"] == "amy ben cleo main"


def test_04_oneroster_1_1_gives_the_same_classes_as_1_2(trust: Trust, server: OneRosterServer) -> None:
    trust.save_settings("OAK", source=source(server, version="1.1"))
    writes = trust.count_writes()
    trust.run_night()
    assert trust.read_last_run("OAK")["outcome"] == "planned"
    assert trust.count_writes() == writes


def test_05_a_server_that_returns_half_of_its_data_removes_nobody(trust: Trust, server: OneRosterServer) -> None:
    server.change = lambda name, records: records[:1] if name == "enrollments" else records
    trust.run_night()
    assert trust.read_last_run("OAK")["outcome"] == "rejected"
    assert trust.read_class(ART)["members"] == "amy ben cleo main"
    server.change = lambda _, records: records
    write(trust.schools["OAK"], trust.world.folder / "feed OAK")
    trust.run_night()
    assert trust.read_last_run("OAK")["outcome"] == "planned"


def test_06_a_webhook_reads_the_class_that_it_names_and_no_list_of_the_school(
    trust: Trust, server: OneRosterServer
) -> None:
    """The night before has read the school."""
    drama = teaching("T2", "Drama", "amy ben cleo", "main")
    trust.schools["OAK"] = replace(OAK, groups=(replace(OAK.groups[0], pupils=("amy", "ben", "cleo")), drama))
    trust.save_settings("OAK", source=source(server), webhook_secrets=[WEBHOOK_SETTING])
    trust.run_night()
    trust.schools["OAK"] = replace(OAK, groups=(OAK.groups[0], drama))
    write(trust.schools["OAK"], trust.world.folder / "feed OAK")
    server.requests.clear()
    before = count(trust.addresses)
    send_webhook(trust.addresses.host, "OAK", "msg_06", ["T1"], [])
    drain(trust.addresses, before)
    assert trust.read_class(ART)["members"] == "amy ben main"
    root = "/ims/oneroster/rostering/v1p2"
    of_class = {f"{root}/classes/T1", f"{root}/schools/OAK/classes/T1/enrollments"}
    assert {request.partition("?")[0] for request in server.requests} == of_class
