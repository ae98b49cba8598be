"""The options that several of the commands around webhooks and the store have, and what they stand for."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pidj_async.cli.settings import STORE_VARIABLE, WEBHOOK_SECRET_VARIABLE, Settings
from pidj_async.errors import ConfigurationError

if TYPE_CHECKING:
    from pidj_async.store import Store
    from pidj_async.webhooks.dispatcher import Dispatcher

__all__ = [
    "Moment",
    "as_json",
    "database_file",
    "insecure_option",
    "load_dispatcher",
    "open_store",
    "port_option",
    "run_on_store",
    "secret_option",
    "secrets_of_variable",
    "shown_store",
    "store_option",
    "unmask_option",
    "webhook_secrets",
    "worker_options",
]

R = TypeVar("R")

_SHORTEST_OF_SEVERAL = 16


def as_json() -> bool:
    """Say whether the reader of the current command is a program."""
    return click.get_current_context().ensure_object(Settings).as_json


def unmask_option(what: str = "Show people's numbers, names and messages.") -> click.Option:
    """Make ``--unmask``."""
    return click.Option(["--unmask"], is_flag=True, help=what)


# --- the store ----------------------------------------------------------------------------------------------------


def store_option() -> click.Option:
    """Make ``--store``."""
    return click.Option(
        ["--store", "store_url"],
        metavar="URL",
        envvar=STORE_VARIABLE,
        show_envvar=True,
        help="sqlite:///PATH or postgresql://…; sqlite:///pidj.db if left out.",
    )


def open_store(url: str | None, *, create: bool) -> Store:
    """Make the store of ``--store``.

    Args:
        url: The option's value.
        create: Make it, if it is not there.

    Raises:
        ConfigurationError: The URL cannot be used, an extra is missing, or there is no such file.
    """
    from pidj_async.store import Store  # noqa: PLC0415  `pidj --help` needs no database

    store = Store(url, create=create)
    if not create and (path := database_file(url)) is not None and not path.exists():
        # SQLite would make an empty file.
        msg = f"there is no store at {path}; 'pidj store init' makes one, and so does 'pidj webhooks serve'"
        raise ConfigurationError(msg)
    return store


def shown_store(store: Store) -> str:
    """Return the URL of a store without its password."""
    return repr(store).removeprefix("<Store ").removesuffix(">")


def database_file(url: str | None) -> Path | None:
    """Return the file of a store on SQLite; ``None`` of another one."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    from pidj_async.store.database import DEFAULT_URL  # noqa: PLC0415

    parsed = make_url(url or DEFAULT_URL)
    path = parsed.database or ""
    return Path(path) if parsed.drivername.startswith("sqlite") and not path.startswith("file:") else None


def run_on_store(url: str | None, work: Callable[[Store], Awaitable[R]], *, create: bool = False) -> R:
    """Open the store of ``--store``, do something with it, and close it.

    Args:
        url: The option's value.
        work: What to do.
        create: Make the store, if it is not there.

    Raises:
        PidjError: As `open_store`, and whatever `work` raises.
    """
    store = open_store(url, create=create)

    import anyio  # noqa: PLC0415  `pidj --help` waits for nothing

    async def run() -> R:
        async with store:
            return await work(store)

    return anyio.run(run)


# --- who may post -------------------------------------------------------------------------------------------------


def port_option() -> click.Option:
    """Make ``--port``."""
    return click.Option(
        ["--port"],
        type=click.IntRange(0, 65_535),
        default=8030,
        show_default=True,
        help="The port; 0 for any that is free.",
    )


def secret_option(*, several: bool) -> click.Option:
    """Make ``--secret``; `webhook_secrets` sees to the environment."""
    repeated = " May be repeated: all of them are valid then." if several else ""
    return click.Option(
        ["--secret", "secrets"],
        multiple=several,
        metavar="TEXT",
        help="The secret of the webhook URL. Options are visible to everybody on this machine: prefer "
        f"{WEBHOOK_SECRET_VARIABLE}.{repeated}",
    )


def insecure_option() -> click.Option:
    """Make ``--insecure``."""
    return click.Option(["--insecure"], is_flag=True, help="Take events without a secret, from anybody.")


