"""The kinds of id. At run time each is its text; mypy refuses one kind where another is meant."""

import re
from hashlib import sha256
from typing import Annotated, NewType
from uuid import UUID

from sync_core.domain.constraints import InOrder

SchoolId = NewType("SchoolId", str)
"""A school, in settings, tables, messages and its feed."""
ClassKey = NewType("ClassKey", str)
"""A class within its school, also for a group that has no class yet."""
ClassId = NewType("ClassId", str)
"""The Entra id of the group behind a class."""
AccountId = NewType("AccountId", str)
"""The Entra id of a user."""
AccountIds = Annotated[frozenset[AccountId], InOrder()]
MisId = NewType("MisId", str)
"""A person or a group in the MIS."""
RunId = NewType("RunId", str)
"""A run, for one school or for all that it covers."""
GrantText = NewType("GrantText", str)
"""A grant of an ownership, as the reason of an extra owner names it."""

_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = rf"[0-9]{{1,4}}[-/.](?:[0-9]{{1,2}}|{_MONTH})[-/.][0-9]{{1,4}}(?:T.*)?"
_LIKE_A_DATE = re.compile(_DATE, re.DOTALL | re.IGNORECASE)
_IN_NAMES = re.compile(r"[\s@,]")


def may_be_personal(id_: str) -> bool:
    """Whether an id has a blank, a comma or an @, or the form of a date.

    Where columns are shifted, such an id is a person's name, address or birth date.
    """
    return _IN_NAMES.search(id_) is not None or _LIKE_A_DATE.fullmatch(id_) is not None


def plain_id(id_: str) -> str:
    """An id from outside as keys, logs and notes have it: a digest, if it may be personal."""
    return digest_of(id_) if may_be_personal(id_) else id_


def digest_of(text: str) -> str:
    """64 bits of SHA-256 in hexadecimal."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def entra_id(text: str) -> str:
    """`text` as an Entra id. Raises ValueError for anything else, which could change the path that it goes into."""
    return str(UUID(text))
