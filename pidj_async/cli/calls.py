"""One command per row of the endpoint table: ``pidj contacts get`` is ``pidj.contacts.get``.

Nothing here names a call: a new row is a new command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pidj_async.cli.exits import Interrupted
from pidj_async.cli.fields import field_parameters, in_words_of_the_command, values_of, words_of
from pidj_async.cli.settings import Settings, shared_options
from pidj_async.endpoints import TABLE
from pidj_async.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pidj_async._endpoint import Endpoint
    from pidj_async._fields import Request
    from pidj_async.client import Pidj

__all__ = ["CallCommand", "CallGroup", "command_name", "namespaces", "root_calls"]


def command_name(name: str) -> str:
    """``get_by_phone`` -> ``get-by-phone``."""
    return name.replace("_", "-")


def namespaces() -> dict[str, CallGroup]:
    """Return a group of commands per namespace of the client, in the order of the table."""
    names = dict.fromkeys(row.namespace for row in TABLE if row.namespace is not None)
    return {name: CallGroup(name, tuple(row for row in TABLE if row.namespace == name)) for name in names}


def root_calls() -> dict[str, Endpoint[Any]]:
    """Return the rows that are calls on the client itself, by their command's name."""
    return {command_name(row.name): row for row in TABLE if row.namespace is None}


class CallGroup(click.Group):
    """The calls of one namespace. A command is made when it is asked for."""

    def __init__(self, name: str, rows: tuple[Endpoint[Any], ...]) -> None:
        self._rows = {command_name(row.method_name): row for row in rows}
        listed = ", ".join(self._rows)
        super().__init__(command_name(name), help=f"The calls of pidj.{name}.", short_help=listed)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the calls, in the order of the table."""
        return list(self._rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Make a call's command."""
        return CallCommand(self._rows[cmd_name]) if cmd_name in self._rows else None


class CallCommand(click.Command):
    """The command of one row."""

    def __init__(self, row: Endpoint[Any]) -> None:
        self.row = row
        words = words_of(row)
        text = words.text
        if not row.safe_to_repeat:
            text += "\n\nNot safe to repeat: when the outcome is unknown (exit code 7) it is not tried again by itself."
        super().__init__(
            command_name(row.method_name),
            help=text,
            short_help=words.summary,
            params=field_parameters(row),
            callback=self._run,
        )
        self._shared = shared_options(before_command=False)
        self.params.extend(self._shared)

    def _run(self, **given: Any) -> None:
        settings = click.get_current_context().ensure_object(Settings)
        try:
            request = self.row.request(**values_of(self.row, given))
        except InvalidRequestError as error:
            raise in_words_of_the_command(self.row, error) from None
        from pidj_async.cli import output  # noqa: PLC0415  `pidj --help` shows no results

        if not self.row.streamed:
            output.show_result(self.row, _call(self.row, request, settings), as_json=settings.as_json)
        elif settings.as_json:
            # As it arrives: there may be more of it than memory.
            array = output.JsonArray()
            _stream(self.row, request, settings, lambda one: array.add(output.as_data(one)))
            array.end()
        else:
            found: list[Any] = []
            _stream(self.row, request, settings, found.append)
            output.show_result(self.row, tuple(found), as_json=False)

    # Arguments are listed with their explanations: some supported versions of click list only options.

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing: `format_options` lists the arguments too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, the fields, and the options that every command has."""
        fields = words_of(self.row).fields
        arguments = [
            (each.name.upper(), fields.get(each.name, ""))
            for each in self.params
            if isinstance(each, click.Argument) and each.name
        ]
        shared = {id(each) for each in self._shared}
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for each in self.get_params(ctx):
            if isinstance(each, click.Option) and (record := each.get_help_record(ctx)):
                is_common = id(each) in shared or each.name == "help"
                (common if is_common else own).append(record)
        for title, records in (("Arguments", arguments), ("Options", own), ("Options of every call", common)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _call(row: Endpoint[Any], request: Request[Any], settings: Settings) -> Any:
    """Carry out one request in an event loop of its own.

    Raises:
        Interrupted: Ctrl-C; it says whether anything was sent.
        PidjError: As `Pidj.execute`.
    """
    pidj = _client(settings)

    import anyio  # noqa: PLC0415  `pidj --help` calls nobody

    from pidj_async.transports.base import Progress  # noqa: PLC0415

    progress = Progress()

    async def execute() -> Any:
        async with pidj:
            return await pidj.execute(request, progress=progress)

    try:
        return anyio.run(execute)
    except KeyboardInterrupt:
        raise Interrupted(started=progress.request_started, endpoint=row.name) from None


def _stream(row: Endpoint[Any], request: Request[Any], settings: Settings, take: Callable[[Any], object]) -> None:
    """Carry out one request for many results in an event loop of its own, and hand over each as it arrives.

    Raises:
        Interrupted: Ctrl-C.
        PidjError: As `Pidj.stream`.
    """
    pidj = _client(settings)

    import anyio  # noqa: PLC0415  `pidj --help` calls nobody

    async def read() -> None:
        async with pidj, pidj.stream(request) as results:
            async for one in results:
                take(one)

    try:
        anyio.run(read)
    except KeyboardInterrupt:
        raise Interrupted(endpoint=row.name) from None


def _client(settings: Settings) -> Pidj:
    account_key, token, base_url = settings.credentials()

    from pidj_async.client import Pidj  # noqa: PLC0415  `pidj --help` calls nobody

    return Pidj(account_key=account_key, token=token, base_url=base_url, user_agent="pidj-cli")
