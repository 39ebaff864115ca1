"""What a vendor's server does in its own way. It is found by reading, kept for later reads, and shown with the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sync_core.mis.budget import whole_number

_PAGE = 1000
_DEFAULT_PAGE = 100
"""The default of OneRoster, which every server accepts."""


class Totals(StrEnum):
    """What the total of a list counts, if the server sends one."""

    LIST = "list"
    PAGE = "page"
    NONE = "none"


_TOTALS = {
    Totals.PAGE: "this server's totals count one page, so each list was read until nothing new came",
    Totals.NONE: "this server sends no totals, so each list was read until nothing new came",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """The quirks of one server; the defaults are those of OneRoster and OAuth 2.

    `fields`: it accepts the parameter of that name. `page` is the largest page to request. `missing` are the lists that
    it has for all schools only. `wrapped`: its lists have names of their own. `form`: it reads the client's secret from
    the form. `scopes` is the number of scopes in the list of choices that it refused.
    """

    totals: Totals = Totals.LIST
    fields: bool = True
    page: int = _PAGE
    missing: frozenset[str] = frozenset()
    wrapped: bool = False
    form: bool = False
    scopes: int = 0

    @property
    def counted(self) -> bool:
        """Whether a total shows that a cached school with the changes since is complete."""
        return self.totals is Totals.LIST and not self.missing

    def alternatives(self) -> Iterator[Quirks]:
        """These quirks, and then those to try if the server answers 400 (bad request)."""
        yield self
        for fields in (True, False):
            for page in (_PAGE, _DEFAULT_PAGE):
                if (fields, page) != (self.fields, self.page) and fields <= self.fields and page <= self.page:
                    yield replace(self, fields=fields, page=page)

    def parameters(self, query: Mapping[str, str], fields: str) -> dict[str, str]:
        """The query as this server accepts it, with the `fields` that the app reads."""
        requested = whole_number(query.get("limit"))
        limit = {"limit": str(min(requested, self.page))} if requested is not None else {}
        return {**query, **limit, **({"fields": fields} if self.fields else {})}

    def notes(self) -> tuple[str, ...]:
        """A sentence for an admin on each quirk."""
        sentences = {
            _TOTALS.get(self.totals, ""): self.totals is not Totals.LIST,
            "this server refuses the parameter fields, so it sends more than the app reads; the rest is not kept": (
                not self.fields
            ),
            f"this server refuses large pages, so {self.page} records are requested at a time": self.page < _PAGE,
            f"this server has no list for one school of: {', '.join(sorted(self.missing))}; "
            "its lists of all schools were read, and the other schools' records left out": bool(self.missing),
            "this server's lists have names that OneRoster does not give them": self.wrapped,
            "the token server reads the client's secret from the form only": self.form,
            "the token server refuses a scope of OneRoster, so the app does without": self.scopes > 0,
        }
        return tuple(sentence for sentence, applies in sentences.items() if applies)
