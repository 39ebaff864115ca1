"""The resources that the templates make in three environments, as kept beside this file.

`python -m tests.infra.templates.snapshots` writes them anew from the templates.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.infra.bicep import ROOT
from tests.infra.templates.compiler import Compiler, NoCompiler

ENVIRONMENTS = sorted(Path(__file__).parent.glob("*.bicepparam"))
_QUERIES = {
    file.read_text(encoding="utf-8"): f"<{file.relative_to(ROOT).as_posix()}>"
    for file in (ROOT / "infra" / "queries").glob("*.kql")
}


def render(snapshot: dict[str, Any]) -> str:
    """A snapshot of the compiler as text: resources by id, names sorted, and a query as the name of its file."""
    resources = sorted(map(_readable, snapshot["predictedResources"]), key=lambda resource: str(resource["id"]))
    return json.dumps({**snapshot, "predictedResources": resources}, indent=2, sort_keys=True) + "\n"


def kept(environment: Path) -> Path:
    return environment.with_suffix(".json")


def _readable(part: Any) -> Any:
    if isinstance(part, list):
        return [_readable(one) for one in part]
    if isinstance(part, dict):
        return {name: _readable(json.loads(one) if name == "serializedData" else one) for name, one in part.items()}
    return _QUERIES.get(part, part) if isinstance(part, str) else part


def main() -> int:
    with TemporaryDirectory() as folder:
        try:
            compiler = Compiler(Path(folder))
        except NoCompiler as missing:
            sys.stderr.write(f"no snapshot was written: {missing}\n")
            return 1
        for environment in ENVIRONMENTS:
            kept(environment).write_text(render(compiler.snapshot(environment)), encoding="utf-8")
        compiler.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
