"""``pidj store``: the database that the inbox, the suppression list and the campaigns are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pidj_async.cli.options import as_json, open_store, run_on_store, shown_store, store_option
from pidj_async.cli.settings import shared_options

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pidj_async.store import Store

__all__ = ["store"]


def _make(*, store_url: str | None) -> None:
    from pidj_async.store import Store  # noqa: PLC0415  `pidj --help` needs no database

    async def check(_: Store) -> None:
        """Opening it was all."""

    run_on_store(store_url, check, create=True)
    _tell(_description(Store(store_url)) | {"version": _version()})


def _check(*, store_url: str | None) -> None:
    made = open_store(store_url, create=False)
    found = run_on_store(store_url, _look)
    _tell(_description(made) | {"version": _version()} | found)


async def _look(store: Store) -> dict[str, Any]:
    from pidj_async.errors import StoreError  # noqa: PLC0415
    from pidj_async.suppressions import Suppressions  # noqa: PLC0415
    from pidj_async.webhooks.inbox import Inbox  # noqa: PLC0415

    if store.is_sqlite and (problems := await store.read(_damage)):
        msg = f"the store is damaged: {problems[0]}"
        raise StoreError(msg)
    await store.write(_write_nothing)
    counts = await Inbox(store).counts()
    return {
        "events": {state: count for state, count in counts.items() if count},
        "suppressed": await Suppressions(store).count(),
    }


def _copy(*, from_url: str, to_url: str) -> None:
    async def work(source: Store) -> dict[str, Any]:
        from pidj_async.store import Store  # noqa: PLC0415  see `_make`
        from pidj_async.store.copying import copy_store  # noqa: PLC0415

        async with Store(to_url) as target:
            copied = await copy_store(source, target)
            return {"from": shown_store(source), "to": shown_store(target), "copied": copied}

    done = run_on_store(from_url, work)

    from pidj_async.cli.output import show_record, write_json  # noqa: PLC0415

    if as_json():
        write_json(done)
    else:
        show_record({name: f"{count:,}" for name, count in done["copied"].items()})
        click.echo(f"{done['to']} has everything now that {done['from']} has. Point --store or PIDJ_STORE to it.")


def _damage(connection: Connection) -> list[str]:
    found = connection.exec_driver_sql("PRAGMA quick_check").scalars()
    return [each for each in found if each != "ok"]


def _write_nothing(connection: Connection) -> None:
    """Take the right to write: a file that may only be read refuses that."""
    connection.exec_driver_sql("UPDATE pidj_meta SET value = value")


def _version() -> int:
    from pidj_async.store.schema import VERSION  # noqa: PLC0415

    return VERSION


def _description(store: Store) -> dict[str, Any]:
    return {"store": shown_store(store)}


def _tell(record: dict[str, Any]) -> None:
    from pidj_async.cli.output import show_record, write_json  # noqa: PLC0415

    if as_json():
        write_json(record)
    else:
        show_record(record)


def _command(name: str, help: str, *, checks: bool = False) -> click.Command:
    shared = shared_options(before_command=False, connection=False)
    return click.Command(name, callback=_check if checks else _make, help=help, params=[store_option(), *shared])


store = click.Group(
    "store",
    short_help="The database behind all of it: init, upgrade, check, copy.",
    help="The database behind inbox, suppression list and campaigns: SQLite, or PostgreSQL for several machines.",
    commands=[
        _command("init", "Make the tables. It does no harm if they are there."),
        _command("upgrade", "Bring the tables to the version of this package, and make them if there are none."),
        _command("check", "Make sure that the store can be read and written, and is not damaged.", checks=True),
        click.Command(
            "copy",
            callback=_copy,
            help="Copy everything from one store into another one, which must be empty.\n\nFROM and TO are URLs: "
            "sqlite:///PATH or postgresql://…. Stop whatever uses FROM before; if somebody does all the same, nothing "
            "is copied. A password is better left out of the URL, where others can see it, and put into PGPASSWORD.",
            params=[
                click.Argument(["from_url"], metavar="FROM"),
                click.Argument(["to_url"], metavar="TO"),
                *shared_options(before_command=False, connection=False),
            ],
        ),
    ],
)
"""The group."""
