"""What Azure installs: every package that the app needs and no other, at one version, with the hash of every file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.infra.bicep import ROOT, text

_HASHES = r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+"
_ENTRY = re.compile(rf"^([a-z0-9.-]+)==([^\s;\\]+)(?: ; ([^\\\n]+?))?({_HASHES})$", re.MULTILINE)


@dataclass(frozen=True)
class Locked:
    """A package of requirements.txt. `requirement` has its version and the marker that says where it is installed."""

    name: str
    requirement: Requirement

    @property
    def here(self) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate()


LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
WANTED = [
    Requirement(line)
    for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    if line and line[0] != "#"
]


def read_lock(text: str) -> list[Locked]:
    return [
        Locked(name, Requirement(f"{name}=={version}" + (f"; {marker}" if marker else "")))
        for name, version, marker, _ in _ENTRY.findall(text)
    ]


LOCKED = read_lock(LOCK)
HERE = {locked.name: locked.requirement for locked in LOCKED if locked.here}


def needs_of(name: str, extras: set[str]) -> list[Requirement]:
    """What the installed package asks for on this Python, with these extras."""
    asked = [Requirement(text) for text in distribution(name).requires or ()]
    return [
        each for each in asked if not each.marker or any(each.marker.evaluate({"extra": one}) for one in extras | {""})
    ]


def test_every_package_has_one_version_and_hashes() -> None:
    lines = [line for line in LOCK.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(LOCKED) == len([line for line in lines if not line.startswith("    ")])
    assert len(LOCKED) > 80
    assert sum(entry[3].count("--hash=") for entry in _ENTRY.findall(LOCK)) == LOCK.count("--hash=")
    assert [line for line in lines if not re.match(r"[a-z0-9.-]+==|    --hash=sha256:", line)] == []


def test_an_entry_without_a_hash_is_found() -> None:
    stripped = re.sub(rf"^(anyio==\S+){_HASHES}$", r"\1", LOCK, flags=re.MULTILINE)
    assert {each.name for each in LOCKED} - {each.name for each in read_lock(stripped)} == {"anyio"}


def test_what_the_app_imports_is_locked_as_it_asks() -> None:
    assert [each for each in WANTED if str(each.specifier)[:2] != "==" or "*" in str(each.specifier)] == []
    asked = [each for each in WANTED if not each.marker or each.marker.evaluate()]
    locked = {each.name: str(HERE[canonicalize_name(each.name)].specifier) for each in asked}
    assert locked == {each.name: str(each.specifier) for each in asked}
    assert {canonicalize_name(each.name) for each in WANTED} <= {each.name for each in LOCKED}


def test_the_lock_has_all_that_those_need_and_nothing_more() -> None:
    """On the Python that runs the tests; the workflow runs them on all that the app supports."""
    waiting = [each for each in WANTED if not each.marker or each.marker.evaluate()]
    done: set[tuple[str, str]] = set()
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        assert name in HERE, f"{need} is not locked"
        (version,) = (each.version for each in HERE[name].specifier)
        assert need.specifier.contains(version, prereleases=True), f"{name} {version} is not {need}"
        if (name, str(sorted(need.extras))) not in done:
            done.add((name, str(sorted(need.extras))))
            waiting += needs_of(name, need.extras)
    assert {name for name, _ in done} == HERE.keys()


def test_the_tests_run_on_what_is_deployed() -> None:
    installed = {name: f"=={distribution(name).version}" for name in HERE}
    assert installed == {name: str(requirement.specifier) for name, requirement in HERE.items()}


def deployed_python() -> str:
    (version,) = re.findall(r"runtime: \{\n +name: 'python'\n +version: '([\d.]+)'", text("modules/app.bicep"))
    return str(version)


def refused_by(python: str) -> set[str]:
    """The packages that pip does not install with this Python."""
    asked = {name: distribution(name).metadata["Requires-Python"] or "" for name in HERE}
    return {name for name, versions in asked.items() if not SpecifierSet(versions).contains(python)}


def test_the_lock_is_made_for_the_python_that_azure_runs() -> None:
    command = re.search(r"^#    (uv pip compile .*)$", LOCK, re.MULTILINE)
    assert command
    assert command[1].replace("compile ", "compile --quiet ") in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"--universal --python-version {deployed_python()} --generate-hashes" in command[1]


def test_a_build_in_azure_with_an_older_python_fails() -> None:
    """No package has another version for it, and one package refuses it. The tests install that one all the same."""
    assert [locked.name for locked in LOCKED if re.search(r"\bpython_", str(locked.requirement.marker))] == []
    assert refused_by(deployed_python()) == set()
    assert refused_by("3.12") == refused_by("3.11") == {"azure-functions"}
    setup = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--ignore-requires-python -r requirements.txt" in setup
