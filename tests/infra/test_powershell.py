"""The PowerShell versions of the scripts, which cannot run here: they parse in any PowerShell that azd may use."""

from __future__ import annotations

from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

from tests.infra.bicep import ROOT

SCRIPTS = sorted((ROOT / "infra" / "scripts").glob("*.ps1"))


def _parses(text: bytes) -> bool:
    return not Parser(Language(tree_sitter_powershell.language())).parse(text).root_node.has_error


def test_the_parser_detects_a_syntax_error() -> None:
    assert not _parses(b"if ($principal { exit }")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_parses_and_has_a_shell_version(script: Path) -> None:
    assert _parses(script.read_bytes())
    assert script.with_suffix(".sh").is_file()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_ascii(script: Path) -> None:
    """Windows PowerShell 5.1 reads a file without a mark as Windows-1252, where a byte of a dash ends a string."""
    assert script.read_bytes().isascii()
