"""Microsoft's Bicep compiler as one process for all files: started for each file, it would take seconds every time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, Any, cast

VERSION = "0.49.2"
_HOW_TO_GET_IT = (
    f"set BICEP to Bicep {VERSION}, or put it on the PATH as bicep "
    "(https://learn.microsoft.com/azure/azure-resource-manager/bicep/install)"
)
# The same answers in every locale; and no profiles of a program that runs for seconds.
_RUNTIME = {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", "DOTNET_TieredPGO": "0"}
# Of the environment in which each template is expanded.
_DEPLOYMENT = {
    "tenantId": "00000000-0000-0000-0000-000000000001",
    "subscriptionId": "00000000-0000-0000-0000-000000000002",
    "resourceGroup": None,
    "location": "uksouth",
    "deploymentName": "oak",
}


class NoCompiler(Exception):
    """The templates cannot be compiled here; the message says how to change that."""


class Compiler:
    """Compiles, formats and expands templates. `bicep jsonrpc` frames a message as a language server does."""

    def __init__(self, folder: Path) -> None:
        """Start the compiler, which unpacks itself in `folder`. Raises NoCompiler if there is none of `VERSION`."""
        command = os.environ.get("BICEP") or shutil.which("bicep")
        if not command:
            raise NoCompiler(f"there is no Bicep compiler: {_HOW_TO_GET_IT}")
        self._process = subprocess.Popen(
            [command, "jsonrpc", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_RUNTIME, "DOTNET_BUNDLE_EXTRACT_BASE_DIR": str(folder)},
        )
        self._calls = 0
        version = self._call("version")["version"]
        if version != VERSION:
            self.close()
            raise NoCompiler(f"Bicep {version} knows other types and rules than {VERSION}: {_HOW_TO_GET_IT}")

    def close(self) -> None:
        self._process.communicate()

    def compile(self, file: Path) -> dict[str, Any]:
        """`success`, `diagnostics` of the file and its modules, by the linter too, and `contents`: the ARM template."""
        return self._call("compile", path=str(file))

    def files_of(self, file: Path) -> set[Path]:
        """Every file that the template is made from."""
        return {Path(name) for name in self._call("getFileReferences", path=str(file))["filePaths"]}

    def format(self, file: Path) -> str:
        return str(self._call("format", path=str(file))["contents"])

    def snapshot(self, parameters: Path) -> dict[str, Any]:
        """`predictedResources`, `outputs` and `diagnostics` of a template with the values of a .bicepparam file."""
        answer = self._call("getSnapshot", path=str(parameters), metadata=_DEPLOYMENT)
        return cast(dict[str, Any], json.loads(answer["snapshot"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        call = {"jsonrpc": "2.0", "id": self._calls, "method": f"bicep/{method}", "params": [parameters]}
        body = json.dumps(call).encode()
        requests, answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        requests.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        requests.flush()
        headers = dict(line.split(b": ") for line in iter(lambda: answers.readline().strip(), b""))
        answer = json.loads(answers.read(int(headers[b"Content-Length"])))
        assert "error" not in answer, answer["error"]["message"]
        return cast(dict[str, Any], answer["result"])
