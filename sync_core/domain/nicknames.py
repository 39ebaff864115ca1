"""Texts as the mail nickname of a Microsoft 365 group may hold them."""

from __future__ import annotations

import re

from anyascii import anyascii

_LONGEST_IDENTIFIER = 30

# What Graph refuses in a mailNickname besides the space, which becomes a hyphen ("group resource type").
_FORBIDDEN = re.compile(r"""[@()\\/\[\]"';:<>,\x00-\x1f\x7f]""")
# Graph takes them in a displayName, but a class with an & was reported to get no mailbox; the others are as doubtful.
_DOUBTFUL = re.compile(r"[&*?|{}+]")
_SPACES = re.compile(r"\s+")
_HYPHENS = re.compile(r"[\s-]+")
_DOTS = re.compile(r"\.{2,}")


def without_doubtful(text: str) -> str:
    """The text without the characters that display names are kept free of: `A&B` → `AB`."""
    return _DOUBTFUL.sub("", text)


def without_forbidden(text: str) -> str:
    """The text without the characters that a nickname may not hold: `2S/DT1` → `2SDT1`, `Mon Ch` → `Mon Ch`."""
    return _FORBIDDEN.sub("", _SPACES.sub(" ", text))


def hyphenated(text: str) -> str:
    return _HYPHENS.sub("-", text)


def undotted(text: str) -> str:
    """The text without dots at its ends and without two in a row, which no address has."""
    return _DOTS.sub(".", text).strip(".")


def in_nickname(text: str) -> str:
    """The text in ASCII, as it stands in a nickname; empty if none of its characters may."""
    return undotted(hyphenated(without_forbidden(anyascii(text))))


def identifier_in_nickname(identifier: str) -> str:
    """A name identifier as it stands in nicknames; empty if none of its characters may.

    Without dots, so that it is always the last part but one: nicknames of different identifiers never collide.
    """
    return in_nickname(identifier).replace(".", "")[:_LONGEST_IDENTIFIER]
