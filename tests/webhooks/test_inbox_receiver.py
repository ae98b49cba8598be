"""A receiver with an inbox: what is answered, when, and that a store which cannot be written asks for a retry."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest

from pidj_async.errors import ConfigurationError, StoreError
from pidj_async.store import Store
from pidj_async.suppressions import Suppressions
from pidj_async.webhooks import Dispatcher, Event, Inbox, OptedOut, Receiver, WebhookReply, WebhookRequest, sample

from ..stores import new_schema  # noqa: TID252  tests import one another so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

SECRET = "correct-horse-battery"
MARIA = "+18885553333"
PATIENCE = 20.0


def request(body: bytes | None = None, **changes: Any) -> WebhookRequest:
    posted = json.dumps(sample("opt-out")).encode() if body is None else body
    return WebhookRequest(**{"method": "POST", "path": f"/hooks/{SECRET}", "body": posted, **changes})


def outcome(reply: WebhookReply) -> tuple[int, str | None]:
    return reply.status, dict(reply.headers).get("retry-after")


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(store_url) as store:
        yield store


async def test_the_answer_comes_after_the_commit_and_before_the_handlers(store: Store, store_url: str) -> None:
    """Whoever looks into the database when the 200 comes finds the event; no handler has run."""
    dispatcher = Dispatcher()
    seen: list[Event] = []
    dispatcher.on(OptedOut)(seen.append)
    inbox = Inbox(store)
    receiver = Receiver(dispatcher, secret=SECRET, inbox=inbox)
    assert outcome(await receiver.receive(request())) == (200, None)
    async with Store(store_url) as other:
        (record,) = await Inbox(other).list()
        assert (record.state, record.body) == ("pending", request().body)
        assert await Suppressions(other).is_suppressed(MARIA)
    assert seen == []
    await inbox.drain(dispatcher)
    assert len(seen) == 1


async def test_a_handler_that_fails_is_no_concern_of_the_senders(store: Store) -> None:
    """It is tried again here."""
    dispatcher = Dispatcher()

    @dispatcher.on(OptedOut)
    async def breaks(event: OptedOut) -> None:
        raise RuntimeError(event.name)

    inbox = Inbox(store)
    receiver = Receiver(dispatcher, secret=SECRET, inbox=inbox)
    assert outcome(await receiver.receive(request())) == (200, None)
    await inbox.drain(dispatcher)
    assert outcome(await receiver.receive(request())) == (200, None)
    assert (await inbox.counts())["pending"] == 2


@pytest.mark.parametrize(
    ("body", "status", "stored"),
    [
        (b"{", 400, 0),
        (b"[]", 400, 0),
        (b'{"event": 5}', 400, 0),
        (b'{"event": "moon-risen"}', 200, 1),
        (b'{"event": "opt-out", "contact": 5}', 200, 1),
        (b'{"event": "opt-out", "contact": {"phone": "\\u0000"}}', 200, 1),
        (b'{"event": "text-received", "text": {"message": "\\ud800"}}', 200, 1),
    ],
)
async def test_only_what_is_no_event_is_refused(store: Store, body: bytes, status: int, stored: int) -> None:
    """Unknown events and surprising shapes are stored."""
    inbox = Inbox(store)
    receiver = Receiver(Dispatcher(), secret=SECRET, inbox=inbox)
    assert outcome(await receiver.receive(request(body))) == (status, None)
    assert (await inbox.counts())["pending"] == stored


async def test_the_wrong_secret_stores_nothing(store: Store) -> None:
    """Who may not post does not reach the inbox."""
    inbox = Inbox(store)
    receiver = Receiver(Dispatcher(), secret=SECRET, inbox=inbox)
    assert outcome(await receiver.receive(request(path="/hooks/guess"))) == (401, None)
    assert (await inbox.counts())["pending"] == 0


@pytest.mark.parametrize(
    "place",
    [
        {"path": f"/hooks/{SECRET}"},
        {"path": "/", "query": f"secret={SECRET}"},
        {"path": "/", "headers": [("authorization", "Basic cGlkajpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=")]},
    ],
)
async def test_the_secret_is_in_no_file_of_the_store(tmp_path: Path, place: dict[str, Any]) -> None:
    """Wherever it came, and whatever proxies made of it."""
    own = place.get("headers", [])
    proxy = [("x-original-url", f"https://x/hooks/{SECRET}"), ("x-trace", f"{place.get('path')}?{place.get('query')}")]
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        receiver = Receiver(Dispatcher(), secret=SECRET, inbox=Inbox(store))
        kept = {**place, "headers": [*own, *proxy, ("user-agent", "Pidj/1.0")]}
        assert outcome(await receiver.receive(request(**kept))) == (200, None)
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # noqa: ASYNC240
    assert (SECRET.encode() in written, b"cGlkajp" in written, b"Pidj/1.0" in written) == (False, False, True)


# --- a store that cannot be written -------------------------------------------------------------------------------


async def test_a_full_disk_asks_for_a_retry(tmp_path: Path) -> None:
    """503 with Retry-After while there is no room, 200 as soon as there is; nothing accepted is lost."""
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        inbox = Inbox(store, retry_after=7)
        receiver = Receiver(Dispatcher(), secret=SECRET, inbox=inbox)
        big = json.dumps(sample("opt-out", note="x" * 100_000)).encode()
        assert outcome(await receiver.receive(request())) == (200, None)
        raw = store._engine.raw_connection()
        pages = raw.cursor().execute("PRAGMA page_count").fetchone()[0]
        raw.cursor().execute(f"PRAGMA max_page_count={pages + 2}")
        raw.close()
        assert outcome(await receiver.receive(request(big))) == (503, "7")
        raw = store._engine.raw_connection()
        raw.cursor().execute("PRAGMA max_page_count=1000000")
        raw.close()
        assert outcome(await receiver.receive(request(big))) == (200, None)
        assert [len(record.body) > 100_000 for record in await inbox.list()] == [True, False]
    assert receiver.stats.replies == {200: 2, 503: 1}


async def test_a_locked_database_asks_for_a_retry(tmp_path: Path) -> None:
    """Another process keeps its transaction open for longer than the store's patience."""
    async with Store(f"sqlite:///{tmp_path}/x.db?timeout=0.05") as store:
        inbox = Inbox(store)
        receiver = Receiver(Dispatcher(), secret=SECRET, inbox=inbox)
        blocker = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        assert outcome(await receiver.receive(request())) == (503, "10")
        blocker.execute("COMMIT")
        blocker.close()
        assert outcome(await receiver.receive(request())) == (200, None)


