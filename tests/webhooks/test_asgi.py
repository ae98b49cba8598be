"""The ASGI adapter: in process on asyncio and trio, and inside real servers over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import hypercorn.asyncio
import hypercorn.config
import hypercorn.trio
import pytest
import trio
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from pidj_async.webhooks import (
    Dispatcher,
    Event,
    OptedOut,
    Receiver,
    TextReceived,
    WebhookReply,
    WebhookRequest,
    sample,
)
from pidj_async.webhooks.adapters import _reading, asgi

from .strategies import mutate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pidj_async.webhooks.adapters.asgi import ASGIApp

SECRET = "correct-horse-battery"
AUTH = ("pidj", SECRET)
BODY = json.dumps(sample("opt-out")).encode()
TIMEOUT = 30


@pytest.fixture
def seen() -> list[Event]:
    """What the handler has seen."""
    return []


@pytest.fixture
def dispatcher(seen: list[Event]) -> Dispatcher:
    """One handler that remembers, and one that fails."""
    dispatcher = Dispatcher()
    dispatcher.on(OptedOut)(seen.append)

    @dispatcher.on(TextReceived)
    async def breaks(event: TextReceived) -> None:
        raise RuntimeError(event.message)

    return dispatcher


# --- in process ---------------------------------------------------------------------------------------------------


class Exchange:
    """The server's side of one request: messages to hand over, and whatever the application answered."""

    def __init__(self, app: ASGIApp, *messages: dict[str, Any], **scope: Any) -> None:
        self.app = app
        self.messages = list(messages)
        self.asked = 0
        self.asked_before_answer = 0
        self.sent: list[Any] = []
        self.scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": f"/{SECRET}",
            "query_string": b"",
            "headers": [],
            **scope,
        }

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        if not self.messages:
            await anyio.sleep_forever()
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        if not self.sent:
            self.asked_before_answer = self.asked
        self.sent.append(message)

    async def run(self) -> int | None:
        """Return the status, ``None`` if nothing was answered."""
        await self.app(self.scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else None

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The answer's headers."""
        return dict(self.sent[0]["headers"])


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    """One message with a piece of the body."""
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.anyio
async def test_a_body_may_come_in_pieces(dispatcher: Dispatcher, seen: list[Event]) -> None:
    """However it is cut, the event is the same, and the answer is complete."""
    app = Receiver(dispatcher, secret=SECRET).asgi()
    pieces = [part(BODY[at : at + 100], more=True) for at in range(0, len(BODY), 100)]
    exchange = Exchange(app, *pieces, {"type": "http.request"})
    assert await exchange.run() == 200
    assert [sample("opt-out")] == [event.raw for event in seen]
    assert exchange.sent[1:] == [{"type": "http.response.body", "body": b'{"status": "received"}', "more_body": False}]
    assert exchange.headers == {b"content-type": b"application/json", b"content-length": b"22"}


@pytest.mark.anyio
async def test_a_stranger_is_refused_before_the_body_is_read(dispatcher: Dispatcher) -> None:
    """Not one piece of the body is asked for before the answer, and the connection ends with it."""
    exchange = Exchange(
        Receiver(dispatcher, secret=SECRET).asgi(), part(BODY[:9], more=True), part(BODY), path="/guess"
    )
    assert await exchange.run() == 401
    assert exchange.asked_before_answer == 0
    assert exchange.headers[b"connection"] == b"close"


@pytest.mark.anyio
async def test_a_head_that_is_known_lets_nobody_else_in(dispatcher: Dispatcher, seen: list[Event]) -> None:
    """Whoever was let in is let in again; what differs in one place is judged anew, each time, and counted."""
    receiver = Receiver(dispatcher, secret=SECRET, allow_from="203.0.113.0/24")
    app = receiver.asgi()
    good: dict[str, Any] = {"client": ("203.0.113.9", 1), "headers": [(b"content-type", b"application/json")]}
    bad: list[dict[str, Any]] = [
        {"client": ("198.51.100.1", 1)},
        {"client": None},
        {"path": f"/{SECRET}x"},
        {"path": "/", "query_string": b"secret=guess"},
        {"headers": [(b"content-type", b"text/html")]},
        {"headers": [(b"authorization", b"Basic cGlkajpndWVzcw==")], "path": "/"},
        {"method": "PUT"},
    ]
    each = ({}, *bad, {"client": ("203.0.113.9", 2)})
    statuses = [await Exchange(app, part(BODY), **good | changes).run() for _ in range(2) for changes in each]
    assert [200, 403, 403, 401, 401, 415, 401, 405, 200] * 2 == statuses
    assert {200: 4, 401: 6, 403: 4, 405: 2, 415: 2} == receiver.stats.replies
    assert 4 == len(seen)


@pytest.mark.anyio
async def test_only_who_was_let_in_is_remembered(dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender's head is judged once; strangers cannot fill the memory, and no more than a fixed number is in it."""
    monkeypatch.setattr(asgi, "_REMEMBERED", 2)
    receiver = Receiver(dispatcher, secret=SECRET)
    judged: list[str] = []
    check = receiver.check

    def spy(request: WebhookRequest) -> WebhookReply | None:
        judged.append(request.header("x-number"))
        return check(request)

    monkeypatch.setattr(receiver, "check", spy)
    app = receiver.asgi()
    for number, path in (
        (b"1", f"/{SECRET}"),
        (b"2", "/guess"),
        (b"3", "/guess"),
        (b"2", "/guess"),
        (b"1", f"/{SECRET}"),
    ):
        await Exchange(app, part(BODY), path=path, headers=[(b"x-number", number)]).run()
    assert ["1", "2", "3", "2"] == judged
    judged.clear()
    for number in (b"4", b"5", b"6", b"4"):
        assert 200 == await Exchange(app, part(BODY), headers=[(b"x-number", number)]).run()
    assert ["4", "5", "6", "4"] == judged


@pytest.mark.anyio
async def test_the_bodies_of_one_head_are_not_mixed_up(dispatcher: Dispatcher, seen: list[Event]) -> None:
    """What is remembered is a head: each request has the body that came with it, also when many are under way."""
    app = Receiver(dispatcher, secret=SECRET).asgi()
    bodies = [json.dumps(sample("opt-out", contact={"external_id": str(number)})).encode() for number in range(20)]
    async with anyio.create_task_group() as group:
        for body in bodies:
            group.start_soon(Exchange(app, part(body[:9], more=True), part(body[9:])).run)
    assert sorted(map(str, range(20))) == sorted(event.raw["contact"]["external_id"] for event in seen)


@pytest.mark.anyio
async def test_what_a_refused_client_still_sends_is_thrown_away(dispatcher: Dispatcher) -> None:
    """After the answer, so that closing the connection does not reset it; up to a limit, and until the client goes."""
    app = Receiver(dispatcher, secret=SECRET).asgi()
    piece = part(b"x" * 65_536, more=True)
    for messages, asked in (
        ([part(BODY[:9], more=True), part(BODY)], 2),
        ([piece, {"type": "http.disconnect"}], 2),
        ([piece] * 1_000, _reading.LINGER_BYTES // 65_536),
    ):
        exchange = Exchange(app, *messages, path="/guess")
        assert await exchange.run() == 401
        assert (0, asked) == (exchange.asked_before_answer, exchange.asked)
        assert [True, False] == [message.get("more_body", False) for message in exchange.sent[1:]]
        assert sum(len(message.get("body", b"")) for message in exchange.sent) == int(
            exchange.headers[b"content-length"]
        )


@pytest.mark.anyio
async def test_a_refused_client_that_sends_nothing_is_let_go(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Throwing away has an end in time, too."""
    monkeypatch.setattr(_reading, "LINGER_SECONDS", 0.01)
    exchange = Exchange(Receiver(dispatcher, secret=SECRET).asgi(), path="/guess")
    assert await exchange.run() == 401
    assert len(exchange.sent) == 3


@pytest.mark.anyio
async def test_reading_stops_at_the_limit(dispatcher: Dispatcher) -> None:
    """An endless body is counted while it arrives, and the rest of it is left where it is."""
    app = Receiver(dispatcher, secret=SECRET, max_body_bytes=1_000).asgi()
    exchange = Exchange(app, *[part(b"x" * 400, more=True)] * 1_000, {"type": "http.disconnect"})
    assert await exchange.run() == 413
    assert exchange.asked_before_answer == 3
    assert exchange.headers[b"connection"] == b"close"


@pytest.mark.anyio
async def test_an_announced_length_over_the_limit_is_refused_unread(dispatcher: Dispatcher) -> None:
    """``Content-Length`` alone is enough."""
    app = Receiver(dispatcher, secret=SECRET).asgi()
    exchange = Exchange(app, part(b"x"), headers=[(b"content-length", b"262145")])
    assert await exchange.run() == 413
    assert exchange.asked_before_answer == 0


@pytest.mark.anyio
async def test_a_large_body_that_has_arrived_needs_no_closing(dispatcher: Dispatcher) -> None:
    """When the last piece goes over the limit, nothing is left to be thrown away."""
    exchange = Exchange(Receiver(dispatcher, secret=SECRET, max_body_bytes=10).asgi(), part(BODY))
    assert await exchange.run() == 413
    assert exchange.asked == 1
    assert b"connection" not in exchange.headers


@pytest.mark.anyio
async def test_a_body_that_does_not_arrive_is_not_waited_for(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `body_timeout` seconds the answer is 408."""
    monkeypatch.setattr(_reading, "LINGER_SECONDS", 0.01)
    app = Receiver(dispatcher, secret=SECRET, body_timeout=0.01).asgi()
    exchange = Exchange(app, part(BODY[:50], more=True))
    assert await exchange.run() == 408
    assert exchange.headers[b"connection"] == b"close"


@pytest.mark.anyio
async def test_the_time_a_handler_takes_is_not_the_bodys(seen: list[Event]) -> None:
    """`body_timeout` ends with the body: a slow handler is not cut off."""
    dispatcher = Dispatcher()

    @dispatcher.on(OptedOut)
    async def slow(event: OptedOut) -> None:
        await anyio.sleep(0.05)
        seen.append(event)

    app = Receiver(dispatcher, secret=SECRET, body_timeout=0.02).asgi()
    assert await Exchange(app, part(BODY)).run() == 200
    assert len(seen) == 1


@pytest.mark.anyio
async def test_a_client_that_goes_away_is_not_answered(dispatcher: Dispatcher, seen: list[Event]) -> None:
    """Half a body is no event, even if it happens to be valid JSON."""
    receiver = Receiver(dispatcher, secret=SECRET)
    exchange = Exchange(receiver.asgi(), part(BODY, more=True), {"type": "http.disconnect"})
    assert await exchange.run() is None
    assert seen == []
    assert receiver.stats.replies == {}


@pytest.mark.anyio
async def test_http_2_knows_no_connection_header(dispatcher: Dispatcher) -> None:
    """RFC 9113 forbids it, and strict servers refuse to send it."""
    exchange = Exchange(Receiver(dispatcher, secret=SECRET).asgi(), part(BODY), path="/guess", http_version="2")
    assert await exchange.run() == 401
    assert b"connection" not in exchange.headers


@pytest.mark.anyio
async def test_the_lifespan_is_taken_part_in(dispatcher: Dispatcher) -> None:
    """Startup and shutdown complete, so that servers that insist on them are content."""
    app = Receiver(dispatcher, secret=SECRET).asgi()
    exchange = Exchange(app, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, type="lifespan")
    await app(exchange.scope, exchange.receive, exchange.send)
    assert exchange.sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


@pytest.mark.anyio
async def test_a_websocket_is_refused(dispatcher: Dispatcher) -> None:
    """It is closed before it is accepted, which servers turn into a 403."""
    app = Receiver(dispatcher, secret=SECRET).asgi()
    exchange = Exchange(app, {"type": "websocket.connect"}, type="websocket")
    await app(exchange.scope, exchange.receive, exchange.send)
    assert [message["type"] for message in exchange.sent] == ["websocket.close"]


@pytest.mark.anyio
async def test_an_unknown_kind_of_scope_is_an_error(dispatcher: Dispatcher) -> None:
    """As the ASGI specification asks, so that a server knows what is not supported."""
    app = Receiver(dispatcher, secret=SECRET).asgi()
    exchange = Exchange(app, type="carrier-pigeon")
    with pytest.raises(NotImplementedError, match="carrier-pigeon"):
        await app(exchange.scope, exchange.receive, exchange.send)


def client_of(app: Any) -> httpx.AsyncClient:
    """A client that talks to the application without a socket, on whichever loop runs."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


@pytest.mark.anyio
async def test_a_client_library_sees_the_same(dispatcher: Dispatcher, seen: list[Event]) -> None:
    """With the secret in each of its places: 200; otherwise 401; and 500 for a failing handler."""
    async with client_of(Receiver(dispatcher, secret=SECRET).asgi()) as client:
        replies = [
            await client.post("/", content=BODY, auth=AUTH),
            await client.post(f"/hooks/{SECRET}", content=BODY),
            await client.post("/", content=BODY, params={"secret": SECRET}),
            await client.post("/", content=BODY),
            await client.post("/", content=BODY, auth=("pidj", "wrong")),
            await client.get("/", auth=AUTH),
            await client.post("/", json=sample("text-received"), auth=AUTH),
            await client.post("/", files={"file": b"x"}, auth=AUTH),
        ]
    assert [200, 200, 200, 401, 401, 405, 500, 415] == [reply.status_code for reply in replies]
    assert len(seen) == 3


@pytest.mark.anyio
async def test_it_can_be_mounted_in_a_starlette_application(dispatcher: Dispatcher, seen: list[Event]) -> None:
    """Under any prefix, with and without a `path` of its own."""
    free = Receiver(dispatcher, secret=SECRET)
    bound = Receiver(dispatcher, secret=SECRET, path="/bound/pidj")
    app = Starlette(routes=[Mount("/free", app=free.asgi()), Mount("/bound", app=bound.asgi())])
    async with client_of(app) as client:
        paths = [f"/free/{SECRET}", "/bound/pidj", f"/bound/pidj/{SECRET}", "/bound/other"]
        statuses = [(await client.post(path, content=BODY, auth=AUTH)).status_code for path in paths]
    assert statuses == [200, 200, 200, 404]
    assert len(seen) == 3


async def check_fuzzed_requests(count: int, seed: int) -> None:
    """So many bent requests, with bent paths and headers, each get an answer that is no server error."""
    rng = random.Random(seed)
    statuses: dict[int | None, int] = {}
    options: list[dict[str, Any]] = [
        {},
        {"path": "/hooks"},
        {"allow_from": "203.0.113.0/24"},
        {"allow_from": ["203.0.113.0/24", "2001:db8::/32"], "trusted_proxies": 1},
    ]
    receivers = [Receiver(Dispatcher(), secret=SECRET, max_body_bytes=20_000, **each) for each in options]
    apps = [receiver.asgi() for receiver in receivers]
    for _ in range(count):
        app = rng.choice(apps)
        scope: dict[str, Any] = {
            "method": rng.choice(["POST"] * 9 + ["GET", "", "P\u00d6ST"]),
            "path": rng.choice(
                [f"/{SECRET}", f"/hooks/{SECRET}"] * 8 + [*ODD_PATHS, rng.randbytes(9).decode("latin-1")]
            ),
            "client": rng.choice([("203.0.113.9", 4711)] * 3 + [("2001:db8::1%eth0", 0), ("", None), None]),
            "query_string": rng.choice(
                [b"", rng.randbytes(20), b"secret=" + SECRET.encode(), b"&" * 200, b"token=%ff%"]
            ),
            "headers": [
                (rng.choice(ODD_NAMES), rng.choice([*ODD_HEADERS, rng.randbytes(rng.randrange(30))]))
                for _ in range(rng.randrange(4))
            ],
        }
        body = mutate(rng)
        cut = rng.randrange(len(body) + 1)
        status = await Exchange(app, part(body[:cut], more=True), part(body[cut:]), **scope).run()
        statuses[status] = statuses.get(status, 0) + 1
        query = scope["query_string"].decode("utf-8", "replace")
        assert SECRET not in receivers[0].log_filter.redact(f"{scope['path']}?{query}")
    assert {200, 400, 401, 403, 404, 405, 413, 415} == statuses.keys()


ODD_PATHS = ("", "\ud800", "\0", "/" * 50)
ODD_NAMES = (
    b"authorization", b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"expect",
    b"x-forwarded-for", b"forwarded", b"", b"\xff",
)  # fmt: skip
ODD_HEADERS = (
    b"203.0.113.9", b"198.51.100.1, 203.0.113.9:1", b"for=203.0.113.9", b'for="[2001:db8::1]"', b'for="',
    b"for=\\", b",", b"", b"\xff\xfe", b"Basic", b"Basic \xff", b"Basic Og==", b"Basic ::::", b"application/json",
    b"text/plain; \x00", b"-1", b"9" * 5_000, b"\xb2", b"1e3", b"multipart/form-data",
)  # fmt: skip


@pytest.mark.anyio
async def test_fuzzed_requests_get_an_answer() -> None:
    """Method, path, query, headers and body: 2,500 of them on each event loop, no 500 and no exception."""
    await check_fuzzed_requests(2_500, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.anyio
async def test_a_hundred_thousand_fuzzed_requests_get_an_answer() -> None:
    """The same, 50,000 times on each of the two event loops."""
    await check_fuzzed_requests(50_000, seed=4)


# --- real servers -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def in_thread(run: Callable[[], None], stop: Callable[[], object]) -> Iterator[None]:
    """Run a server beside the test, and end it with the test."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(TIMEOUT)
        assert not thread.is_alive()


@contextlib.contextmanager
def on_uvicorn(app: Any) -> Iterator[int]:
    """Serve with uvicorn and return the port."""
    # The socket listens before the server runs, so that nobody has to wait for the server.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="on", ws="none", log_config=None, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)

        def stop() -> None:
            server.should_exit = True

        with in_thread(partial(server.run, sockets=[listener]), stop):
            yield listener.getsockname()[1]


@contextlib.contextmanager
def on_hypercorn(app: Any, *, backend: str) -> Iterator[int]:
    """Serve with hypercorn on asyncio or trio and return the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = 5
    config.accesslog = config.errorlog = None
    ended = threading.Event()

    async def until_ended() -> None:
        await anyio.to_thread.run_sync(ended.wait)

    def run() -> None:
        if backend == "trio":
            trio.run(partial(hypercorn.trio.serve, app, config, shutdown_trigger=until_ended))
        else:
            asyncio.run(hypercorn.asyncio.serve(app, config, shutdown_trigger=until_ended))

    with in_thread(run, ended.set):
        yield port


SERVERS: dict[str, Callable[[Any], contextlib.AbstractContextManager[int]]] = {
    "uvicorn": on_uvicorn,
    "hypercorn-asyncio": partial(on_hypercorn, backend="asyncio"),
    "hypercorn-trio": partial(on_hypercorn, backend="trio"),
}
each_server = pytest.mark.parametrize("server", SERVERS)


@each_server
def test_events_arrive_over_http(server: str, dispatcher: Dispatcher, seen: list[Event]) -> None:
    """On each server the secret is asked for, the event handled, the error kept inside."""
    receiver = Receiver(dispatcher, secret=SECRET)
    with SERVERS[server](receiver.asgi()) as port:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False) as client:
            replies = [
                client.post(f"http://pidj:{SECRET}@127.0.0.1:{port}/", content=BODY),
                client.post(f"/hooks/{SECRET}", content=BODY),
                client.post("/", params={"token": SECRET}, content=iter([BODY[:9], BODY[9:]])),
                client.post("/", content=BODY),
                client.post("/hooks/wrong", content=BODY),
                client.post("/", content=b"{", auth=AUTH),
                client.get("/", auth=AUTH),
                client.post("/", json=sample("text-received"), auth=AUTH),
                client.post("/", json=sample("opt-in"), auth=AUTH),
            ]
    assert [200, 200, 200, 401, 401, 400, 405, 500, 200] == [reply.status_code for reply in replies]
    assert [sample("opt-out")] * 3 == [event.raw for event in seen]
    assert {"error": "a handler failed"} == replies[7].json()
    assert replies[3].headers["www-authenticate"].startswith("Basic ")


def talk(port: int, *pieces: bytes) -> bytes:
    """Write to a socket until the other side has had enough, and return its status line."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        received = b""
        with contextlib.suppress(ConnectionError):
            while b"\r\n" not in received and (piece := connection.recv(4096)):
                received += piece
    return received.partition(b"\r\n")[0]


HEAD = f"POST /{SECRET} HTTP/1.1\r\nHost: x\r\n".encode()


@each_server
def test_a_large_body_is_refused_over_http(server: str, dispatcher: Dispatcher, seen: list[Event]) -> None:
    """413 for an announced length before a byte of the body came, and for an endless one while it comes."""
    with SERVERS[server](Receiver(dispatcher, secret=SECRET, max_body_bytes=1_000).asgi()) as port:
        announced = talk(port, HEAD + b"Content-Length: 1001\r\n\r\n")
        endless = talk(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"80\r\n" + b"x" * 128 + b"\r\n"] * 20)
    assert announced.startswith(b"HTTP/1.1 413")
    assert endless.startswith(b"HTTP/1.1 413")
    assert seen == []


@each_server
def test_a_refusal_reaches_a_client_that_is_still_sending(server: str, dispatcher: Dispatcher) -> None:
    """The body that follows a refused head resets nothing: the whole answer can be read, and then the end."""
    with (
        SERVERS[server](Receiver(dispatcher, secret=SECRET).asgi()) as port,
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        received = connection.recv(1)  # the answer comes before the body
        connection.sendall(b"x")
        connection.sendall(b"x" * 8)
        while piece := connection.recv(4096):
            received += piece
    assert received.startswith(b"HTTP/1.1 401")
    assert received.endswith(b'"}')


@each_server
def test_a_slow_body_is_refused_over_http(server: str, dispatcher: Dispatcher, seen: list[Event]) -> None:
    """408 for a body that stops halfway."""
    with SERVERS[server](Receiver(dispatcher, secret=SECRET, body_timeout=0.2).asgi()) as port:
        status = talk(port, HEAD + b"Content-Length: 500\r\n\r\n" + BODY[:100])
    assert status.startswith(b"HTTP/1.1 408")
    assert seen == []


@pytest.mark.parametrize("server", ["hypercorn-asyncio", "hypercorn-trio"])
def test_events_arrive_over_http_2(server: str, dispatcher: Dispatcher, seen: list[Event]) -> None:
    """The same over HTTP/2, a refusal before the body included."""
    with SERVERS[server](Receiver(dispatcher, secret=SECRET).asgi()) as port:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, http1=False, http2=True, timeout=TIMEOUT, trust_env=False) as client:
            replies = [
                client.post("/", content=BODY, auth=AUTH),
                # Hypercorn 0.18 drops an HTTP/2 connection on which a body arrives after its answer has ended
                # (pgjones/hypercorn#329): one more reason to let it arrive.
                client.post("/", content=BODY),
                client.post(f"/{SECRET}", content=BODY),
            ]
    assert [("HTTP/2", 200), ("HTTP/2", 401), ("HTTP/2", 200)] == [
        (one.http_version, one.status_code) for one in replies
    ]
    assert len(seen) == 2
