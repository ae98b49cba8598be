"""`Sandbox`: a Pidj on this machine, for as long as a test needs it."""

from __future__ import annotations

import os
import socket
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from pidj_async.errors import ConfigurationError
from pidj_async.sandbox import seed
from pidj_async.sandbox.controls import Controls
from pidj_async.sansio import DEFAULT_BASE_URL, is_loopback

if TYPE_CHECKING:
    from pidj_async.sandbox._serving import ServerThread

__all__ = ["Sandbox"]

_DEFAULT_CREDENTIAL: Final = "sandbox"


class Sandbox(Controls):
    """A Pidj of your own, over a real socket on this machine.

    ``async with Sandbox() as sandbox`` on asyncio and trio, ``with Sandbox() as sandbox`` without either. It serves
    from a thread of its own, so the test may block. When the block ends it is gone, its thread and its sockets too;
    what it knows stays, and another block goes on from there.

    Args:
        host: Where to listen: a loopback address, because the controls ask for no credentials.
        port: The port; 0 for any that is free.
        account_key: The account key to accept. ``PIDJ_ACCOUNT_KEY`` from the environment if left out, else "sandbox".
        token: The token to accept. ``PIDJ_TOKEN`` from the environment if left out, else "sandbox".
        webhook_url: Where to deliver webhooks; `None` to only keep a record of them.
        webhook_attempts: How often to try each webhook.
        webhook_backoff: Seconds before the second attempt; twice as long before each further one.
        webhook_timeout: Seconds to wait for the receiver.
        access_log: Log each call of the API, by the name of its row, to the logger ``pidj_async.sandbox``.

    Raises:
        ConfigurationError: If an argument cannot work, or if the extra ``sandbox`` is not installed.
    """

    group_id: Final = seed.GROUP_ID
    """The group to text from: it has a number, and consent is set up. The other groups are in `seed`."""

    group_number: Final = seed.GROUP_NUMBER
    """The number of `group_id`."""

    plain_group_id: Final = seed.PLAIN_GROUP_ID
    """A group with a number, where consent is not set up."""

    exempt_group_id: Final = seed.EXEMPT_GROUP_ID
    """A group with a number that is exempt from the consent settings."""

    numberless_group_id: Final = seed.NUMBERLESS_GROUP_ID
    """A group without a phone number: it cannot text."""

    series_id: Final = seed.SERIES_ID
    """A series to subscribe people to."""

    survey_id: Final = seed.SURVEY_ID
    """A survey to send."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        account_key: str | None = None,
        token: str | None = None,
        webhook_url: str | None = None,
        webhook_attempts: int = 3,
        webhook_backoff: float = 0.2,
        webhook_timeout: float = 5.0,
        access_log: bool = False,
    ) -> None:
        if not is_loopback(host):
            msg = f"the sandbox listens on this machine only: host must be 127.0.0.1, ::1 or localhost; got {host!r}"
            raise ConfigurationError(msg)
        if not 0 <= port <= 65_535:
            msg = f"port must be from 0 to 65,535; got {port!r}"
            raise ConfigurationError(msg)
        self.account_key = account_key or os.environ.get("PIDJ_ACCOUNT_KEY") or _DEFAULT_CREDENTIAL
        self.token = token or os.environ.get("PIDJ_TOKEN") or _DEFAULT_CREDENTIAL
        if ":" in self.account_key:
            msg = "account_key must not contain ':', which HTTP Basic uses to separate it from the token"
            raise ConfigurationError(msg)
        super().__init__(
            webhook_url=webhook_url,
            webhook_attempts=webhook_attempts,
            webhook_backoff=webhook_backoff,
            webhook_timeout=webhook_timeout,
        )
        self._host = host
        self._wanted_port = port
        self._port: int | None = None
        self._serving = _import_serving()
        self._server: ServerThread | None = None
        from pidj_async.sandbox.app import create_app  # noqa: PLC0415  only now is it known that Starlette is there

        self._app = create_app(
            self, self._engine, account_key=self.account_key, token=self.token, access_log=access_log
        )

    # ------------------------------------------------------------------------------------------------------ addresses

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: If it is not running.
        """
        if self._port is None:
            msg = "the sandbox is not running; enter it with `with` or `async with`, or call start()"
            raise RuntimeError(msg)
        return self._port

    @property
    def url(self) -> str:
        """The server's address, without a trailing slash; the controls are below ``/_sandbox/``.

        Raises:
            RuntimeError: If it is not running.
        """
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What to give to a client as its ``base_url``.

        Raises:
            RuntimeError: If it is not running.
        """
        return self.url + urlsplit(DEFAULT_BASE_URL).path

    # --------------------------------------------------------------------------------------------- starting, stopping

    def start(self) -> None:
        """Start listening. It returns when the first request can be sent.

        Raises:
            ConfigurationError: If it cannot listen on the port.
            RuntimeError: If it is running already.
        """
        if self._server is not None:
            msg = "the sandbox is running already"
            raise RuntimeError(msg)
        listener = _listen(self._host, self._wanted_port)
        self._port = listener.getsockname()[1]
        self._engine.settle_at(self.url)
        self._engine.webhooks.start()
        try:
            self._server = self._serving.ServerThread(self._app, listener)
        except BaseException:
            self._port = None
            raise

    def stop(self) -> None:
        """Stop listening, and wait until everything is closed. Stopping twice is harmless."""
        server, self._server, self._port = self._server, None, None
        if server is not None:
            self._engine.webhooks.stop()
            server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    def __repr__(self) -> str:
        return f"<Sandbox, {'not running' if self._port is None else self.url}>"


def _import_serving() -> Any:
    try:
        return import_module("pidj_async.sandbox._serving")
    except ModuleNotFoundError as error:
        msg = f'the sandbox needs {error.name}: pip install "pidj-async[sandbox]"'
        raise ConfigurationError(msg) from error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only then; else each reply takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port that was used a moment ago may be used again; on Windows the option would mean something else.
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)  # noqa: FBT003  the standard library takes it by place only
    except OSError as error:
        listener.close()
        msg = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise ConfigurationError(msg) from error
    return listener
