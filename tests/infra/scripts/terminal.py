"""A terminal in which somebody runs a script, with stand-ins for the Azure CLI and azd on its PATH."""

from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from tests.infra.bicep import ROOT
from tests.infra.scripts.tunnel import TOKEN

SCRIPTS = ROOT / "infra" / "scripts"

# Both take their state from the files next to them, and record their arguments there.
_AZ = """#!{python} -IS
import json, sys
from pathlib import Path
here = Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(["az", *sys.argv[1:]]) + chr(10))
if not (here / "signed in to az").exists():
    sys.exit("ERROR: Please run 'az login' to setup account.")
print(json.dumps({{"accessToken": {token!r}, "expires_on": 4000000000}}))
"""
_AZD = """#!{python} -IS
import json, sys
from pathlib import Path
here = Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(["azd", *sys.argv[1:]]) + chr(10))
environment = here / "environment.json"
match sys.argv[1:]:
    case ["auth", "token", *_]:
        if not (here / "signed in to azd").exists():
            sys.exit("ERROR: not logged in, run `azd auth login` to login")
        print(json.dumps({{"token": {token!r}, "expiresOn": "2096-01-01T00:00:00Z"}}))
    case _ if not environment.exists():
        sys.exit("ERROR: no project exists; to create a new project, run `azd init`")
    case ["env", "get-values", "--output", "json"]:
        print(environment.read_text())
    case ["env", "set", name, value, *_]:
        environment.write_text(json.dumps(json.loads(environment.read_text()) | {{name: value}}))
    case ["provision", *_]:
        if (here / "azd provision fails").exists():
            sys.exit("ERROR: deployment failed")
    case unknown:
        sys.exit(f"ERROR: unknown command {{unknown}}")
"""


@dataclass(slots=True)
class Terminal:
    """`environment` are variables beyond the PATH, as azd passes the values of its environment to a hook."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text in (("az", _AZ), ("azd", _AZD)):
            program = self.folder / name
            program.write_text(text.format(python=sys.executable, token=TOKEN), encoding="utf-8")
            program.chmod(0o755)
        self.sign_in("az")

    def sign_in(self, *programs: str) -> None:
        """Sign in to these of az and azd, and out of the others."""
        for name in ("az", "azd"):
            (self.folder / f"signed in to {name}").unlink(missing_ok=True)
        for name in programs:
            (self.folder / f"signed in to {name}").touch()

    def choose_environment(self, values: Mapping[str, str]) -> None:
        """Give azd an environment with these values, which it does not pass to a script that is started by hand."""
        (self.folder / "environment.json").write_text(json.dumps(dict(values)), encoding="utf-8")

    @property
    def azd_values(self) -> dict[str, str]:
        """The values of the azd environment now."""
        values: dict[str, str] = json.loads((self.folder / "environment.json").read_text(encoding="utf-8"))
        return values

    @property
    def calls(self) -> list[str]:
        """The commands of az and azd that the scripts ran."""
        calls = self.folder / "calls"
        return calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []

    def run(self, script: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run infra/scripts/`script` in this process, which has imported its packages: that takes most of a start."""
        typed = io.BytesIO(stdin.encode(errors="surrogateescape"))
        printed, errors, path = io.StringIO(), io.StringIO(), str(SCRIPTS / script)
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, self.variables, clear=True))
            stack.enter_context(patch.object(sys, "argv", [path, *arguments]))
            stack.enter_context(patch.object(sys, "stdin", io.TextIOWrapper(typed)))
            stack.enter_context(redirect_stdout(printed))
            stack.enter_context(redirect_stderr(errors))
            status = _status_of(path, errors)
        return subprocess.CompletedProcess([path, *arguments], status, printed.getvalue(), errors.getvalue())

    def start(self, script: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run infra/scripts/`script` as azd does: as its own process, in its own folder."""
        command = [sys.executable, str(SCRIPTS / script), *arguments]
        return subprocess.run(
            command, env=self.variables, cwd=SCRIPTS, input=stdin, capture_output=True, text=True, check=False
        )

    @property
    def variables(self) -> dict[str, str]:
        return {"PATH": str(self.folder), **self.environment}


def _status_of(path: str, errors: io.StringIO) -> int:
    """Run a script to its end. Its exit status; as in Python, a text is printed and stands for 1."""
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            errors.write(f"{end.code}\n")
            return 1
        return end.code or 0
    return 0
