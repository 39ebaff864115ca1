"""What docs/connect-your-mis.md has to paste is valid, and names every MIS and every kind of source."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sync_core.choices import Mis
from sync_core.school_settings import SchoolBody

PAGE = (Path(__file__).parents[2] / "docs" / "connect-your-mis.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_can_be_pasted(block: str) -> None:
    body = SchoolBody.model_validate_json(block)
    assert body.tenant == json.loads(block)["tenant"]


def test_every_mis_has_its_row_and_every_kind_of_source_a_block() -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows[0] == "mis", "the head of the table"
    assert set(rows[1:]) == {mis.value for mis in Mis} - {"other"}
    kinds = {json.loads(block)["source"]["kind"] for block in BLOCKS}
    assert kinds == {"wonde", "oneroster", "container", "folder"}
