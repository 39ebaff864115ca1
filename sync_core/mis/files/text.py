"""The lines of a CSV file as text, whatever program wrote it: UTF-8, UTF-16 or Windows-1252, with or without a mark."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from typing import IO, cast

from sync_core.mis.budget import MAX_LINE
from sync_core.mis.rejection import rejection

USE_UTF_8 = "export the feed as UTF-8"
_NOT_DECODED = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, as Python reads it with `surrogateescape`."""
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
"""Characters of no width: spreadsheets and web pages leave them in ids, where nobody sees them."""
_SIGNS = re.compile(r"[\W_]+")
_NOT_CSV = {
    b"PK\3\4": "an Excel workbook or a zip file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF file",
    b"<!": "a web page",
    b"<htm": "a web page",
    b"<?xm": "XML",
}
"""How files of other kinds begin that are called CSV."""
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_lines(name: str, raw: IO[bytes], note: Callable[[str], None]) -> Iterator[str]:
    """The lines with their ends, without characters of no width. `note` gets what is unusual about the file.

    Raises SnapshotRejected.
    """
    buffered = io.BufferedReader(cast(io.RawIOBase, raw))
    start = buffered.peek(4)[:4]
    if kind := next((kind for mark, kind in _NOT_CSV.items() if start.startswith(mark)), ""):
        raise rejection(f"{name} is {kind}, and not CSV", "export it as CSV in UTF-8")
    if encoding := _utf_16(buffered.peek(200)[:200]):
        note(f"{name} is UTF-16 and was read as such — {USE_UTF_8}")
        yield from _checked(name, io.TextIOWrapper(buffered, encoding, errors="replace", newline=""))
        return
    marked = buffered.peek(3)[:3] == codecs.BOM_UTF8
    decoded = io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="")
    is_utf_8, is_1252 = marked, False
    for number, line in enumerate(_checked(name, decoded), start=1):
        if line.isascii():
            yield line
            continue
        wrong = _NOT_DECODED.search(line)
        if wrong and not is_1252:
            if is_utf_8 or not line[: wrong.start()].isascii():
                byte = len(line[: wrong.start()].encode()) + 1
                raise rejection(f"{name} line {number}, byte {byte}: not UTF-8", USE_UTF_8)
            is_1252 = True
            note(f"{name} is not UTF-8 and was read as Windows-1252 — {USE_UTF_8}")
        is_utf_8 = is_utf_8 or not is_1252
        yield _INVISIBLE.sub("", _from_1252(name, number, line) if is_1252 else line)


def visible(text: str) -> str:
    """The text without characters of no width, and without blanks around it."""
    return _INVISIBLE.sub("", text).strip()


def same_word(text: str) -> str:
    """The text in the one form that words of a format are compared in: capitals and blanks do not count."""
    return " ".join(visible(text).casefold().split())


def one_word(text: str) -> str:
    """The letters and digits of `same_word`: `to_be_deleted` and `Co-Teacher` are written with signs by some."""
    return _SIGNS.sub("", same_word(text)) or same_word(text)


def _checked(name: str, decoded: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := decoded.readline(MAX_LINE):
        number += 1
        if "\0" in line:
            raise rejection(f"{name} line {number}: has a NUL character")
        if len(line) == MAX_LINE and not line.endswith(("\n", "\r")):
            raise rejection(f"{name} line {number}: is longer than {MAX_LINE} characters")
        yield line


def _utf_16(start: bytes) -> str:
    """The encoding, if the file is UTF-16: it says so, or every other byte of its beginning is NUL."""
    if encoding := _UTF_16.get(start[:2]):
        return encoding
    pairs = len(start) // 2
    for encoding, nuls in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if pairs > 1 and nuls.count(0) >= 0.9 * pairs:
            return encoding
    return ""


def _from_1252(name: str, number: int, line: str) -> str:
    try:
        return line.encode("utf-8", "surrogateescape").decode("cp1252")
    except UnicodeDecodeError as error:
        message = f"{name} line {number}, byte {error.start + 1}: neither UTF-8 nor Windows-1252"
        raise rejection(message, USE_UTF_8) from None
