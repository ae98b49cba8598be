"""``pidj sandbox``: a Pidj on this machine, in the foreground."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from pidj_async.cli.settings import Settings, shared_options

if TYPE_CHECKING:
    from types import FrameType

    from pidj_async.sandbox import Sandbox

__all__ = ["CONTROLS", "sandbox"]

CONTROLS = (
    ("POST", "receive-text", "phone_from, message, phone_to?, group?", "somebody texts a group; STOP opts them out"),
    ("POST", "close-task", "task_id", "a user closes a task"),
    ("POST", "restore-contact", "contact_id", "a user brings a contact back"),
    ("POST", "fail", "row_name, status?, retry_after?, times?, drop?, after_acting?", "the next calls of a row fail"),
    ("POST", "drain", "timeout?", "wait until every webhook is delivered"),
    ("POST", "reset", "", "start over"),
    ("GET", "texts", "", "the texts that were sent"),
    ("GET", "deliveries", "", "the webhooks, and what became of them"),
    ("GET", "state", "", "everything else"),
)
"""The controls of a running sandbox: verb, name, the fields of the JSON object they take, and what they do."""


def _sandbox(*, host: str, port: int, webhook_url: str | None, quiet: bool) -> None:
    settings = click.get_current_context().ensure_object(Settings)
    if "base_url" in settings.given:
        msg = "--base-url is for calls; a sandbox makes its own from --host and --port"
        raise click.UsageError(msg)

    from pidj_async.sandbox import Sandbox  # noqa: PLC0415  `pidj --help` starts no server

    server = Sandbox(
        host=host,
        port=port,
        account_key=settings.account_key,
        token=settings.token,
        webhook_url=webhook_url,
        access_log=not quiet,
    )
    if not quiet:
        _log_calls()
    with _stop_signals() as stopped, server:
        _introduce(server, settings)
        # Not simply `wait()`: on Windows that could not be interrupted.
        while not stopped.wait(0.5):
            pass
    if not settings.as_json:
        click.echo("Stopped.", err=True)


@contextmanager
def _stop_signals() -> Generator[threading.Event]:
    """Take Ctrl-C and SIGTERM as the wish to stop in good order."""
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log_calls() -> None:
    logger = logging.getLogger("pidj_async.sandbox")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _introduce(server: Sandbox, settings: Settings) -> None:
    from pidj_async.cli.output import console, write_json  # noqa: PLC0415  `pidj --help` shows no results
    from pidj_async.sandbox import seed  # noqa: PLC0415

    # Somebody's own credentials are never shown; the sandbox's are no secret.
    own = {"account_key": settings.account_key, "token": settings.token}
    credentials = {name: getattr(server, name) if value is None else None for name, value in own.items()}
    if settings.as_json:
        write_json(
            {
                "url": server.url,
                "base_url": server.base_url,
                **credentials,
                "groups": [
                    {"group_id": one.id, "name": one.name, "phone_number": one.phone_number} for one in seed.GROUPS
                ],
                "series": [{"series_id": one.id, "name": one.name} for one in seed.SERIES],
                "surveys": [{"survey_id": one.id, "name": one.name} for one in seed.SURVEYS],
            }
        )
        sys.stdout.flush()
        return

    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    screen = console()

    def section(title: str, *rows: tuple[str, ...]) -> None:
        table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(*(Text("  " + cell if not place else cell) for place, cell in enumerate(row)))
        screen.print(Text(title, style="bold"))
        screen.print(table)
        screen.print()

    shown = {name: value or f"yours, from {_VARIABLES[name]} or the option" for name, value in credentials.items()}
    webhooks = _without_secret(server.webhook_url) if server.webhook_url else "kept, not delivered: no --webhook-url"
    section(
        "The sandbox is running. Ctrl-C stops it.",
        ("base URL", server.base_url),
        ("account key", shown["account_key"]),
        ("token", shown["token"]),
        ("webhooks", webhooks),
    )
    section("Groups", *((one.id, one.name, one.phone_number or "no number") for one in seed.GROUPS))
    section("Series and surveys", *((one.id, one.name) for one in (*seed.SERIES, *seed.SURVEYS)))
    section(f"Controls, below {server.url}/_sandbox/", *_controls())

    user = f"{_shell('account_key', credentials)}:{_shell('token', credentials)}"
    screen.print(Text("Try", style="bold"))
    # Not through the console: these lines are to be copied, and must not be wrapped. A plus in a form is a blank.
    click.echo(
        f'  curl -u "{user}" --data-urlencode to_number=+18885553333 -d text_body=Hi \\\n'
        f"    -d group_id={server.group_id} {server.base_url}/send\n"
        f"""  curl -d '{{"phone_from": "+18885553333", "message": "STOP"}}' {server.url}/_sandbox/receive-text\n"""
    )
    sys.stdout.flush()


def _controls() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for verb, name, takes, what in CONTROLS:
        rows.append((verb, name, what))
        if takes:
            rows.append(("", "", f"{{{takes}}}"))
    return rows


_VARIABLES = {"account_key": "PIDJ_ACCOUNT_KEY", "token": "PIDJ_TOKEN"}


def _shell(name: str, credentials: dict[str, Any]) -> str:
    return credentials[name] or f"${_VARIABLES[name]}"


def _without_secret(url: str) -> str:
    """Say where webhooks go; path, query and user may hold the secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}/…"


sandbox = click.Command(
    "sandbox",
    callback=_sandbox,
    short_help="Run a Pidj of your own on this machine.",
    help="Run a Pidj of your own on this machine, until Ctrl-C or SIGTERM.\n\n"
    "It takes the credentials of PIDJ_ACCOUNT_KEY and PIDJ_TOKEN or the options; 'sandbox' for both if there are none. "
    "What it knows is gone when it ends.",
    params=[
        click.Option(["--host"], default="127.0.0.1", show_default=True, help="Where to listen, on loopback only."),
        click.Option(
            ["--port"],
            type=click.IntRange(0, 65_535),
            default=8020,
            show_default=True,
            help="The port; 0 for any that is free.",
        ),
        click.Option(["--webhook-url"], metavar="URL", help="Where to deliver webhooks; only kept if left out."),
        click.Option(["--quiet"], is_flag=True, help="Do not log the calls on standard error."),
        *shared_options(before_command=False, connection=False),
    ],
)
"""The command."""
