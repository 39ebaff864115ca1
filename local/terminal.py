"""Text on a terminal, or in a file, that cannot show every character: a Windows console has 256 of them."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

from anyascii import anyascii

_PLAIN = {"→": "->", "✔": "+", "✖": "x"}
"""What our own signs mean."""


def print_plainly(*streams: TextIO) -> None:
    """From now on, write what a stream cannot show in the letters, digits and signs that it can."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors=_plain.__name__)


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or anyascii(sign) or "?" for sign in signs), error.end


codecs.register_error(_plain.__name__, _plain)
