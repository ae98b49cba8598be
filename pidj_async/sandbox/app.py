"""The sandbox over HTTP: the rows of the table below ``/api/2020``, and the tests' controls below ``/_sandbox``.

Importing this module needs Starlette.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router

from pidj_async._endpoint import Endpoint
from pidj_async.endpoints import TABLE
from pidj_async.errors import InvalidRequestError
from pidj_async.sandbox.controls import Controls
from pidj_async.sandbox.engine import Engine
from pidj_async.sandbox.faults import Fault
from pidj_async.sandbox.forms import parse_form, read_fields, read_path
from pidj_async.sandbox.replies import Refusal, encode_json, refusal_envelope
from pidj_async.sansio import DEFAULT_BASE_URL, basic_authorization

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["API_PATH", "create_app"]

API_PATH: Final = urlsplit(DEFAULT_BASE_URL).path
"""Where the API is, below the server's address; the same as at the vendor's."""

TRANSPORT: Final = "pidj_transport"
"""The key of the ASGI state under which a server may put the connection, so that a fault can hang up."""

_MAX_BODY: Final = 1 << 20
_WITH_FORM: Final = frozenset({"POST", "PUT"})

logger = logging.getLogger("pidj_async.sandbox")


def create_app(controls: Controls, engine: Engine, *, account_key: str, token: str, access_log: bool) -> Starlette:
    """Make the ASGI application.

    Args:
        controls: What the control endpoints call.
        engine: The world that the API changes.
        account_key: The account key to accept.
        token: The token to accept.
        access_log: Log each call of the API, by the name of its row.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        worker = asyncio.create_task(engine.webhooks.run())
        try:
            yield
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker

    return Starlette(
        routes=[
            Mount(API_PATH, _Api(engine, account_key, token, access_log=access_log)),
            Route("/sso/{token}", _sign_on(engine), methods=["GET"]),
            Mount("/_sandbox", routes=_control_routes(controls)),
        ],
        exception_handlers={HTTPException: _http_exception},
        lifespan=lifespan,
    )


def _json(status_code: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_json(value), status_code, headers=headers, media_type="application/json")


