"""The options that several campaign commands have, and what they stand for."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

__all__ = ["Price", "check_somebody_is_there", "concurrency_option", "id_argument", "yes_option"]


def id_argument() -> click.Argument:
    """Make ``ID``."""
    return click.Argument(["id"], metavar="ID")


def yes_option(help: str) -> click.Option:
    """Make ``--yes``."""
    return click.Option(["--yes"], is_flag=True, help=help)


def concurrency_option(help: str, default: int | None = None) -> click.Option:
    """Make ``--concurrency``."""
    return click.Option(
        ["--concurrency"],
        type=click.IntRange(1, 1_000),  # the transport has no more connections
        default=default,
        show_default=default is not None,
        help=f"How many texts may be under way at a time{help}",
    )


def check_somebody_is_there(*, yes: bool) -> None:
    """Make sure that there is somebody to be asked, or nobody is to be.

    Args:
        yes: ``--yes``.

    Raises:
        click.UsageError: Standard input is no terminal.
    """
    if not yes and not _somebody_is_there():
        msg = "nobody is there to be asked, since standard input is no terminal; pass --yes to go ahead without asking"
        raise click.UsageError(msg)


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


if TYPE_CHECKING:
    _ParamType = click.ParamType[Decimal]
else:  # older versions of click have nothing to fill in
    _ParamType = click.ParamType


class Price(_ParamType):
    """An amount of money, in any currency."""

    name = "price"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Say what to write."""
        return "PRICE"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Decimal:
        """Read a price."""
        try:
            price = Decimal(value)
        except InvalidOperation:
            price = Decimal("NaN")
        if not (price.is_finite() and price >= 0):
            self.fail(f"{value!r} is no price; write 0.0075")
        return price
