"""uvicorn, made to run beside a test: in a thread of its own, on a socket that is bound already.

Importing this module needs uvicorn.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from pidj_async.sandbox.app import TRANSPORT

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["ServerThread"]

_Base: Any = AutoHTTPProtocol  # httptools if it is installed, else h11: chosen when uvicorn is imported


class _Protocol(_Base):  # type: ignore[misc]  # no checker can follow a base that is chosen at run time
    """uvicorn's protocol, which lets the application see the connection and writes no access log of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Its access log shows paths, and paths show phone numbers. Switching it off in uvicorn's configuration would
        # silence every other uvicorn of this process.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.app_state: dict[str, Any] = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def serve_and_hang_up(self, listener: socket.socket) -> None:
        await self.serve([listener])
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)  # the transports close their sockets in the loop's next round


class ServerThread:
    """Serves an application on a listening socket until stopped.

    Args:
        app: The application.
        listener: A bound socket. It is closed in the end, also if starting fails.

    Raises:
        RuntimeError: If the server does not start; the cause says why.
    """

    def __init__(self, app: Starlette, listener: socket.socket) -> None:
        self._settled = threading.Event()
        self._failure: BaseException | None = None
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="on",
            loop="none",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            # Longer than a client keeps a connection idle, so that it is never this side that closes it first.
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config, self._settled.set)
        self._thread = threading.Thread(target=self._run, args=(listener,), name="pidj-sandbox", daemon=True)
        self._thread.start()
        self._settled.wait()
        if not self._server.started:
            self._thread.join()
            msg = "the sandbox's server did not start"
            raise RuntimeError(msg) from self._failure

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._server.serve_and_hang_up(listener))
        except BaseException as error:  # noqa: BLE001  uvicorn exits the process when it cannot start
            self._failure = error
        finally:
            listener.close()
            self._settled.set()

    def stop(self) -> None:
        """Stop serving, and wait until the thread has ended."""
        self._server.should_exit = True
        self._thread.join()
