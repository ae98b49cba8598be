"""Health and metrics as ASGI applications, to be mounted beside a receiver. Neither asks for the webhook's secret.

::

    Mount("/health", health_app(receiver))
    Mount("/metrics", metrics_app(Metrics(receiver)))
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from pidj_async.webhooks.adapters.asgi import ASGIApp, Receive, Send
from pidj_async.webhooks.health import check_health

if TYPE_CHECKING:
    from pidj_async.webhooks.metrics import Metrics
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["health_app", "metrics_app"]

Page = tuple[int, bytes, str]


def health_app(receiver: Receiver) -> ASGIApp:
    """Make an ASGI application that says whether a receiver can take events: 200, or 503 if it cannot.

    Args:
        receiver: The receiver.
    """

    async def page() -> Page:
        health = await check_health(receiver)
        told = {"status": "ok"} if health.ok else {"status": "failing", "problem": health.problem}
        return 200 if health.ok else 503, json.dumps(told).encode(), "application/json"

    return _app(page)


def metrics_app(metrics: Metrics) -> ASGIApp:
    """Make an ASGI application that Prometheus can scrape.

    Args:
        metrics: The counters.
    """

    async def page() -> Page:
        return 200, *await metrics.render()

    return _app(page)


def _app(page: Callable[[], Awaitable[Page]]) -> ASGIApp:
    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:  # noqa: ARG001
        if scope["type"] != "http":
            msg = f"this application answers HTTP only, not {scope['type']!r}"
            raise NotImplementedError(msg)
        headers = [(b"cache-control", b"no-store")]
        if scope["method"] in {"GET", "HEAD"}:
            status, body, content_type = await page()
            headers.append((b"content-type", content_type.encode()))
        else:
            status, body = 405, b""
            headers.append((b"allow", b"GET, HEAD"))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app
