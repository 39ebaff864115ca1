"""Bad cells, one a case, in `bad_cells.csv`: what is left out, what is in doubt, and that everything else stands.

Each case puts a value into a column of the first row of a file: nothing, a word that no format has, or an id that
points nowhere. A question mark in `in_doubt` is in place of an id that is not known.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from local.feed import read_feed
from sync_core.errors import SnapshotRejected
from tests.mis import feeds
from tests.mis.standing import doubt, memberships

_FEEDS = {feed.__name__: feed for feed in (feeds.oneroster, feeds.oneroster_1_2, feeds.sds_v2, feeds.sds_v1)}
_TABLE = Path(__file__).with_name("bad_cells.csv")
with _TABLE.open(encoding="utf-8", newline="") as table:
    CASES = list(csv.DictReader(table))


def _pairs(text: str) -> set[str]:
    return set(filter(None, text.split("; ")))


@pytest.mark.parametrize("case", CASES, ids=[f"{c['feed']}-{c['file']}-{c['column']}-{c['value']}" for c in CASES])
def test_a_bad_cell_stops_no_more_than_it_must(case: dict[str, str], tmp_path: Path) -> None:
    files = _FEEDS[case["feed"]]()
    (whole,) = read_feed(feeds.write(files, tmp_path / "whole"), feeds.TODAY).values()
    header, first, *rows = csv.reader(io.StringIO(files[case["file"]]))
    first[header.index(case["column"])] = case["value"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, first, *rows])
    folder = feeds.write(files | {case["file"]: text.getvalue()}, tmp_path / "bad")
    if case["left_out"].startswith("rejected: "):
        with pytest.raises(SnapshotRejected) as caught:
            read_feed(folder, feeds.TODAY)
        assert f"rejected: {caught.value}" == case["left_out"]
        return
    read = read_feed(folder, feeds.TODAY)[whole.school.id]
    assert "; ".join(map(str, read.left_out)) == case["left_out"]
    assert all(row.place.startswith("line ") and row.remedy for row in read.left_out)
    assert read.doubt == doubt(case["in_doubt"])
    before, after = ({" ".join(pair) for pair in memberships(one)} for one in (whole, read))
    assert before - after == _pairs(case["missing"])
    assert after - before == _pairs(case["joined"])
