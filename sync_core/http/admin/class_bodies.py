"""The bodies of routes about the people of a class, and about several classes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from sync_core.admin.classes.groups import NewClassPreview
from sync_core.admin.classes.one_class import ClassPerson, OneClass
from sync_core.admin.classes.several import MOST
from sync_core.domain.ids import ClassKey, RunId

_Key = Annotated[ClassKey, StringConstraints(min_length=1, max_length=80)]


class ClassesBody(BaseModel, extra="forbid"):
    """One action for several classes."""

    action: Literal["create", "resync", "restore", "release"]
    classes: list[_Key] = Field(min_length=1, max_length=MOST, description="The keys of the classes, or of the groups")


class AcceptedRuns(BaseModel):
    """The ids of the runs that carry out the request. Read them for their results."""

    runs: list[RunId]


class NewClass(BaseModel):
    """The class that a group gets. If a group of Microsoft 365 has the address, the class gets the next number."""

    key: ClassKey
    display_name: str
    mail_nickname: str


class ClassPeople(BaseModel):
    """The people of a class by Entra id. `found`: Microsoft 365 has the class."""

    found: bool | None
    shown: bool
    unread: str = Field(description="Why Microsoft 365 could not be read, and what helps; empty if it was read")
    people: list[ClassPerson]


def new_class_body(preview: NewClassPreview) -> NewClass:
    name = preview.name
    return NewClass(key=preview.group.key, display_name=name.display_name, mail_nickname=name.mail_nickname)


def class_people(found: OneClass) -> ClassPeople:
    there = found.there
    return ClassPeople(
        found=there.found if there else None,
        shown=there is not None and there.members is not None,
        unread=str(found.unread) if found.unread else "",
        people=list(found.people),
    )
