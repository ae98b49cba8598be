"""``pidj suppressions``: who must not be texted."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import attrs
import click

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


def _import(*, file: TextIO, group_id: str | None, source: str, store_url: str | None) -> int:
    async def read(store: Store) -> ImportReport:
        return await _list_of(store).import_(file, group_id, source=source)

    report = run_on_store(store_url, read, create=True)

    from pidj_async.cli.output import write_json  # noqa: PLC0415

    if as_json():
        write_json(attrs.asdict(report))
    else:
        click.echo(f"{report.added} added, {report.unchanged} were on the list already.")
        for each in report.rejected:
            click.echo(f"line {each.line} was left out: {each.problem}", err=True)
        if report.rejected:
            click.echo(f"{len(report.rejected)} lines were left out. Mend them, and import the file again.", err=True)
    return 2 if report.rejected else 0


def _export(*, file: TextIO, store_url: str | None) -> None:
    async def write(store: Store) -> int:
        return await _list_of(store).export(file)

    count = run_on_store(store_url, write)
    file.flush()
    if as_json() and file is not sys.stdout:
        from pidj_async.cli.output import write_json  # noqa: PLC0415

        write_json({"exported": count})
    else:
        click.echo(f"{count} exported.", err=True)
