"""A server that misbehaves on purpose, over real sockets.

One thread accepts, one more serves each connection, all with plain blocking sockets: the server needs no event loop, so
the same one serves a client on asyncio, on trio, or on neither. It counts what really arrived:

* ``requests``: every request that was read in full, as bytes and taken apart;
* ``connections``: how many connections were accepted;
* ``open_connections``: how many of them neither side has ended yet. A client that was closed leaves none.

Every wait is bounded, so that a server always ends, whatever its client does.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import functools
import select
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

import trustme
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from types import TracebackType

__all__ = [
    "Behaviour",
    "Certificate",
    "ClientGoneError",
    "Connection",
    "FaultServer",
    "FullBacklog",
    "Nowhere",
    "Request",
    "Target",
    "answer_properly",
    "certificate",
    "http_reply",
    "refused_port",
    "trusting_context",
]

LOOPBACK = "127.0.0.1"
OTHER_HOST = "127.0.0.2"
API_PATH = "/api/2020"

_PATIENCE = 10.0  # seconds: no thread of ours waits longer for a client
_CHUNK = 65_536
_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for zero seconds: close() sends RST instead of FIN

OK_BODY = b'{"code":200,"status":"success","message":"Text sent.","contacts":[]}'


class ClientGoneError(Exception):
    """The client ended the connection, or the server is being stopped."""


@frozen
class Request:
    """A request that arrived in full."""

    raw: bytes = field(repr=False)
    connection: int
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def credentials(self) -> str:
        """The user name and the password of HTTP Basic, as ``name:password``; empty without them."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        return base64.b64decode(encoded).decode() if scheme.lower() == "basic" else ""

    def echo(self) -> str:
        """Everything that a careless server would print on an error page, credentials included."""
        authorization = self.headers.get("authorization", "")
        return f"{self.method} {self.path} [{authorization}] [{self.credentials}] [{self.body.decode()}]"


