"""For tests of programs that use this package: the rows of the table as mocks.

::

    async with MockPidj() as mock:
        sending = mock.route("messages.send")
        mock.route("contacts.list").respond(json=success("contacts.list", {"first_name": "Jo"}))
        await my_program(mock.pidj)
        assert sending.call_count == 1

Nothing here opens a socket. What comes back is what `pidj_async.sandbox` would answer, made by the same functions. For
a Pidj that remembers what it is told, use the sandbox itself. Mocks need the extra ``testing``, which brings respx.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import httpx

from pidj_async._masking import shorten
from pidj_async.client import Pidj
from pidj_async.endpoints import BY_NAME
from pidj_async.errors import ConfigurationError
from pidj_async.sandbox.handlers import HANDLERS
from pidj_async.sandbox.replies import refusal_envelope, success_envelope
from pidj_async.sandbox.seed import GROUP_ID, SERIES_ID, SURVEY_ID
from pidj_async.sandbox.state import State
from pidj_async.sansio import DEFAULT_BASE_URL, WireRequest, WireResponse
from pidj_async.transports.failures import Witness, transport_error
from pidj_async.transports.streaming import BodyStream, whole
from pidj_async.webhooks.samples import sample

if TYPE_CHECKING:
    import respx

    from pidj_async._endpoint import Endpoint
    from pidj_async.transports.base import Progress

__all__ = ["MockPidj", "mock_route", "refusal", "sample", "success"]


def success(row: str | Endpoint[Any], *items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Make the reply to a call that succeeded, whole and well-formed.

    Args:
        row: A row of the table, or its name.
        items: For calls that return many: each one's fields.
        fields: For all others: what the result shall say; named as the result names it.

    Returns:
        The envelope, ready for ``respond(json=...)``. What is not given is what the sandbox would say.

    Raises:
        TypeError: If there is no such row, or if it takes no items, or no fields.
    """
    row = _row(row)
    if (items and not row.many) or (fields and row.many):
        takes = "items, one dict for each" if row.many else "fields, by keyword"
        msg = f"the result of {row.name} is made of {takes}"
        raise TypeError(msg)
    example = _example(row)
    if row.many:
        content: Any = [{**example[0], **item} for item in items] if items else example
    else:
        content = {**(example or {}), **fields}
    return success_envelope(row, content)


def refusal(message: str = "No.", *, code: int = 422, status: str = "failure") -> dict[str, Any]:
    """Make the reply to a call that is refused. Respond with the same HTTP status as `code`.

    Args:
        message: The vendor's words.
        code: The envelope's ``code``.
        status: ``"failure"`` or ``"error"``.
    """
    return refusal_envelope(code, status, message)


def mock_route(
    router: respx.Router, row: str | Endpoint[Any], *, base_url: str = DEFAULT_BASE_URL, **values: Any
) -> respx.Route:
    """Make a respx route of a row. It answers as `success` does until told otherwise.

    It works on respx's own router too, because the default transport goes through httpcore:
    ``with respx.mock() as router: mock_route(router, "messages.send")``.

    Args:
        router: Where to add the route.
        row: A row of the table, or its name.
        base_url: The client's.
        values: Match only requests with these values; other fields may hold anything. ``None`` is a cleared field.

    Raises:
        TypeError: If there is no such row, or a value is none of its request's fields.
    """
    row = _row(row)
    parts = urlsplit(base_url)
    kinds = {field.name: field.kind for field in row.fields() if field.on_wire}
    if strangers := values.keys() - kinds.keys():
        msg = (
            f"{', '.join(sorted(strangers))}: not among the fields of {row.name} ({', '.join(kinds) or 'it has none'})"
        )
        raise TypeError(msg)
    wire_values = {name: "" if value is None else kinds[name].encode(value) for name, value in values.items()}
    path = re.escape(parts.path.rstrip("/"))
    for piece in re.split(r"(\{\w+\})", row.path):
        name = piece[1:-1]
        if not piece.startswith("{"):
            path += re.escape(piece)
        else:
            path += re.escape(wire_values.pop(name)) if name in wire_values else "[^/]+"
    lookups: dict[str, Any] = {
        "method__in": [row.method, *row.also],
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": parts.port or {"http": 80, "https": 443}[parts.scheme],
        "path__regex": f"^{path}$",
    }
    if wire_values:
        lookups["data__contains"] = wire_values
    # A route for any values is found again by its name; with values there may be several of the same row.
    route = router.route(name=None if values else row.name, **lookups)
    return route.respond(json=success(row))


