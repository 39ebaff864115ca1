"""Generates the school: a thousand pupils in seven years, their forms and sets, and names that trip up software."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing

YEARS = ("7", "8", "9", "10", "11", "12", "13")
PUPILS, FORMS, SETS, STAFF = 1_000, 40, 180, 75

_GIVEN = """
Amelia Zoë Oliver José Chloé Muhammad Siân Aoife Daniel Priya Łukasz Nia Thomas Anaïs Kwame Freya Seán Yusuf Grace
Björn Harriet Owain Fatima Jürgen Maisie Rhys Ines Callum Đorđe Evie Tomasz Saoirse Leo Noor Ewan Renée
"""
_FAMILY = """
Smith O'Neill Patel Müller Jones D'Souza Khan Fitzgerald-Brown García Evans Nowak Ó-Briain Taylor Singh Åberg
Williams O'Connor Hussain Davies Fernández MacDonald Wójcik Thompson Ahmed St-John Roberts Çelik Hughes N'Diaye
Walker Lewis Kaya Bennett
"""
_SUBJECTS = ("Ma", "En", "Sc", "Fr", "Hi", "Gg", "Dt", "Mu", "Ar", "Pe", "Co", "Re", "Ge", "Sp", "Dr")

# Names seen in real schools, given to the first sets.
_REAL_NAMES = (
    "Mon Ch",
    "2S/DT1",
    "2SDT1",
    "2s/dt1",
    "9é/Fr1",
    "Größe 1",
    "O'Neill Set",
    "Art & Design (Yr 9)",
    "Maths [top]; set, 1",
    "Further Mathematics with Statistics and Mechanics for Year Thirteen, Thursday",
    "日本語",
    "//",
    "Choir - Mon  &  Wed",
    "PE.",
    ".Net Club.",
    'Debating "A" Team',
    "EAL @ Lunch",
    "Nurture: Seren",
)


def generate(seed: int = 2026, pupils: int = PUPILS) -> SchoolData:
    """The school of `seed`. The numbers of staff and groups are in proportion to the pupils."""
    rng = random.Random(seed)
    share = pupils / PUPILS
    usernames: set[str] = set()
    staff = tuple(_people(rng, usernames, "T", max(6, round(STAFF * share)), staff=True))
    all_pupils = tuple(_people(rng, usernames, "P", pupils, staff=False))
    groups = [*_forms(all_pupils, staff, max(7, round(FORMS * share)))]
    groups += _sets(rng, all_pupils, staff, max(24, round(SETS * share)))
    return SchoolData(
        id="SCH1",
        name="Highfield Academy",
        dfe_code="9164023",
        starts=2026,
        pupils=all_pupils,
        staff=staff,
        groups=tuple(groups),
    )


def _people(rng: random.Random, taken: set[str], prefix: str, count: int, *, staff: bool) -> Iterator[SchoolPerson]:
    for number in range(1, count + 1):
        given, family = rng.choice(_GIVEN.split()), rng.choice(_FAMILY.split())
        username = _username(given, family, taken)
        year = "" if staff else YEARS[(number - 1) * len(YEARS) // count]
        email = ""
        if number % 97 == 0:
            username, email = "", f"{username.lower()}@school.onmicrosoft.com"
        elif number % 7 == 0:
            username = username.upper()
        yield SchoolPerson(f"{prefix}{number:04}", given, family, username, email, year)


def _username(given: str, family: str, taken: set[str]) -> str:
    plain = unicodedata.normalize("NFKD", f"{given[0]}{family}".replace("Ł", "L").replace("Đ", "D"))
    stem = "".join(letter for letter in plain if letter.isascii() and letter.isalnum()) or "user"
    number = 1
    while (name := stem if number == 1 else f"{stem}{number}").lower() in taken:
        number += 1
    taken.add(name.lower())
    return name


def _forms(pupils: tuple[SchoolPerson, ...], staff: tuple[SchoolPerson, ...], count: int) -> Iterator[SchoolGroup]:
    """The forms; every pupil is in one form of their year."""
    a_year = count / len(YEARS)
    for place, year in enumerate(YEARS):
        of_year = [pupil.id for pupil in pupils if pupil.year == year]
        forms = round(a_year * (place + 1)) - round(a_year * place)
        for number in range(forms):
            tutor = staff[(place * 7 + number) % len(staff)].id
            yield SchoolGroup(
                f"R{year}{chr(65 + number)}",
                f"{year}{chr(65 + number)}",
                True,
                (Staffing(tutor, True),),
                tuple(of_year[number::forms]),
            )


def _sets(
    rng: random.Random, pupils: tuple[SchoolPerson, ...], staff: tuple[SchoolPerson, ...], count: int
) -> Iterator[SchoolGroup]:
    for number in range(count):
        year = YEARS[number % len(YEARS)]
        of_year = [pupil.id for pupil in pupils if pupil.year == year]
        subject = _SUBJECTS[(number // len(YEARS)) % len(_SUBJECTS)]
        usual = f"{year}{'AB'[number % 2]}/{subject}{number // (len(YEARS) * len(_SUBJECTS)) + 1}"
        title = _REAL_NAMES[number] if number < len(_REAL_NAMES) else usual
        teachers = rng.sample([teacher.id for teacher in staff], 2)
        team: tuple[Staffing, ...]
        match number % 6:
            case 0:  # two teachers, the second of them the main one
                team = (Staffing(teachers[0], False), Staffing(teachers[1], True))
            case 1:  # two teachers, neither marked as the main one
                team = (Staffing(teachers[0], False), Staffing(teachers[1], False))
            case _:
                team = (Staffing(teachers[0], True),)
        yield SchoolGroup(
            f"C{number + 1:03}", title, False, team, tuple(sorted(rng.sample(of_year, min(25, len(of_year)))))
        )
