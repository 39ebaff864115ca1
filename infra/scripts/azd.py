"""The azd environment: its values, which azd passes to its hooks, and the command that changes them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from command import ROOT, Failure

_NAME = "AZURE_ENV_NAME"
"""The variable with the name of the environment: azd sets it for each hook."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The values of an azd environment as they were when the command started."""

    values: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the environment, empty if azd has none."""
        return self.get(_NAME)

    def get(self, name: str) -> str:
        """The value of a variable, empty if the environment does not have it."""
        return self.values.get(name, "")

    def set(self, name: str, value: str) -> None:
        """Write a value into the azd environment, for the steps of azd that come after this command."""
        _azd("env", "set", name, value, *self._chosen)

    def provision(self) -> None:
        """Provision the environment. azd writes to the terminal, and may ask questions there."""
        command = [_program("it did not provision", "run 'azd provision' yourself"), "provision", *self._chosen]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            raise Failure(
                "azd did not provision, for the reason that it printed; what this command printed is done. Correct the "
                "cause, then run 'azd provision'"
            )

    @property
    def _chosen(self) -> list[str]:
        return ["--environment", self.name] if self.name else []


def read_environment() -> Environment:
    """The environment that azd passed to this hook or, for a command started by hand, the one that azd has selected.

    Variables of the terminal come first. Without azd, or without an environment, there are no others.
    """
    if os.environ.get(_NAME) or not shutil.which("azd"):
        return Environment(dict(os.environ))
    try:
        values = json.loads(_azd("env", "get-values", "--output", "json"))
    except (Failure, ValueError):
        values = {}
    return Environment({**values, **os.environ})


def _program(undone: str, by_hand: str) -> str:
    program = shutil.which("azd")
    if program is None:
        raise Failure(f"azd is not on the PATH, so {undone}: install it, or {by_hand}")
    return program


def _azd(*arguments: str) -> str:
    """What `azd` prints. Each argument is passed as it is: no shell reads it."""
    by_hand = f"run 'azd {' '.join(arguments)}' yourself in the folder of the project"
    program = _program("its environment was not changed", by_hand)
    result = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip()
        raise Failure(f"azd did not change its environment: {said}; correct that, or {by_hand}")
    return result.stdout