class MockPidj:
    """A client whose requests end in mocks, on asyncio and trio.

    A route whose ``side_effect`` is one of httpx's errors fails as the real transport would: ``httpx.ConnectError``
    becomes `NotSentError`, ``httpx.ReadTimeout`` becomes `OutcomeUnknownError`. When the block ends without an error,
    every route must have been called.

    Args:
        base_url: The client's.
        assert_all_called: Whether a route that was never called is an error.

    Attributes:
        pidj: The client.
        router: The mocks, and under ``router.calls`` all that was requested.

    Raises:
        ConfigurationError: If the extra ``testing`` is not installed.
    """

    def __init__(self, *, base_url: str = DEFAULT_BASE_URL, assert_all_called: bool = True) -> None:
        try:
            import respx  # noqa: PLC0415  this module's other names are of use without it
        except ModuleNotFoundError as error:
            msg = 'mocks need respx: pip install "pidj-async[testing]"'
            raise ConfigurationError(msg) from error
        self._assert_all_called = assert_all_called
        self.router = respx.Router()
        self.pidj = Pidj(account_key="mock", token="mock", base_url=base_url, transport=_MockTransport(self.router))  # noqa: S106

    def route(self, row: str | Endpoint[Any], **values: Any) -> respx.Route:
        """Mock a row; see `mock_route`. The route is also ``router[NAME]``, if no values are given.

        Args:
            row: A row of the table, or its name.
            values: Match only requests with these values.

        Raises:
            TypeError: If there is no such row, or a value is none of its request's fields.
        """
        return mock_route(self.router, row, base_url=self.pidj.base_url, **values)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.pidj.aclose()
        if error is None and self._assert_all_called:
            self.router.assert_all_called()


class _MockTransport:
    """Carries requests to a router of mocks, and no further."""

    def __init__(self, router: respx.Router) -> None:
        self._router = router

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        outgoing = httpx.Request(request.method, request.url, headers=[*request.headers], content=request.content)
        try:
            response = await self._router.async_handler(outgoing)
            content = await response.aread()
        except httpx.TransportError as error:
            # Nothing is begun before a mock answers, so an error that comes before sending proves that nothing was.
            witness = Witness(traces=True)
            host = outgoing.url.host
            raise transport_error(
                error, host=host, progress=progress, witness=witness, call=request.endpoint
            ) from error
        progress.request_started = True
        headers = {name.lower(): value for name, value in response.headers.items()}
        return WireResponse(status_code=response.status_code, headers=headers, content=content)

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> BodyStream:
        return whole(await self.send(request, progress), max_bytes)

    async def aclose(self) -> None:
        """Nothing is open."""


def _row(row: str | Endpoint[Any]) -> Endpoint[Any]:
    if not isinstance(row, str):
        return row
    if row not in BY_NAME:
        msg = f"the table has no row {shorten(row)}; it has {', '.join(BY_NAME)}"
        raise TypeError(msg)
    return BY_NAME[row]


def _example(row: Endpoint[Any]) -> Any:
    """What the sandbox says to a call that is in order."""
    state = State()
    contact, _ = state.create_contact({"phone_number": "+18885553333", "first_name": "Maria", "last_name": "Alvarez"})
    user = state.create_user("maria", {"first_name": "Maria", "roles": ("agent",)})
    given = {
        "contact_id": contact.id,
        "user_id": user.id,
        "user_uuid": user.id,
        "group_id": GROUP_ID,
        "series_id": SERIES_ID,
        "survey_id": SURVEY_ID,
        # Of the contact, except where the contact is to be new.
        "phone_number": "+18885554444" if row.name == "contacts.create" else "+18885553333",
        "to_number": "+18885553333",
        "text_body": "Hello",
        "channel": "ticket",
        "timezone": "America/Denver",
        "username": "jo",
        "password": "",
    }
    wanted = {field.name for field in row.fields()}
    return HANDLERS[row.name](state, {name: value for name, value in given.items() if name in wanted})