def _refusal(code: int, status: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json(code, refusal_envelope(code, status, message), headers)


async def _http_exception(_: Request, error: Exception) -> Response:
    code, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    return _refusal(code, "error", f"{HTTPStatus(code).phrase}.", headers)


# ------------------------------------------------------------------------------------------------------------- the API


class _Api:
    """Checks the credentials, of unknown routes too, and hands the request to its path."""

    def __init__(self, engine: Engine, account_key: str, token: str, *, access_log: bool) -> None:
        self._authorization = basic_authorization(account_key, token).partition(" ")[2].encode()
        by_path: dict[str, dict[str, Endpoint[Any]]] = {}
        for row in TABLE:
            by_path.setdefault(row.path, {}).update(dict.fromkeys((row.method, *row.also), row))
        # A path without a placeholder goes first: /contact/send-consent-text is not the contact of that id.
        paths = sorted(by_path, key=lambda path: "{" in path)
        self._router = Router(
            [Route(path, _Path(engine, by_path[path], access_log=access_log)) for path in paths],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_authorized(scope["headers"]):
            response = _refusal(
                401,
                "error",
                "Authorization failed.",
                {"WWW-Authenticate": 'Basic realm="Pidj API", charset="UTF-8"'},
            )
            await response(scope, receive, send)
            return
        await self._router(scope, receive, send)

    def _is_authorized(self, headers: Collection[tuple[bytes, bytes]]) -> bool:
        for name, value in headers:
            if name == b"authorization":
                scheme, _, credentials = value.partition(b" ")
                return scheme.lower() == b"basic" and hmac.compare_digest(credentials.strip(), self._authorization)
        return False


class _Path:
    """The rows that share a path, told apart by their verbs."""

    def __init__(self, engine: Engine, rows: Mapping[str, Endpoint[Any]], *, access_log: bool) -> None:
        self._engine = engine
        self._rows = rows
        self._allow = {"Allow": ", ".join(sorted(rows))}
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        row = self._rows.get(scope["method"])
        if row is None:
            raise HTTPException(405, headers=self._allow)
        request = Request(scope, receive)
        try:
            response = await self._answer(row, request)
        except Refusal as refusal:
            response = _refusal(refusal.code, refusal.status, refusal.message)
        except ClientDisconnect:
            return
        if self._access_log:
            # The row's name, not the path: a path may hold a phone number.
            outcome = "hung up" if response is None else f"HTTP {response.status_code}"
            logger.info("%s: %s", row.name, outcome)
        if response is None:
            await _hang_up(scope, receive)
        else:
            await response(scope, receive, send)

    async def _answer(self, row: Endpoint[Any], request: Request) -> Response | None:
        # The body is read in any case, so that the next request of the connection begins where it should.
        body = await _body(request)
        fault = self._engine.take_fault(row)
        if fault is not None and not fault.after_acting:
            return _injected(fault)
        given: dict[str, Any] = read_path(row, request.path_params)
        if request.method in _WITH_FORM:
            given |= read_fields(row, parse_form(request.headers.get("content-type", ""), body))
        envelope = self._engine.carry_out(row, given)
        return _json(envelope["code"], envelope) if fault is None else _injected(fault)


async def _body(request: Request) -> bytes:
    parts = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= _MAX_BODY:
            parts.append(chunk)
    if size > _MAX_BODY:
        raise Refusal(413, "error", "The request is too large.")
    return b"".join(parts)


def _injected(fault: Fault) -> Response | None:
    """The answer that a fault asks for; ``None`` to hang up."""
    if fault.status is None:
        return None
    headers = None if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    return _refusal(fault.status, fault.envelope_status, "A fault, as it was asked for.", headers)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    transport: asyncio.Transport | None = scope.get("state", {}).get(TRANSPORT)
    if transport is None:
        msg = "this server does not let the sandbox hang up"
        raise RuntimeError(msg)
    transport.abort()
    # The server must notice that nobody is there before it notices that nothing was answered.
    while (await receive())["type"] != "http.disconnect":
        pass


def _sign_on(engine: Engine) -> Callable[[Request], Awaitable[Response]]:
    """Open a sign-on URL: on to ``next``, or back to where the browser came from, as the document has it."""

    async def sign_on(request: Request) -> Response:
        try:
            username, next_url = engine.sign_on(request.path_params["token"])
        except Refusal as refusal:
            return _refusal(refusal.code, refusal.status, refusal.message)
        target = next_url or request.headers.get("referer")
        if target is None:
            return PlainTextResponse(f"Signed in as {username}.\n")
        return RedirectResponse(target, 302)

    return sign_on


# -------------------------------------------------------------------------------------------------------- the controls


def _control_routes(controls: Controls) -> list[Route]:
    def receive_text(**arguments: Any) -> dict[str, Any]:
        return {"events": controls.receive_text(**arguments)}

    def drain(timeout: float = 10.0) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= 600:
            problem = "must be a number of seconds, at most 600"
            raise InvalidRequestError("timeout", problem, value=repr(timeout))
        controls.drain_sync(timeout)

    gets: dict[str, Callable[[], dict[str, Any]]] = {
        "texts": lambda: {"texts": [attrs.asdict(text) for text in controls.texts]},
        "state": controls.state,
        "deliveries": lambda: {"deliveries": [attrs.asdict(delivery) for delivery in controls.deliveries]},
    }
    posts: dict[str, tuple[Callable[..., dict[str, Any] | None], tuple[str, ...], tuple[str, ...]]] = {
        "receive-text": (receive_text, ("phone_from", "message"), ("phone_to", "group")),
        "close-task": (controls.close_task, ("task_id",), ()),
        "restore-contact": (controls.restore_contact, ("contact_id",), ()),
        "reset": (controls.reset, (), ()),
        "fail": (controls.fail_next, ("row_name",), ("status", "retry_after", "times", "drop", "after_acting")),
        "drain": (drain, (), ("timeout",)),
    }
    routes = [Route(f"/{name}", _control_get(look), methods=["GET"]) for name, look in gets.items()]
    routes += [
        Route(f"/{name}", _control_post(act, required, optional), methods=["POST"])
        for name, (act, required, optional) in posts.items()
    ]
    return routes


def _control_get(look: Callable[[], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        return _json(200, await asyncio.to_thread(look))

    return endpoint


def _control_post(
    act: Callable[..., dict[str, Any] | None], required: tuple[str, ...], optional: tuple[str, ...]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            arguments = _arguments(await _body(request), required, optional)
            # In a thread, because `drain` waits.
            done = await asyncio.to_thread(act, **arguments)
        except InvalidRequestError as error:
            return _json(400, {"error": str(error)})
        except Refusal as refusal:
            return _json(refusal.code, {"error": refusal.message})
        except TimeoutError as error:
            return _json(504, {"error": str(error)})
        return _json(200, done or {})

    return endpoint


def _arguments(body: bytes, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    names = ", ".join((*required, *(f"{name}?" for name in optional)))
    try:
        arguments = json.loads(body) if body else {}
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict) or not set(required) <= arguments.keys() <= {*required, *optional}:
        problem = f"must be a JSON object of {names}" if names else "must be empty"
        raise InvalidRequestError("body", problem)
    return arguments
