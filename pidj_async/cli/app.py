"""The command ``pidj`` itself: what it consists of, and how it ends."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NoReturn

import click

from pidj_async._masking import mask_phone_numbers_in, redact
from pidj_async._version import __version__
from pidj_async.cli.calls import CallCommand, namespaces, root_calls
from pidj_async.cli.exits import (
    BROKEN_PIPE,
    EXIT_CODES,
    INTERRUPTED,
    Interrupted,
    exit_code_of,
    report_of,
)
from pidj_async.cli.settings import Settings, secrets_in, shared_options
from pidj_async.errors import PidjError

__all__ = ["Program", "pidj"]

_HELP = """Pidj's texting API on the command line.

Every call of the API is a command: 'pidj contacts get co:…', 'pidj messages send --to-number … --text-body …
--group-id …'. 'pidj demo' shows the whole product in less than a minute, without an account."""


def _sandbox() -> click.Command:
    from pidj_async.cli.sandbox import sandbox  # noqa: PLC0415  loaded when asked for

    return sandbox


def _demo() -> click.Command:
    from pidj_async.cli.demo import demo  # noqa: PLC0415  loaded when asked for

    return demo


def _campaign() -> click.Command:
    from pidj_async.cli.campaign import campaign  # noqa: PLC0415  loaded when asked for

    return campaign


def _webhooks() -> click.Command:
    from pidj_async.cli.webhooks import webhooks  # noqa: PLC0415  loaded when asked for

    return webhooks


def _worker() -> click.Command:
    from pidj_async.cli.webhooks_serve import worker  # noqa: PLC0415  loaded when asked for

    return worker


def _suppressions() -> click.Command:
    from pidj_async.cli.suppressions import suppressions  # noqa: PLC0415  loaded when asked for

    return suppressions


def _store() -> click.Command:
    from pidj_async.cli.store import store  # noqa: PLC0415  loaded when asked for

    return store


_SECTIONS: dict[str, dict[str, Callable[[], click.Command]]] = {
    "Campaigns": {"campaign": _campaign},
    "Webhooks and the store": {
        "webhooks": _webhooks,
        "worker": _worker,
        "suppressions": _suppressions,
        "store": _store,
    },
    "To try things out": {"sandbox": _sandbox, "demo": _demo},
}
_OTHERS = {name: make for section in _SECTIONS.values() for name, make in section.items()}


class Program(click.Group):
    """The calls by namespace, and whatever else there is; each is made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands: the table's first, in its order."""
        return [*namespaces(), *root_calls(), *_OTHERS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Make a command."""
        if cmd_name in _OTHERS:
            return _OTHERS[cmd_name]()
        rows = root_calls()
        return CallCommand(rows[cmd_name]) if cmd_name in rows else namespaces().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, by what they are for."""
        sections = {"Calls of the API": [*namespaces(), *root_calls()]} | {
            title: list(commands) for title, commands in _SECTIONS.items()
        }
        for title, names in sections.items():
            with formatter.section(title):
                found = {name: self.get_command(ctx, name) for name in names}
                longest = max(map(len, self.list_commands(ctx)))
                room = formatter.width - 6 - longest
                # All names of one width, so that the sections stand below one another.
                rows = [(name.ljust(longest), one.get_short_help_str(room)) for name, one in found.items() if one]
                formatter.write_dl(rows)

    # Click would end a program whose reader has gone with 1, like one that failed. Both places where it writes:

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options before the command; ``--help`` is answered here."""
        with _noticing_who_reads():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _noticing_who_reads():
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write what the exit codes mean."""
        with formatter.section("Exit codes"):
            in_order = sorted(EXIT_CODES, key=lambda one: one.code)
            formatter.write_dl([(str(each.code), each.meaning) for each in in_order])

    def main(  # type: ignore[override]  # it never returns
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command line, say how it went, and exit.

        Args:
            args: The arguments; those of this process, if left out.
            prog_name: What the program is called in its help.
            extra: As click takes it.
        """
        arguments = list(sys.argv[1:] if args is None else args)
        settings = Settings(secrets=secrets_in(arguments))
        # Click would end the process in its own ways, and expand asterisks in messages on Windows.
        extra |= {"standalone_mode": False, "windows_expand_args": False, "obj": settings}
        run = super().main
        sys.exit(_ended(lambda: run(arguments, prog_name, **extra), settings, arguments))


class _ReaderGoneError(Exception):
    """Nobody reads the output any more."""


@contextlib.contextmanager
def _noticing_who_reads() -> Generator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderGoneError from error


def _ended(run: Callable[[], Any], settings: Settings, arguments: Sequence[str]) -> int:
    """Run a command line, and turn whatever comes of it into words and a code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a letter shows its number; a traceback helps nobody.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = run()
        sys.stdout.flush()
    except (_ReaderGoneError, BrokenPipeError):
        _discard_output()
        return BROKEN_PIPE
    except (Interrupted, click.Abort, KeyboardInterrupt) as error:
        interrupted = error if isinstance(error, Interrupted) else Interrupted()
        report = {"type": "Interrupted", "message": str(interrupted), "exit_code": INTERRUPTED}
        if interrupted.started is not None:
            report |= {"endpoint": interrupted.endpoint, "outcome": "unknown" if interrupted.started else "not_sent"}
        _say(f"pidj: {interrupted}", report, settings)
        return INTERRUPTED
    except click.ClickException as error:
        # What failed to be parsed has set nothing.
        settings.as_json = settings.as_json or "--json" in arguments
        _say_usage(error, settings)
        return 2
    except PidjError as error:
        _say(f"pidj: {error}", report_of(error), settings)
        return exit_code_of(error)
    except ModuleNotFoundError:
        raise  # `main` tells what to install
    except Exception as error:  # noqa: BLE001  a bug of ours, and its text may hold anything
        message = f"{type(error).__name__}: {error}"
        _say(traceback.format_exc(), {"type": "InternalError", "message": message, "exit_code": 1}, settings)
        return 1
    return code if isinstance(code, int) else 0


def _say(text: str, report: dict[str, Any], settings: Settings) -> None:
    if settings.as_json:
        from pidj_async.cli.output import write_json  # noqa: PLC0415  nothing went wrong so far

        write_json({"error": _redacted(report, settings.secrets)}, to_stderr=True)
    else:
        click.echo(redact(text, settings.secrets).rstrip(), err=True)


def _redacted(report: dict[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    return {name: redact(value, secrets) if isinstance(value, str) else value for name, value in report.items()}


def _say_usage(error: click.ClickException, settings: Settings) -> None:
    shown = io.StringIO()
    error.show(file=shown)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(shown.getvalue().rstrip(), err=True)
        return
    # What was typed in the wrong place may have been somebody's number.
    message = mask_phone_numbers_in(error.format_message())
    report = {"type": "UsageError", "message": message, "exit_code": 2, "outcome": "not_sent"}
    _say(mask_phone_numbers_in(shown.getvalue()), report, settings)


def _discard_output() -> None:
    """Make sure that nobody complains of the closed pipe once more, when the interpreter flushes at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  as click calls it
    if value and not ctx.resilient_parsing:
        click.echo(f"pidj {__version__}")
        ctx.exit()


pidj = Program(
    "pidj",
    help=_HELP,
    params=[
        *shared_options(before_command=True),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        ),
    ],
)
"""The command."""
