"""The kinds of id. At run time each is its text; mypy refuses one kind where another is meant."""

from typing import Annotated, NewType

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
