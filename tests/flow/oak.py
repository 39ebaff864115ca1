"""Oak School, with a teaching group and a registration group, whose pupils a story changes."""

from __future__ import annotations

from dataclasses import replace

from local.school.data import SchoolData
from tests.flow.trust import pupils, registration, staff, teaching

EVERYBODY = "amy ben cleo dan eve fay gus hal ida jon kit lea"
HALF = "amy ben cleo dan eve fay"
ART, ART_MAIL, FORM_MAIL = "2026.teaching.T1", "Art.class.1234567.2026", "5L.class.1234567.2026"
OAK = SchoolData(
    "OAK",
    "Oak School",
    "1234567",
    2026,
    pupils(EVERYBODY),
    staff("main tutor"),
    (teaching("T1", "Art", EVERYBODY, "main"), registration("R1", "5L", HALF, "tutor")),
)


def oak_with(art: str, form: str) -> SchoolData:
    """Oak School with these pupils in its two groups."""
    return replace(OAK, groups=(teaching("T1", "Art", art, "main"), registration("R1", "5L", form, "tutor")))
