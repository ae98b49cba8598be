"""A receiver with an inbox behind each adapter: stored, acknowledged, and handled in the same process."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from aiohttp import web
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette

from pidj_async.errors import ConfigurationError
from pidj_async.store import Store
from pidj_async.webhooks import Dispatcher, Event, Inbox, OptedOut, Receiver, WebhookRequest, sample
from pidj_async.webhooks.adapters import portal
from pidj_async.webhooks.adapters.aiohttp import aiohttp_handler, aiohttp_lifespan
from pidj_async.webhooks.adapters.asgi import asgi_lifespan
from pidj_async.webhooks.adapters.aws_lambda import lambda_handler
from pidj_async.webhooks.adapters.fastapi import fastapi_router
from pidj_async.webhooks.adapters.portal import receive_on_portal, shared_portal
from pidj_async.webhooks.adapters.starlette import starlette_routes

from .test_lambda import HTTP_API
from .test_lambda import SECRET as LAMBDA_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "correct-horse-battery"
BODY = json.dumps(sample("opt-out")).encode()
PATIENCE = 20.0


@pytest.fixture
def handled() -> threading.Event:
    """Set when the handler has run."""
    return threading.Event()


@pytest.fixture
def dispatcher(handled: threading.Event) -> Dispatcher:
    """One handler."""
    dispatcher = Dispatcher()

    @dispatcher.on(OptedOut)
    async def remember(_event: OptedOut) -> None:
        handled.set()

    return dispatcher


@pytest.fixture
def receiver(dispatcher: Dispatcher, tmp_path: Path) -> Receiver:
    """A receiver with an inbox."""
    return Receiver(dispatcher, secret=SECRET, inbox=Inbox(Store(f"sqlite:///{tmp_path}/x.db")))


@pytest.fixture
def fresh_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A shared event loop for this test alone, which ends as it does with a program."""
    monkeypatch.setattr(portal, "_shared", portal._Shared())
    yield
    portal._close()


async def lives_through(app: Any, url: str, handled: threading.Event) -> None:
    """Post an event to an ASGI application whose lifespan is run, and wait until it is handled."""
    to_app, messages = anyio.create_memory_object_stream[dict[str, Any]](2)
    sent, from_app = anyio.create_memory_object_stream[Any](2)
    async with to_app, messages, sent, from_app, anyio.create_task_group() as group:
        group.start_soon(app, {"type": "lifespan", "state": {}}, messages.receive, sent.send)
        await to_app.send({"type": "lifespan.startup"})
        assert "lifespan.startup.complete" == (await from_app.receive())["type"]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            assert {"status": "stored"} == (await client.post(url, content=BODY)).json()
        assert await anyio.to_thread.run_sync(handled.wait, PATIENCE)
        await to_app.send({"type": "lifespan.shutdown"})
        assert "lifespan.shutdown.complete" == (await from_app.receive())["type"]


@pytest.mark.anyio
async def test_a_fastapi_router_brings_its_lifespan_along(receiver: Receiver, handled: threading.Event) -> None:
    """Through as many routers as there are."""
    app, api = FastAPI(), APIRouter(prefix="/api")
    api.include_router(fastapi_router(receiver, "/hooks"))
    app.include_router(api)
    await lives_through(app, f"/api/hooks/{SECRET}", handled)


@pytest.mark.anyio
async def test_starlette_is_given_the_lifespan(receiver: Receiver, handled: threading.Event) -> None:
    """As the documentation says."""
    app = Starlette(routes=starlette_routes(receiver, "/hooks"), lifespan=lambda _app: receiver.lifespan())
    await lives_through(app, f"/hooks/{SECRET}", handled)