class Connection:
    """One accepted connection, with the verbs that behaviours are written in.

    Whatever a behaviour tries after the client has gone raises `ClientGoneError`, which ends its thread quietly.
    """

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self.requests_read = 0
        self.ended = False
        self._sock = sock
        self._unread = b""
        sock.settimeout(_PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands as a TLS server; a client that refuses our certificate has gone."""
        with _client_may_be_gone():
            self._sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock.do_handshake()

    def read_request(self) -> Request:
        """Read one whole request and put it on record."""
        head = self._read_until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = self._read_exactly(int(headers.get("content-length", "0")))
        request = Request(head + body, self.number, method, path, headers, body)
        self.requests_read += 1
        self.server.record(request)
        return request

    def receive(self) -> bytes:
        """Read whatever is there, at least one byte."""
        with _client_may_be_gone():
            data = self._sock.recv(_CHUNK)
        if not data:
            raise ClientGoneError
        return data

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        with _client_may_be_gone():
            self._sock.sendall(data)

    def pause(self, seconds: float) -> None:
        """Let time pass, noticing at once when the client hangs up."""
        try:
            self._sock.settimeout(seconds)
            with contextlib.suppress(TimeoutError):
                self._sock.recv(1, socket.MSG_PEEK)
                # End of file, or bytes that nobody asked for: either way there is no point in going on.
                raise ClientGoneError
            self._sock.settimeout(_PATIENCE)
        except OSError as error:
            raise ClientGoneError from error

    def await_client_close(self) -> None:
        """Say nothing more and wait until the client hangs up."""
        while True:
            self.receive()

    def finish_sending(self) -> None:
        """Send FIN after what was sent so far, and keep the other direction open to see the client's own."""
        with _client_may_be_gone():
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with RST."""
        with _client_may_be_gone():
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """End the connection from our side, both directions."""
        self.ended = True
        self._sock.close()

    def interrupt(self) -> None:
        """Wake the thread that serves this connection; for the server's own end."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._unread += self.receive()
        end = self._unread.index(mark) + len(mark)
        return self._take(end)

    def _read_exactly(self, length: int) -> bytes:
        while len(self._unread) < length:
            self._unread += self.receive()
        return self._take(length)

    def _take(self, length: int) -> bytes:
        taken, self._unread = self._unread[:length], self._unread[length:]
        return taken


@contextlib.contextmanager
def _client_may_be_gone() -> Generator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError and TimeoutError among them
        raise ClientGoneError from error


@frozen
class Behaviour:
    """What a server does instead of answering.

    Attributes:
        on_accept: Called once for each connection, before anything is read and before TLS. ``None``: nothing special.
        on_request: Called for each request that was read in full. A connection that it leaves open is read again.
    """

    on_accept: Callable[[Connection], None] | None = None
    on_request: Callable[[Connection, Request], None] | None = None


class Target(Protocol):
    """What a client is pointed at, and what became known there of its calls."""

    @property
    def base_url(self) -> str:
        """The base URL for the client."""
        ...

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests that arrived in full, oldest first."""
        ...

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        ...

    @property
    def open_connections(self) -> int:
        """How many of the accepted connections have not ended."""
        ...

    def wait_all_closed(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until no connection is open; whether that came true."""
        ...


class FaultServer:
    """A listener on loopback that misbehaves as told.

    Args:
        behaviour: What it does wrong.
        tls: The certificate to serve HTTPS with; ``None`` serves plain HTTP.
        then_ok: How often to misbehave before answering properly. ``None``: for ever.
        host: The loopback address to listen on.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        tls: Certificate | None = None,
        then_ok: int | None = None,
        host: str = LOOPBACK,
    ) -> None:
        self.released = threading.Event()
        self._behaviour = behaviour
        self._tls = tls
        self._faults_left = then_ok
        self._host = host
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._open: dict[int, Connection] = {}
        self._threads: list[threading.Thread] = []
        self._accepted = 0
        self._half_closed = 0
        self._stopping = False
        self._surprises: list[BaseException] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self._host, 0), backlog=128)
        self._listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept_all, name="fault-server", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None and self._surprises:
            raise self._surprises[0]

    def stop(self) -> None:
        """End every connection and join every thread. Harmless when repeated."""
        with self._changed:
            if self._stopping:
                return
            self._stopping = True
            open_now = list(self._open.values())
        self.released.set()
        self._wake_sender.send(b"x")
        for connection in open_now:
            connection.interrupt()
        self._acceptor.join(_PATIENCE)
        for thread in self._threads:
            thread.join(_PATIENCE)
        for sock in (self._listener, self._wake_receiver, self._wake_sender):
            sock.close()
        if self._acceptor.is_alive() or any(thread.is_alive() for thread in self._threads):
            message = "a thread of the fault server did not end"
            raise RuntimeError(message)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def base_url(self) -> str:
        """The base URL for the client."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}{API_PATH}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests that arrived in full, oldest first."""
        with self._changed:
            return tuple(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        with self._changed:
            return self._accepted

    @property
    def open_connections(self) -> int:
        """How many of the accepted connections have not ended."""
        with self._changed:
            return len(self._open)

    def wait_all_closed(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until no connection is open; whether that came true."""
        return self._wait(lambda: not self._open and not self._somebody_waits(), timeout)

    def wait_for_connections(self, count: int, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the ``count``-th connection; whether it came."""
        return self._wait(lambda: self._accepted >= count, timeout)

    def wait_for_requests(self, count: int, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the ``count``-th request; whether it came."""
        return self._wait(lambda: len(self._requests) >= count, timeout)

    def wait_for_half_close(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until this side has ended a connection with FIN; whether it did."""
        return self._wait(lambda: self._half_closed > 0, timeout)

    def release(self) -> None:
        """Let go of the requests that the behaviour holds back."""
        self.released.set()

    def record(self, request: Request) -> None:
        """Count a request; for connections."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def record_half_close(self) -> None:
        """Count a FIN that this side has sent; for behaviours."""
        with self._changed:
            self._half_closed += 1
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                # A connection in the listener's queue notifies nobody, so look again now and then.
                self._changed.wait(min(left, 0.02))
            return True

    def _somebody_waits(self) -> bool:
        return not self._stopping and _is_readable(self._listener)

    def _accept_all(self) -> None:
        watch = select.poll()
        watch.register(self._listener, select.POLLIN)
        watch.register(self._wake_receiver, select.POLLIN)
        while True:
            watch.poll()
            # Accepted and counted in one step, or `wait_all_closed` could look in between and see neither.
            with self._changed:
                if self._stopping:
                    return
                try:
                    sock, _ = self._listener.accept()
                except OSError:  # the client has given up already
                    continue
                self._accepted += 1
                connection = Connection(self, sock, self._accepted)
                self._open[connection.number] = connection
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name=f"fault-server-{connection.number}", daemon=True
                )
                self._threads.append(thread)
                self._changed.notify_all()
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            self._converse(connection)
        except ClientGoneError:
            pass
        except BaseException as error:  # noqa: BLE001 - a bug in a behaviour must fail the test, not vanish in a thread
            with self._changed:
                self._surprises.append(error)
        finally:
            connection.close()
            with self._changed:
                del self._open[connection.number]
                self._changed.notify_all()

    def _converse(self, connection: Connection) -> None:
        behaviour = self._behaviour
        if behaviour.on_accept is not None and self._misbehaves():
            behaviour.on_accept(connection)
            if connection.ended:
                return
        if self._tls is not None:
            connection.start_tls(self._tls.server_context)
        while not connection.ended:
            request = connection.read_request()
            if behaviour.on_request is not None and self._misbehaves():
                behaviour.on_request(connection, request)
            else:
                answer_properly(connection, request)

    def _misbehaves(self) -> bool:
        with self._changed:
            if self._faults_left is None:
                return True
            self._faults_left -= 1
            return self._faults_left >= 0


class FullBacklog:
    """A listener that never accepts and whose queue is full: a new connection is never set up, and never refused.

    Linux drops the SYN of whoever comes after the queue is full, so a client sees silence.
    """

    def __enter__(self) -> Self:
        self._listener = socket.create_server((LOOPBACK, 0), backlog=0)
        self._fillers: list[socket.socket] = []
        while self._fits_one_more():
            pass
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sock in (*self._fillers, self._listener):
            sock.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def base_url(self) -> str:
        """The base URL for the client."""
        return f"http://{LOOPBACK}:{self.port}{API_PATH}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """Always empty: who cannot connect cannot send."""
        return ()

    @property
    def connections(self) -> int:
        """How many connections were accepted: none."""
        return 0

    @property
    def open_connections(self) -> int:
        """How many of the accepted connections have not ended: none."""
        return 0

    def wait_all_closed(self, timeout: float) -> bool:  # noqa: ARG002 - there is nothing to wait for
        """Trivially true."""
        return True

    def _fits_one_more(self) -> bool:
        filler = socket.socket()
        self._fillers.append(filler)
        filler.settimeout(0.03)
        try:
            filler.connect((LOOPBACK, self.port))
        except TimeoutError:
            return False
        return True


@frozen
class Nowhere:
    """A place where nobody listens, so nothing ever arrives."""

    base_url: str

    @property
    def requests(self) -> tuple[Request, ...]:
        """Always empty."""
        return ()

    @property
    def connections(self) -> int:
        """How many connections were accepted: none."""
        return 0

    @property
    def open_connections(self) -> int:
        """How many of the accepted connections have not ended: none."""
        return 0

    def wait_all_closed(self, timeout: float) -> bool:  # noqa: ARG002 - there is nothing to wait for
        """Trivially true."""
        return True


@contextlib.contextmanager
def refused_port() -> Generator[int]:
    """A port that refuses connections, and that nobody else can take meanwhile."""
    # Bound and not listening: closing it instead would free the number for the next process that asks.
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        yield int(holder.getsockname()[1])


def http_reply(status: str, body: bytes = b"", *headers: str, content_type: str = "application/json") -> bytes:
    """A well-formed reply; ``status`` is the code with its reason, as in ``"200 OK"``."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer_properly(connection: Connection, request: Request) -> None:  # noqa: ARG001 - the shape of a behaviour
    """Answer as Pidj would when all is well; one body that is right for every call in the catalogue."""
    connection.send(http_reply("200 OK", OK_BODY))


def _is_readable(sock: socket.socket) -> bool:
    watch = select.poll()
    watch.register(sock, select.POLLIN)
    return bool(watch.poll(0))


@frozen
class Certificate:
    """A server's certificate, ready for use."""

    server_context: ssl.SSLContext = field(repr=False)


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def certificate(*names: str, expired: bool = False) -> Certificate:
    """A certificate for ``names``, signed by the authority that `trusting_context` trusts.

    Args:
        names: The host names and addresses that it is good for.
        expired: Whether its time ran out long ago.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if expired:
        begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        leaf = _authority().issue_cert(*names, not_before=begin, not_after=begin + dt.timedelta(days=1))
    else:
        leaf = _authority().issue_cert(*names)
    leaf.configure_cert(context)
    return Certificate(context)


@functools.cache
def trusting_context() -> ssl.SSLContext:
    """A client's context that trusts the laboratory's own authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context
