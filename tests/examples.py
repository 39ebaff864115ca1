"""How many examples the long properties try: a third of them in `make test`, and all in the workflow `thorough`."""

from __future__ import annotations

import os

THOROUGH = "thorough"
_SHARE = 1 if os.environ.get("EXAMPLES") == THOROUGH else 3


def examples(thorough: int) -> int:
    """The number of examples of a property that tries `thorough` when there is time for them."""
    return -(-thorough // _SHARE)
