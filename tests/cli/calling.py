"""Calls of the installed command, each in a process of its own with its own settings and its own Azure CLI."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.forked import Forked, fork_self

_SIGNED_IN = """#!/bin/sh
echo "$@" >> {seen}
echo '{{"accessToken": "{user}", "expires_on": 4102444800}}'
"""
_FAILS = """#!/bin/sh
echo "{message}" >&2
exit 1
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The only JSON document on stdout."""
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a machine: `home` has their settings and, if they have one, their Azure CLI."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def sign_in(self, user: str) -> None:
        """From now on, the Azure CLI gives this text as the token, and `az_calls` has what it was asked for."""
        self._write(_SIGNED_IN.format(seen=self.home / "seen", user=user))

    def fail_sign_in(self, message: str) -> None:
        self._write(_FAILS.format(message=message))

    @property
    def az_calls(self) -> str:
        return (self.home / "seen").read_text(encoding="utf-8")

    def call(self, *options: str, module: str = "cli", **environment: str) -> Ended:
        errors = self.home / f"{len(list(self.home.iterdir()))}.stderr"
        status, printed = self.start(*options, errors=errors, module=module, **environment).finish()
        ended = Ended(status, printed, errors.read_text(encoding="utf-8"))
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    def start(self, *options: str, errors: Path, module: str = "cli", **environment: str) -> Forked:
        path = f"{self.home / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
        own = {"XDG_CONFIG_HOME": str(self.home / "settings"), "HOME": str(self.home), "COLUMNS": "200", "PATH": path}
        return Forked(module, options, errors, {**own, **self.environment, **environment}, arguments=[fork_self])

    def _write(self, script: str) -> None:
        program = self.home / "bin" / "az"
        program.parent.mkdir(exist_ok=True)
        program.write_text(script, encoding="utf-8")
        program.chmod(0o755)
