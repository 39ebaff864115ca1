"""The options of a command line that starts the simulated tenant: the app's permissions and the tenant's answers."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import dataclass

from local.tenant import answers, permissions

WITHOUT_HELP = (
    "The simulated app lacks this permission, if this call starts the tenant; repeatable. It has "
    f"{', '.join(permissions.GRANTED)}."
)
ANSWERS_HELP = (
    "How the simulated tenant answers where Microsoft 365 is not known to answer in one way, if this call starts it; "
    "repeatable; listed below."
)
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class TenantOptions:
    """`without` are permissions that the app lacks; `answers` are names of the table of answers with their values."""

    without: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()

    @property
    def granted(self) -> frozenset[str]:
        return frozenset(permissions.GRANTED) - frozenset(self.without)

    @property
    def given(self) -> bool:
        return self != TenantOptions()

    def arguments(self) -> tuple[str, ...]:
        """These options on a command line."""
        lacking = [argument for permission in self.without for argument in ("--without", permission)]
        chosen = [argument for name, value in self.answers for argument in ("--tenant-answers", f"{name}={value}")]
        return (*lacking, *chosen)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options and, at the end of the help, the table of answers."""
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=permissions.GRANTED,
        metavar="PERMISSION",
        help=WITHOUT_HELP,
    )
    parser.add_argument(
        "--tenant-answers",
        action="append",
        default=[],
        type=_answer,
        metavar="NAME=VALUE",
        help=ANSWERS_HELP,
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = textwrap.fill(parser.description or "", _WIDTH)
    parser.epilog = _table()


def options_of(namespace: argparse.Namespace) -> TenantOptions:
    return TenantOptions(tuple(namespace.without), tuple(namespace.tenant_answers))


def answer_of(text: str) -> tuple[str, str]:
    """The name and the value of NAME=VALUE. Raises ValueError for what the table does not have."""
    name, _, value = text.partition("=")
    answers.check(name, value)
    return name, value


def _answer(text: str) -> tuple[str, str]:
    try:
        return answer_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _table() -> str:
    lines = ["tenant answers (NAME=VALUE, the default first):"]
    for choice in answers.CHOICES:
        lines.append(f"  {choice.name}={'|'.join(choice.values)}")
        lines += textwrap.wrap(choice.meaning, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