async def test_a_read_only_database_asks_for_a_retry(tmp_path: Path) -> None:
    """As on a file system that was mounted read-only after an error."""
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        await store.write(lambda _: None)
    url = f"sqlite:///file:{tmp_path}/x.db?mode=ro&uri=true"
    read_only = Store(url)
    receiver = Receiver(Dispatcher(), secret=SECRET, inbox=Inbox(read_only))
    assert outcome(await receiver.receive(request())) == (503, "10")
    await read_only.aclose()


async def test_a_database_that_is_not_there_asks_for_a_retry(tmp_path: Path) -> None:
    """It may be there later: then it is used, without a restart."""
    folder = tmp_path / "mounted later"
    store = Store(f"sqlite:///{folder}/x.db")
    receiver = Receiver(Dispatcher(), secret=SECRET, inbox=Inbox(store))
    assert outcome(await receiver.receive(request())) == (503, "10")
    folder.mkdir()
    assert outcome(await receiver.receive(request())) == (200, None)
    await store.aclose()


async def test_a_lost_connection_to_the_server_is_mended(postgresql: str) -> None:
    """An administrator ends the connections: at most one answer is a 503, and then all is well again."""
    store = Store(new_schema(postgresql))
    receiver = Receiver(Dispatcher(), secret=SECRET, inbox=Inbox(store))
    assert outcome(await receiver.receive(request())) == (200, None)
    with psycopg.connect(postgresql, autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = "
            "'client backend'"
        )
    assert (await receiver.receive(request())).status in {200, 503}
    assert outcome(await receiver.receive(request())) == (200, None)
    await store.aclose()


