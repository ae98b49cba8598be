"""Health and counters: true, and nobody's business."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from pidj_async.errors import ConfigurationError
from pidj_async.store import Store
from pidj_async.webhooks import Dispatcher, Event, Inbox, Receiver, TextReceived, WebhookRequest, sample
from pidj_async.webhooks.adapters.monitoring import health_app, metrics_app
from pidj_async.webhooks.health import Health, check_health
from pidj_async.webhooks.metrics import Metrics

if TYPE_CHECKING:
    from pidj_async.webhooks.adapters.asgi import ASGIApp

pytestmark = pytest.mark.anyio

SECRET = "s3cret-nobody-may-see-1"


async def get(app: ASGIApp, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "method": method, "path": "/", "headers": []}, receive, send)
    start, body = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


def posted(event: dict[str, Any], secret: str = SECRET) -> WebhookRequest:
    return WebhookRequest(method="POST", path=f"/{secret}", body=json.dumps(event).encode())


def lines_of(text: bytes, *names: str) -> list[str]:
    return [line for line in text.decode().splitlines() if line.startswith(names)]


async def test_counts_replies_events_and_durations() -> None:
    """Every reply, every event by its name, every handler with its outcome; an unknown name is not repeated."""
    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def answer(event: TextReceived) -> None:
        raise ValueError(event.message)

    receiver = Receiver(dispatcher, secret=SECRET)
    metrics = Metrics(receiver)
    for request in (
        posted(sample("text-received")),
        posted(sample("opt-out")),
        posted({"event": "Maria +18885553333", "name": "Maria"}),
        posted(sample("opt-in"), secret="wrong"),
    ):
        await receiver.receive(request)
    text, content_type = await metrics.render()
    assert content_type.startswith("text/plain; version=")
    name = f"{answer.__module__}.{answer.__qualname__}"
    expected = [
        'pidj_webhook_dispatch_seconds_count{event="text-received",outcome="failed"} 1.0',
        'pidj_webhook_dispatch_seconds_count{event="opt-out",outcome="unhandled"} 1.0',
        'pidj_webhook_dispatch_seconds_count{event="unknown",outcome="unhandled"} 1.0',
        f'pidj_webhook_handler_seconds_count{{handler="{name}",outcome="failed"}} 1.0',
        'pidj_webhook_replies_total{status="200"} 2.0',
        'pidj_webhook_replies_total{status="401"} 1.0',
        'pidj_webhook_replies_total{status="500"} 1.0',
    ]
    names = ("pidj_webhook_dispatch_seconds_count", "pidj_webhook_handler_seconds_count", "pidj_webhook_replies_total")
    assert expected == lines_of(text, *names)
    events = {line.split('"')[1]: float(line.split()[-1]) for line in lines_of(text, "pidj_webhook_events_total")}
    assert {"text-received": 1, "opt-out": 1, "unknown": 1} == {name: count for name, count in events.items() if count}
    assert 10 == len(events)
    assert not any(private in text for private in (b"Maria", b"8885553333", SECRET.encode()))
    assert lines_of(text, "pidj_inbox") == []


async def test_counts_the_inbox(store_url: str) -> None:
    """By state, each time anew; if the store does not answer there are no counts, and a 0 that can be alarmed on."""
    store = Store(store_url)
    receiver = Receiver(Dispatcher(), secret=SECRET, inbox=Inbox(store))
    metrics = Metrics(receiver)
    async with store:
        await receiver.receive(posted(sample("text-received")))
        text, _ = await metrics.render()
        assert ["pidj_inbox_readable 1.0", 'pidj_inbox_events{state="pending"} 1.0'] == [
            line for line in lines_of(text, "pidj_inbox") if not line.endswith(" 0.0")
        ]
        await store.write(lambda connection: connection.exec_driver_sql("DROP TABLE pidj_events"))
        text, _ = await metrics.render()
    assert ["pidj_inbox_readable 0.0"] == lines_of(text, "pidj_inbox")


async def test_a_registry_of_ones_own_is_filled() -> None:
    """The metrics stand among the program's others."""
    registry = CollectorRegistry()
    Counter("tea", "Cups.", registry=registry).inc()
    receiver = Receiver(Dispatcher(), secret=SECRET)
    metrics = Metrics(receiver, registry=registry)
    await receiver.receive(posted(sample("opt-out")))
    text = generate_latest(registry)
    assert text == (await metrics.render())[0]
    assert ["tea_total 1.0"] == lines_of(text, "tea_total")
    assert ['pidj_webhook_replies_total{status="200"} 1.0'] == lines_of(text, "pidj_webhook_replies_total")


async def test_metrics_come_before_the_first_event() -> None:
    """Later it would have missed some."""
    dispatcher = Dispatcher()
    await dispatcher.dispatch(Event(name="x"))
    with pytest.raises(ConfigurationError, match="too late"):
        Metrics(Receiver(dispatcher, secret=SECRET))


def test_without_the_extra_it_is_named() -> None:
    """The error says what to install."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from pidj_async.webhooks import Dispatcher, Receiver\n"
        "from pidj_async.webhooks.metrics import Metrics\n"
        "try: Metrics(Receiver(Dispatcher(), insecure=True))\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert 'metrics need prometheus-client; install it with: pip install "pidj-async[prometheus]"\n' == done.stdout


async def test_health_is_the_stores(tmp_path: Path) -> None:
    """Well with a store that answers and without any; with one that does not, 503 and not a word of where it is."""
    assert Health(ok=True) == await check_health(Receiver(Dispatcher(), secret=SECRET))
    store = Store(f"sqlite:///{tmp_path / 'pidj.db'}")
    app = health_app(Receiver(Dispatcher(), secret=SECRET, inbox=Inbox(store)))
    async with store:
        status, headers, body = await get(app)
        assert (200, b'{"status": "ok"}') == (status, body)
        assert ("application/json", "no-store") == (headers["content-type"], headers["cache-control"])
        await store.write(lambda connection: connection.exec_driver_sql("DROP TABLE pidj_meta"))
        status, _, body = await get(app)
    assert (503, {"status": "failing", "problem": "the store cannot be read"}) == (status, json.loads(body))


async def test_both_pages_are_only_read() -> None:
    """HEAD has no body, POST is refused, and what is not HTTP is not theirs."""
    receiver = Receiver(Dispatcher(), secret=SECRET)
    for app in (health_app(receiver), metrics_app(Metrics(receiver))):
        status, headers, body = await get(app)
        assert (200, str(len(body))) == (status, headers["content-length"])
        status, headers, body = await get(app, "HEAD")
        assert (200, b"") == (status, body)
        status, headers, body = await get(app, "POST")
        assert (405, "GET, HEAD", b"") == (status, headers["allow"], body)
        with pytest.raises(NotImplementedError):
            await app({"type": "websocket"}, None, None)  # type: ignore[arg-type]
