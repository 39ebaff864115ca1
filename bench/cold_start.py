"""A worker that has just started: time to index its functions, time to apply the first change, and memory.

Each measurement is a separate process. The first change is applied against a simulated tenant and real tables.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ours import azurite, table_state
from bench.school import make_school
from bench.simulated import SimulatedTenant
from local.accounts import ListedAccount
from local.nightly import prepare_night, run_night
from local.school.generate import generate
from local.school.oneroster_csv import accounts, write
from local.servicebus import connection_string
from local.tenant.names import DOMAIN
from local.world import REPOSITORY, World
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import CreateClass, encode

_LIBRARIES = "import azure.functions, azure.servicebus, azure.data.tables"
_APP = "import function_app; function_app.app.get_functions()"
_FIRST_MODEL = (
    "from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory\n"
    "from msgraph.generated.models.education_class import EducationClass\n"
    "JsonParseNodeFactory().get_root_parse_node('application/json', b'{}').get_object_value(EducationClass)"
)
_TRIES = 3
_MOST_TIMES = 1.5
_MOST_MIB = 200


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds from the start of a process to its end, the best of several.

    `applied` is the time until a first class is created, and `models` the number of models of Graph's SDK imported by
    then; `first_model` is the time that the first of these would take. `resident_mib` is the peak memory of the
    Functions host and its worker, here one process, in a first night of `classes`; `idle_mib` is that before it.
    """

    libraries: float
    indexed: float
    applied: float
    first_model: float
    models: int
    classes: int
    idle_mib: float
    resident_mib: float


def run(pupils: int = 1_800) -> Result:
    """Raises RuntimeError if the start is slow, a model is imported, or a worker grows too large."""
    libraries, indexed = _best(_LIBRARIES), _best(_APP)
    applied, models = _first_change()
    first_model = _best(_FIRST_MODEL) - _best("import msgraph.graph_request_adapter")
    classes, idle, resident = _first_night(pupils)
    result = Result(
        libraries=libraries,
        indexed=indexed,
        applied=applied,
        first_model=first_model,
        models=models,
        classes=classes,
        idle_mib=idle,
        resident_mib=resident,
    )
    if indexed > _MOST_TIMES * libraries or models or resident > _MOST_MIB:
        raise RuntimeError(f"a worker starts slowly or grows too large: {result}")
    return result


def section(result: Result) -> str:
    """The results as Markdown."""

    def row(name: str, seconds: float) -> str:
        return f"| {name} | {1000 * seconds:,.0f} ms | {seconds / result.libraries:.2f} |"

    return "\n".join(
        [
            "Times are from the start of a process; the last column is relative to the first row.",
            "",
            "| | time | times |",
            "| --- | ---: | ---: |",
            row("azure-functions, azure-servicebus and azure-data-tables imported, nothing else", result.libraries),
            row("`function_app` imported, its functions indexed", result.indexed),
            row("… and the first change applied: a class created in Graph and recorded on its row", result.applied),
            row("time that the first model of msgraph-sdk would add; the app reads none", result.first_model),
            "",
            f"By then {result.models} of msgraph-sdk's models were imported. The local Functions host with the "
            f"worker, in one process, used {result.idle_mib:.0f} MiB before a first night of {result.classes:,} "
            f"classes and {result.resident_mib:.0f} MiB at most during it; {_MOST_MIB} are allowed.",
        ]
    )


def _best(code: str) -> float:
    return min(_timed("-c", code)[0] for _ in range(_TRIES))


def _timed(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[float, str]:
    """The seconds that a new Python process took, and its output."""
    command = [sys.executable, *arguments]
    began = time.perf_counter()
    process = subprocess.run(
        command,
        check=True,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    return time.perf_counter() - began, process.stdout


def _first_change() -> tuple[float, int]:
    """The fewest seconds until a new worker has created a class, and the number of models that it imported."""
    school = make_school(1, _TRIES, SimulatedTenant.id)
    with azurite() as tables, SimulatedTenant() as tenant:
        wanted = school.classes(tenant.add_users(school.upns))
        asyncio.run(write_rows(tables, school.settings.school, wanted))
        environment = environment_of(tables, tenant)
        changes = [CreateClass(school.settings.school, one.key, RunId("bench"), Cause.NIGHTLY) for one in wanted]
        runs = [
            _timed("-m", "bench.first_apply", encode(change).decode(), environment=environment) for change in changes
        ]
    models = [
        sum(name.startswith("msgraph.generated.models.") for name in json.loads(printed)[1]) for _, printed in runs
    ]
    return min(seconds for seconds, _ in runs), max(models)


def environment_of(tables: str, tenant: SimulatedTenant) -> dict[str, str]:
    """The settings of a worker for the tables of this connection string. It cannot reach its queues."""
    return {
        "TENANT_ID": tenant.id,
        "GRAPH_SIMULATOR": tenant.graph_url,
        "STATE_TABLES_CONNECTION": tables,
        "ServiceBusConnection": connection_string(1),
        **tenant.identity,
    }


async def write_rows(tables: str, school: SchoolId, wanted: Sequence[DesiredClass]) -> None:
    async with table_state(tables) as (state, _):
        await state.write_desired(school, wanted)


def _first_night(pupils: int) -> tuple[int, float, float]:
    """The number of classes created in the local world, and the MiB of the host before the night and at its peak."""
    school = generate(pupils=pupils)
    with tempfile.TemporaryDirectory(prefix="bench-world-") as name:
        folder = Path(name)
        world = World(folder / "world")
        addresses = world.start()
        try:
            assert world.host
            idle = _mib(world.host.pid, "VmRSS")
            write(school, folder / "feed")
            report = run_night(
                addresses,
                world.folder / "host.jsonl",
                prepare_night(
                    folder / "feed",
                    {"account_domain": DOMAIN},
                    [ListedAccount(*one) for one in accounts(school, DOMAIN)],
                ),
            )
            if not report.good:
                raise RuntimeError(f"the night was not good: {json.dumps(report.as_json())}")
            return report.schools[0].classes.created, idle, _mib(world.host.pid, "VmHWM")
        finally:
            world.stop()


def _mib(pid: int, name: str) -> float:
    """A memory value from /proc, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024
