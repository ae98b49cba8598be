"""Results, for people as tables and for programs as JSON.

The rules:

1. What a call returned is shown whole, phone numbers included. Errors mask, and so does what shows webhooks and the
   suppression list, unless it was asked not to (`pidj_async.cli.masking`).
2. Nothing that Pidj answered can steer the terminal: control characters are shown as escapes.
3. JSON has one document. A known field has its name in Python, an unknown one the name it had on the wire, and if the
   two collide the unknown one goes under ``extra``.
4. Into a pipe, no line is wrapped or cut.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import attrs
import click

from pidj_async.models import Confirmation, Model, TextSent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pidj_async._endpoint import Endpoint

__all__ = ["JsonArray", "as_data", "console", "printable", "show_record", "show_records", "show_result", "write_json"]

_UNWRAPPED = 10_000
_NOTHING: Sequence[Any] = (None, "", [], {})  # what a table for people leaves out


def as_data(value: Any) -> Any:
    """Turn a result into what JSON can hold."""
    if isinstance(value, Model):
        own = attrs.fields_dict(type(value))
        data = {name: as_data(getattr(value, name)) for name in own if name != "extra"}
        for name, unknown in value.extra.items():
            if data.get(name) in (None, []):
                data[name] = as_data(unknown)
            else:
                data.setdefault("extra", {})[name] = as_data(unknown)
        return data
    if isinstance(value, Mapping):
        return {str(key): as_data(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_data(one) for one in value]
    return value


def write_json(data: Any, *, to_stderr: bool = False) -> None:
    """Write one JSON document and a line feed."""
    click.echo(_json(data, sys.stderr if to_stderr else sys.stdout), err=to_stderr)


class JsonArray:
    """One JSON array on standard output, item by item, as `write_json` would write the whole.

    Nothing is written before the first item. If the items end with an error, the array has no end: half a document is
    no document.
    """

    def __init__(self) -> None:
        self._begun = False

    def add(self, item: Any) -> None:
        """Write an item."""
        text = _json(item, sys.stdout).replace("\n", "\n  ")
        sys.stdout.write(f"{',' if self._begun else '['}\n  {text}")
        self._begun = True

    def end(self) -> None:
        """Write the end."""
        click.echo("\n]" if self._begun else "[]")


def _json(data: Any, stream: TextIO) -> str:
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=2)
    return text


def printable(value: Any) -> str:
    """Write a value for a person; control characters, which could steer the terminal, as escapes."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)) and not any(isinstance(one, (Mapping, list, tuple)) for one in value):
        value = ", ".join(map(printable, value))
    if isinstance(value, (Mapping, list, tuple)):
        value = json.dumps(value, ensure_ascii=False)
    text = str(value)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)


def console() -> Console:
    """Make a Rich console on standard output; into a pipe, one that never wraps."""
    from rich.console import Console  # noqa: PLC0415  programs that ask for JSON pay nothing for it

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704  called while the BrokenPipeError is being handled: `app` knows what to do

    screen = QuietConsole(highlight=False)
    return screen if screen.is_terminal else QuietConsole(highlight=False, width=_UNWRAPPED)


def show_result(row: Endpoint[Any], result: Any, *, as_json: bool) -> None:
    """Write what a call returned to standard output."""
    if as_json:
        write_json(as_data(result))
    elif isinstance(result, tuple):
        show_records([as_data(one) for one in result], nothing=f"No {row.namespace}.")
    elif row.secret_reply:
        # Bare, so that it can be handed on without copying it by hand.
        click.echo(next(iter(as_data(result).values())))
    elif isinstance(result, (Confirmation, TextSent)) and not result.extra:
        click.echo(printable(result.message or result.status or "Done."))
    else:
        show_record(as_data(result))


def show_record(record: Mapping[str, Any]) -> None:
    """Write one record for a person, a field a line; what is empty is left out."""
    console().print(_details(record))


def _details(record: Mapping[str, Any]) -> Table:
    from rich.table import Table  # noqa: PLC0415  see `console`
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in record.items():
        if value not in _NOTHING:
            table.add_row(Text(printable(name)), Text(printable(value)))
    return table


def show_records(records: Sequence[Mapping[str, Any]], *, nothing: str) -> None:
    """Write records for a person: as a table, or as blocks where a table would not fit.

    Args:
        records: What to show.
        nothing: What to say if there are none.
    """
    from rich import box  # noqa: PLC0415  see `console`
    from rich.measure import Measurement  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    if not records:
        screen.print(nothing)
        return
    names = list(dict.fromkeys(name for one in records for name, value in one.items() if value not in _NOTHING))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(Text(printable(name)), overflow="fold")
    for one in records:
        table.add_row(*(Text(printable(one.get(name))) for name in names))
    wanted = Measurement.get(screen, screen.options.update(max_width=_UNWRAPPED), table).maximum
    if wanted <= screen.width:
        screen.print(table)
        return
    # Too wide for this terminal: squeezed columns cannot be read, so each record gets its own block.
    for number, one in enumerate(records):
        if number:
            screen.print()
        screen.print(_details(one))
