"""``pidj suppressions``: who must not be texted."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import attrs
import click

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.cli.masking import suppression_summary
from pidj_async.cli.options import as_json, run_on_store, store_option, unmask_option
from pidj_async.cli.settings import shared_options

if TYPE_CHECKING:
    from pidj_async.store import Store
    from pidj_async.suppressions import ImportReport, Suppression, Suppressions

__all__ = ["suppressions"]


def _list_of(store: Store) -> Suppressions:
    from pidj_async.suppressions import Suppressions  # noqa: PLC0415  `pidj --help` needs no database

    return Suppressions(store)


def _add(*, phone_number: str, group_id: str | None, source: str, store_url: str | None) -> None:
    async def add(store: Store) -> tuple[Suppression, ...]:
        suppressions = _list_of(store)
        await suppressions.add(phone_number, group_id, source=source)
        return await suppressions.get(phone_number)

    _show(run_on_store(store_url, add, create=True), unmask=False)


def _remove(*, phone_number: str, group_id: str | None, source: str, store_url: str | None) -> None:
    async def remove(store: Store) -> tuple[Suppression, ...]:
        suppressions = _list_of(store)
        await suppressions.remove(phone_number, group_id, source=source)
        return await suppressions.get(phone_number)

    _show(run_on_store(store_url, remove), unmask=False)


def _show_number(*, phone_number: str, store_url: str | None, unmask: bool) -> None:
    async def find(store: Store) -> tuple[Suppression, ...]:
        return await _list_of(store).get(phone_number)

    _show(run_on_store(store_url, find), unmask=unmask)


def _list(*, group_id: str | None, lifted: bool, store_url: str | None, unmask: bool) -> None:
    async def find(store: Store) -> list[Suppression]:
        return [each async for each in _list_of(store).list(group_id=group_id, lifted=lifted)]

    _show(run_on_store(store_url, find), unmask=unmask)


def _show(entries: list[Suppression] | tuple[Suppression, ...], *, unmask: bool) -> None:
    from pidj_async.cli.output import show_records, write_json  # noqa: PLC0415  `pidj --help` shows no results

    shown = [suppression_summary(each, unmask=unmask) for each in entries]
    if as_json():
        write_json(shown)
    else:
        show_records(shown, nothing="Nobody.")


def _import(*, file: str, group_id: str | None, source: str, store_url: str | None) -> int:
    async def read(store: Store) -> ImportReport:
        with _opened(file, "r") as lines:
            return await _list_of(store).import_(lines, group_id, source=source)

    try:
        report = run_on_store(store_url, read, create=True)
    except (UnicodeError, csv.Error) as error:
        msg = f"{file} is no CSV in UTF-8: {error}"
        raise click.UsageError(msg) from None

    from pidj_async.cli.output import write_json  # noqa: PLC0415

    if as_json():
        write_json(attrs.asdict(report))
    else:
        click.echo(f"{report.added} added, {report.unchanged} were on the list already.")
        for each in report.rejected:
            click.echo(f"line {each.line} was left out: {mask_phone_numbers_in(each.problem)}", err=True)
    if report.rejected and not as_json():
        click.echo("Those lines are not on the list. Mend them, and import the file again.", err=True)
    return 2 if report.rejected else 0


def _export(*, file: str, store_url: str | None) -> None:
    if as_json() and file == _STREAM:
        msg = "with --json, standard output is JSON; export to a file"
        raise click.UsageError(msg)

    async def write(store: Store) -> int:
        with _opened(file, "w") as target:
            return await _list_of(store).export(target)

    count = run_on_store(store_url, write)
    if as_json():
        from pidj_async.cli.output import write_json  # noqa: PLC0415

        write_json({"exported": count})
    else:
        click.echo(f"{count} exported.", err=True)


_STREAM = "-"
_ENCODING = {"r": "utf-8-sig", "w": "utf-8"}  # spreadsheets begin a file with a byte order mark


@contextmanager
def _opened(file: str, mode: Literal["r", "w"]) -> Generator[TextIO]:
    if file == _STREAM:
        binary = sys.stdin.buffer if mode == "r" else sys.stdout.buffer
        stream = io.TextIOWrapper(binary, encoding=_ENCODING[mode], newline="")
        try:
            yield stream
        finally:
            stream.detach()  # it flushes, and leaves open what is not ours
        return
    try:
        opened = Path(file).open(  # noqa: SIM115  what goes wrong below is not this
            mode, encoding=_ENCODING[mode], newline=""
        )
    except OSError as error:
        msg = f"{file}: {error.strerror}"
        raise click.UsageError(msg) from error
    with opened:
        yield opened


def _command(name: str, callback: Callable[..., object], help: str, *params: click.Parameter) -> click.Command:
    shared = [store_option(), *shared_options(before_command=False, connection=False)]
    return click.Command(name, callback=callback, help=help, params=[*params, *shared])


def _group_option(what: str) -> click.Option:
    return click.Option(["--group-id"], metavar="ID", help=what)


def _source_option(default: str) -> click.Option:
    return click.Option(["--source"], default=default, show_default=True, help="Who says so, at most 40 characters.")


_NUMBER = click.Argument(["phone_number"], metavar="PHONE_NUMBER")
_FILE = click.Argument(["file"], metavar="FILE")
_SCOPE = "Only for this group (gr:…); the whole account if left out."

suppressions = click.Group(
    "suppressions",
    short_help="Who must not be texted: add, remove, show, list, import, export.",
    help="The suppression list: who must not be texted.\n\n"
    "Opt-outs that come in are put on it by 'pidj webhooks serve'. Numbers are in E.164 format.",
    commands=[
        _command("add", _add, "Put a number on the list.", _NUMBER, _group_option(_SCOPE), _source_option("manual")),
        _command(
            "remove",
            _remove,
            "Lift a suppression.\n\nWhat counts for the account and what counts for a group are lifted separately.",
            _NUMBER,
            _group_option("As it was added."),
            _source_option("manual"),
        ),
        _command(
            "show",
            _show_number,
            "Show all that the list has about a number, lifted suppressions included.",
            _NUMBER,
            unmask_option("Show the number."),
        ),
        _command(
            "list",
            _list,
            "List who is suppressed, in order of number.",
            _group_option("Only what counts for this group by name."),
            click.Option(["--lifted"], is_flag=True, help="Also what was lifted."),
            unmask_option("Show the numbers."),
        ),
        _command(
            "import",
            _import,
            "Put the numbers of a CSV on the list; - is standard input.\n\nThe first line is a heading with "
            "phone_number in it, and maybe group_id and source. Lines that cannot be read are left out and told; the "
            "exit code is 2 then.",
            _FILE,
            _group_option("What lines without a group count for; the whole account if left out."),
            _source_option("import"),
        ),
        _command(
            "export",
            _export,
            "Write the list, numbers whole, as a CSV that 'import' reads; - is standard output.",
            _FILE,
        ),
    ],
)
"""The group."""
