"""A receiver on uvicorn, in the foreground, until somebody wants it to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

import anyio
import uvicorn

from pidj_async._masking import REDACTED, mask_phone_numbers_in
from pidj_async.cli.interrupts import on_stop_signals
from pidj_async.errors import ConfigurationError, PidjError
from pidj_async.webhooks.guard import redact_access_log

if TYPE_CHECKING:
    from pidj_async.webhooks.adapters.asgi import ASGIApp
    from pidj_async.webhooks.guard import RedactSecrets
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["listen", "log_to_stderr", "run_until_stopped", "serve", "url_of"]

GRACE: Final = 10
"""How many seconds requests that are under way may take when the server is to stop."""


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket.

    Raises:
        ConfigurationError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only then; else each reply takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        msg = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise ConfigurationError(msg) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Say where a socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    around: AbstractAsyncContextManager[object],
    on_ready: Callable[[], None],
    stop: asyncio.Event | None = None,
) -> None:
    """Serve an application until Ctrl-C or SIGTERM, and let what is under way come to its end.

    Args:
        app: The application.
        listener: A bound socket. It is closed in the end.
        around: Is open while the application is served.
        on_ready: Is called when the first request may come.
        stop: Stops it, too.

    Raises:
        PidjError: What was raised `around` it.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",  # `around` is in charge: its errors are to be told, and not logged
        ws="none",
        log_config=None,
        proxy_headers=False,  # whom to believe is the receiver's to decide
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config, on_ready)

    async def run(stopped: asyncio.Event) -> None:
        async def watch() -> None:
            await stopped.wait()
            server.should_exit = True

        watcher = asyncio.create_task(watch())
        try:
            async with around:
                if not stopped.is_set():
                    await server.serve([listener])
        finally:
            watcher.cancel()

    try:
        run_until_stopped(run, stop)
    finally:
        listener.close()


def run_until_stopped(work: Callable[[asyncio.Event], Any], stopped: asyncio.Event | None = None) -> None:
    """Run something that ends in good order soon after its event is set, which Ctrl-C and SIGTERM do.

    Args:
        work: An async function.
        stopped: The event, if others are to set it, too.

    Raises:
        PidjError: The one that ended it.
    """
    event = asyncio.Event() if stopped is None else stopped

    async def run() -> None:
        loop = asyncio.get_running_loop()
        # uvicorn has its own while it serves, and hands on what it got when it has stopped: then this changes nothing
        # any more, and the process does not end as one that was killed.
        with on_stop_signals(lambda: loop.call_soon_threadsafe(event.set)):
            await work(event)

    try:
        anyio.run(run)
    except BaseExceptionGroup as group:
        # A task group wraps what it raises; a command ends with the error itself.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if not isinstance(error, PidjError):
            raise
        raise error from None


# --- logs ---------------------------------------------------------------------------------------------------------


def log_to_stderr(receiver: Receiver | None, *, shown_paths: Collection[str] = ()) -> None:
    """Log what happens on standard error, unless the program around the handlers has set up logging of its own.

    Args:
        receiver: Knows the secrets that must not be logged. The access log of its server is redacted in any case.
        shown_paths: The paths that the access log may show. Of any other nothing is shown: an old secret, or a guess
            that is nearly right, is not known to be a secret.
    """
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Formatter(None if receiver is None else receiver.log_filter))
        root.addHandler(handler)
        for name in ("pidj_async", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.INFO)
    if receiver is not None:
        redact_access_log(receiver)
    logging.getLogger("uvicorn.access").addFilter(_Paths(frozenset({"/", *shown_paths})))


class _Formatter(logging.Formatter):
    """One line a record; a traceback has no secrets in it either."""

    def __init__(self, redactor: RedactSecrets | None) -> None:
        super().__init__("%(asctime)s  %(levelname)-7s  %(message)s", "%H:%M:%S")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if self._redactor is None else self._redactor.redact(text)

    def formatException(self, ei: Any) -> str:  # noqa: N802  the standard library's name
        return mask_phone_numbers_in(super().formatException(ei))  # a handler's error may quote the event


class _Paths(logging.Filter):
    """Takes the paths out of uvicorn's access log: it gives ``(client, method, path and query, version, status)``."""

    def __init__(self, shown: frozenset[str]) -> None:
        super().__init__()
        self._shown = shown

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            if path not in self._shown:
                record.args = (client, method, REDACTED, version, status)
        return True