@pytest.mark.anyio
async def test_an_application_without_a_lifespan_gets_one(receiver: Receiver, handled: threading.Event) -> None:
    """Around an application that, like Django's, does not know the protocol."""
    inner = receiver.asgi()

    async def no_lifespan(scope: Any, receive: Any, send: Any) -> None:
        assert "http" == scope["type"]
        await inner(scope, receive, send)

    await lives_through(asgi_lifespan(no_lifespan, receiver), f"/hooks/{SECRET}", handled)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_aiohttp_has_a_cleanup_context_for_it(receiver: Receiver, handled: threading.Event) -> None:
    """On aiohttp's own server."""
    app = web.Application()
    app.router.add_post("/hooks/{secret}", aiohttp_handler(receiver))
    app.cleanup_ctx.append(aiohttp_lifespan(receiver))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with httpx.AsyncClient(trust_env=False) as client:
            reply = await client.post(f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/{SECRET}", content=BODY)
        assert {"status": "stored"} == reply.json()
        assert await anyio.to_thread.run_sync(handled.wait, PATIENCE)
    finally:
        await runner.cleanup()


REQUEST = WebhookRequest(method="POST", path=f"/hooks/{SECRET}", body=BODY)


@pytest.mark.anyio
async def test_leaving_the_lifespan_closes_the_store(receiver: Receiver) -> None:
    """Nothing is left to be closed; and a store that is used again opens itself."""
    assert receiver.inbox is not None
    engine = receiver.inbox.store._engine
    for _ in range(2):
        async with receiver.lifespan():
            assert 200 == (await receiver.receive(REQUEST)).status
            assert engine.pool.checkedin() + engine.pool.checkedout() > 0  # type: ignore[attr-defined]
        assert 0 == engine.pool.checkedin() + engine.pool.checkedout()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("fresh_loop")
def test_without_a_loop_of_its_own_the_shared_one_runs_it(receiver: Receiver, handled: threading.Event) -> None:
    """From the first request on, once, however many threads come first."""
    opened: list[int] = []
    lifespan = receiver.lifespan
    receiver.lifespan = lambda: opened.append(1) or lifespan()  # type: ignore[func-returns-value, method-assign]
    threads = [threading.Thread(target=receive_on_portal, args=(receiver, REQUEST)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert handled.wait(PATIENCE)
    assert {200: 4} == receiver.stats.replies
    assert [1] == opened


@pytest.mark.usefixtures("fresh_loop")
def test_a_store_that_cannot_be_opened_is_a_503_until_it_can(
    dispatcher: Dispatcher, handled: threading.Event, tmp_path: Path
) -> None:
    """The next request tries again."""
    folder = tmp_path / "not-yet"
    receiver = Receiver(dispatcher, secret=SECRET, inbox=Inbox(Store(f"sqlite:///{folder}/x.db")))
    assert 503 == receive_on_portal(receiver, REQUEST).status
    folder.mkdir()
    assert 200 == receive_on_portal(receiver, REQUEST).status
    assert handled.wait(PATIENCE)


@pytest.mark.usefixtures("fresh_loop")
def test_an_inbox_that_ends_is_started_again(
    receiver: Receiver, handled: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the next event, and the log says so."""
    assert receiver.inbox is not None
    run = receiver.inbox.run
    ended = threading.Event()

    async def fail(_dispatcher: Dispatcher) -> None:
        ended.set()
        raise RuntimeError("out of order")

    monkeypatch.setattr(receiver.inbox, "run", fail)
    assert 200 == receive_on_portal(receiver, REQUEST).status
    assert ended.wait(PATIENCE)
    monkeypatch.setattr(receiver.inbox, "run", run)
    # What ended the inbox runs on the loop, and so has been seen to by the time that this has.
    shared_portal().call(anyio.wait_all_tasks_blocked)
    assert 200 == receive_on_portal(receiver, REQUEST).status
    assert handled.wait(PATIENCE)
    assert "the inbox has ended" in caplog.text


def test_lambda_only_stores(dispatcher: Dispatcher, tmp_path: Path) -> None:
    """Nothing runs between two invocations, so the events are another process's; whoever forgets that is told."""
    inbox = Inbox(Store(f"sqlite:///{tmp_path}/x.db"))
    with pytest.raises(ConfigurationError, match="pass run_inbox=False"):
        lambda_handler(Receiver(dispatcher, secret=LAMBDA_SECRET, inbox=inbox))
    handler = lambda_handler(Receiver(dispatcher, secret=LAMBDA_SECRET, inbox=inbox, run_inbox=False))
    assert '{"status": "stored"}' == handler(HTTP_API, None)["body"]
    seen: list[Event] = []
    elsewhere = Dispatcher()
    elsewhere.on(Event)(seen.append)
    assert 1 == shared_portal().call(inbox.drain, elsewhere)
    assert ["opt-out"] == [event.name for event in seen]
    shared_portal().call(inbox.store.aclose)