# --- the lifespan -------------------------------------------------------------------------------------------------


class Server:
    """As much of an ASGI server as the lifespan protocol needs."""

    def __init__(self, receiver: Receiver) -> None:
        self.app = receiver.asgi()
        self.sent: list[str] = []
        self.started = anyio.Event()
        self.stop = anyio.Event()
        self._turn = 0

    async def receive(self) -> dict[str, Any]:
        self._turn += 1
        if self._turn == 1:
            return {"type": "lifespan.startup"}
        await self.stop.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Any) -> None:
        self.sent.append(message["type"].removeprefix("lifespan."))
        self.started.set()

    async def run(self) -> None:
        await self.app({"type": "lifespan"}, self.receive, self.send)


@pytest.mark.parametrize("run_inbox", [True, False])
async def test_the_lifespan_handles_events_unless_told_not_to(store: Store, run_inbox: bool) -> None:  # noqa: FBT001
    """An app that is served by itself needs nothing else; with `run_inbox` off, another process sees to the events."""
    dispatcher = Dispatcher()
    handled = anyio.Event()

    @dispatcher.on(OptedOut)
    async def answer(_: OptedOut) -> None:
        handled.set()

    inbox = Inbox(store)
    receiver = Receiver(dispatcher, secret=SECRET, inbox=inbox, run_inbox=run_inbox)
    server = Server(receiver)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        await server.started.wait()
        assert outcome(await receiver.receive(request())) == (200, None)
        if run_inbox:
            with anyio.fail_after(PATIENCE):
                await handled.wait()
        server.stop.set()
    assert server.sent == ["startup.complete", "shutdown.complete"]
    assert handled.is_set() == run_inbox
    assert (await inbox.counts())["handled"] == int(run_inbox)


async def test_a_store_that_cannot_be_opened_fails_the_start(tmp_path: Path) -> None:
    """A server that cannot keep anything should not begin; it says why."""
    receiver = Receiver(Dispatcher(), secret=SECRET, inbox=Inbox(Store(f"sqlite:///{tmp_path}/none/x.db")))
    server = Server(receiver)
    with pytest.raises(StoreError):
        await server.run()
    assert server.sent == ["startup.failed"]


async def test_a_program_that_is_set_up_wrongly_ends_the_lifespan_with_its_reason(store: Store) -> None:
    """A handler that wants what nobody provides: the events stay, and the server is told."""
    dispatcher = Dispatcher()

    @dispatcher.on(OptedOut)
    async def wants_more(event: OptedOut, path: Path) -> None: ...

    inbox = Inbox(store)
    receiver = Receiver(dispatcher, secret=SECRET, inbox=inbox)
    assert outcome(await receiver.receive(request())) == (200, None)
    server = Server(receiver)
    with pytest.raises(ConfigurationError, match="Path"):
        await server.run()
    assert server.sent == ["startup.complete", "shutdown.failed"]
    assert (await inbox.counts())["pending"] == 1


async def test_without_an_inbox_the_lifespan_does_nothing() -> None:
    """And may be opened all the same."""
    async with Receiver(Dispatcher(), secret=SECRET).lifespan():
        pass


async def test_a_receiver_that_nobody_lets_handle_says_so_once(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A mounted application is not told of the lifespan: without a word, its events would lie in the store for ever."""
    async with Store(store_url) as store:
        receiver = Receiver(Dispatcher(), insecure=True, inbox=Inbox(store))
        request = WebhookRequest(method="POST", path="/", body=b'{"event": "opt-in", "phone": "+18885550101"}')
        for _ in range(2):
            assert (await receiver.receive(request)).status == 200
        quiet = Receiver(Dispatcher(), insecure=True, inbox=Inbox(store), run_inbox=False)
        assert (await quiet.receive(request)).status == 200

    assert [record.message.partition(":")[0] for record in caplog.records if record.levelname == "WARNING"] == [
        "events are being stored, and nothing here handles them"
    ]