def webhook_secrets(given: tuple[str, ...], *, insecure: bool) -> tuple[str, ...] | None:
    """Return the secrets of the options, else those of the environment; ``None`` with ``--insecure``.

    Raises:
        ConfigurationError: There is none, or one where there must be none.
    """
    variable = os.environ.get(WEBHOOK_SECRET_VARIABLE, "")
    found = given or secrets_of_variable(variable)
    if insecure:
        if found:
            where = "--secret" if given else WEBHOOK_SECRET_VARIABLE
            msg = f"--insecure and {where} contradict each other; leave one of them out"
            raise ConfigurationError(msg)
        return None
    if not found:
        msg = (
            f"no secret: set {WEBHOOK_SECRET_VARIABLE} in the environment, or pass --secret; 'pidj webhooks secret' "
            "makes one. --insecure does without"
        )
        raise ConfigurationError(msg)
    return found


def secrets_of_variable(text: str) -> tuple[str, ...]:
    """Read one secret, or several that are separated by blanks.

    Raises:
        ConfigurationError: One of several is short, so that it is rather a word of a sentence.
    """
    found = tuple(text.split())
    if len(found) > 1 and any(len(each) < _SHORTEST_OF_SEVERAL for each in found):
        msg = (
            f"{WEBHOOK_SECRET_VARIABLE} has blanks in it, so it holds several secrets, and one of them is shorter than "
            f"{_SHORTEST_OF_SEVERAL} characters; pass a secret with blanks as --secret"
        )
        raise ConfigurationError(msg)
    return found


# --- whose handlers -----------------------------------------------------------------------------------------------


def worker_options() -> list[click.Parameter]:
    """Make the options of whatever handles events of an inbox."""
    return [
        click.Option(
            ["--concurrency"],
            type=click.IntRange(1, 10_000),
            default=16,
            show_default=True,
            help="How many events to handle at once.",
        ),
        click.Option(
            ["--max-attempts"],
            type=click.IntRange(1, 1_000),
            default=8,
            show_default=True,
            help="How often an event is tried before it is dead.",
        ),
        click.Option(["--skip-duplicates"], is_flag=True, help="Do not handle probable duplicates."),
    ]


def load_dispatcher(name: str) -> Dispatcher:
    """Import a dispatcher; modules are looked for in the current directory, too.

    Args:
        name: Such as ``"shop.texts:dispatcher"``.

    Raises:
        ConfigurationError: There is no such thing, or its module cannot be imported.
    """
    import sys  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    from pidj_async.webhooks.dispatcher import Dispatcher  # noqa: PLC0415  `pidj --help` handles nothing

    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        msg = f"APP is a module and a name in it, such as shop.texts:dispatcher; got {name!r}"
        raise ConfigurationError(msg)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            msg = f"there is no module {error.name}, neither here ({here}) nor among the installed ones"
            raise ConfigurationError(msg) from None
        msg = f"the module {module_name} cannot be imported:\n{traceback.format_exc()}"
        raise ConfigurationError(msg) from error
    for part in path.split("."):
        if not hasattr(found, part):
            msg = f"there is no {path} in the module {module_name}"
            raise ConfigurationError(msg)
        found = getattr(found, part)
    if not isinstance(found, Dispatcher):
        msg = f"{name} must be a Dispatcher, not {type(found).__name__}"
        raise ConfigurationError(msg)
    return found


# --- when ---------------------------------------------------------------------------------------------------------

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


if TYPE_CHECKING:
    _ParamType = click.ParamType[datetime]
else:  # older versions of click have nothing to fill in
    _ParamType = click.ParamType


class Moment(_ParamType):
    """A time: ISO 8601, of this machine's zone unless it names one, or how long ago it was.

    Args:
        ago: Whether ``2h``, for two hours ago, is one.
    """

    name = "time"

    def __init__(self, *, ago: bool = True) -> None:
        self._ago = ago

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Say what to write."""
        return "TIME"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> datetime:
        """Read a time."""
        if isinstance(value, datetime):
            return value
        try:
            if self._ago and (match := _AGO.match(value.strip())):
                return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError, OSError):
            ago = ", or 2h for two hours ago" if self._ago else ""
            self.fail(f"{value!r} is no time; write 2026-01-31T18:00 or 2026-01-31T18:00+01:00{ago}")
