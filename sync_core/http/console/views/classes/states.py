"""The state of a class in words: a sign for a table, and a sentence for its own page."""

from __future__ import annotations

from sync_core.admin.overview.schools import Light, Sign
from sync_core.domain.classes.record import ClassOutline, ClassState

WORDS = {
    ClassState.MAKING: "being made",
    ClassState.LIVE: "live",
    ClassState.CHANGED_BY_HAND: "changed by hand",
    ClassState.ENDED: "group left the MIS",
    ClassState.PINNED: "pinned",
    ClassState.DELETING: "being deleted",
    ClassState.DELETED: "deleted",
    ClassState.GONE: "gone",
}
_LIGHTS = {ClassState.LIVE: Light.GOOD, ClassState.GONE: Light.BAD, ClassState.DELETED: Light.BAD}
_SENTENCES = {
    ClassState.MAKING: "Microsoft 365 does not have the class yet. It is made by the next change on the queue.",
    ClassState.LIVE: "As recorded, the class is in Microsoft 365 and follows the MIS.",
    ClassState.CHANGED_BY_HAND: "Somebody changed the class in Microsoft 365. The next sync makes it match the MIS "
    "again.",
    ClassState.ENDED: "The MIS no longer has the group, or an admin ended the class or its year. It stays as it is.",
    ClassState.PINNED: "The class stays as it is until an admin releases it, and does not follow the MIS.",
    ClassState.DELETING: "An admin requested that the class is deleted. Microsoft 365 still has it.",
    ClassState.DELETED: "The class was deleted at an admin's request. Microsoft 365 can restore it for 30 days.",
    ClassState.GONE: "The class was deleted in Microsoft 365, and not at a request made here. Microsoft 365 can "
    "restore a class for 30 days.",
}
NO_CLASS = Sign(light=Light.WAITS, text="no class")
NOT_EXTRACTED = Sign(light=Light.WAITS, text="cannot become a class")


def sign_of(outline: ClassOutline) -> Sign:
    """A refusal of Microsoft 365 comes before the state."""
    text = "year ended" if outline.retired and outline.state is ClassState.ENDED else WORDS[outline.state]
    if outline.refused:
        return Sign(light=Light.BAD, text=f"{text}, refused")
    return Sign(light=_LIGHTS.get(outline.state, Light.WAITS), text=text)


def sentence_of(state: ClassState) -> str:
    return _SENTENCES[state]
