"""Delivering webhooks: one after the other, in the order of what happened, over real HTTP.

The vendor documents neither retries nor an order. The sandbox keeps the order by trying each webhook to its end (an
answer of 2xx, or the last attempt) before it begins with the next.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx

from pidj_async.errors import ConfigurationError
from pidj_async.sandbox.records import Attempt, Delivery, DeliveryStatus
from pidj_async.sandbox.replies import encode_json

__all__ = ["Deliveries", "check_webhook_url"]


def check_webhook_url(url: str | None) -> str | None:
    """Return a webhook URL that can be delivered to.

    Raises:
        ConfigurationError: If it is not absolute, or not http or https. The URL is not shown: it may hold a secret.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        httpx.URL(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except (ValueError, TypeError, httpx.InvalidURL):
        good = False
    if not good:
        msg = "webhook_url must be an absolute http or https URL such as http://127.0.0.1:8000/webhooks"
        raise ConfigurationError(msg)
    return url


@attrs.define(eq=False)
class _Record:
    body: dict[str, Any]
    status: DeliveryStatus = "pending"
    attempts: tuple[Attempt, ...] = ()
    forgotten: bool = False

    def frozen(self) -> Delivery:
        return Delivery(event=self.body["event"], body=self.body, status=self.status, attempts=self.attempts)


class Deliveries:
    """The queue of webhooks, and the record of what became of them. Safe to use from any thread.

    Args:
        url: Where to deliver; `None` to only keep the record.
        attempts: How often to try each webhook.
        backoff: Seconds before the second attempt; twice as long before each further one.
        timeout: Seconds to wait for the receiver.

    Raises:
        ConfigurationError: If an argument cannot work.
    """

    def __init__(self, url: str | None, *, attempts: int, backoff: float, timeout: float) -> None:
        if attempts < 1:
            msg = f"webhook_attempts must be at least 1; got {attempts!r}"
            raise ConfigurationError(msg)
        if not 0 <= backoff <= 3_600 or not 0 < timeout <= 3_600:
            msg = f"webhook_backoff and webhook_timeout are seconds, up to 3,600; got {backoff!r} and {timeout!r}"
            raise ConfigurationError(msg)
        self._url = check_webhook_url(url)
        self._attempts = attempts
        self._backoff = backoff
        self._timeout = timeout
        # Guards everything below; notified when nothing is left to deliver, and when the worker ends.
        self._changed = threading.Condition()
        self._records: list[_Record] = []
        self._queue: deque[_Record] = deque()
        self._busy = False
        self._wake: Callable[[], object] | None = None
        self._stopped = False

    @property
    def url(self) -> str | None:
        """Where webhooks go from now on, those that are still waiting included."""
        return self._url

    @url.setter
    def url(self, url: str | None) -> None:
        self._url = check_webhook_url(url)

    def put(self, body: dict[str, Any]) -> None:
        """Take a webhook: a dict with an ``event`` in it."""
        with self._changed:
            record = _Record(body)
            self._records.append(record)
            if self._url is None:
                record.status = "skipped"
                return
            self._queue.append(record)
            if self._wake is not None:
                self._wake()

    def snapshot(self) -> tuple[Delivery, ...]:
        """Return every webhook so far, in order."""
        with self._changed:
            return tuple(record.frozen() for record in self._records)

    def clear(self) -> None:
        """Forget everything. A request that is under way is not called back, but it is not tried again either."""
        with self._changed:
            for record in self._records:
                record.forgotten = True
            self._records = []
            self._queue.clear()
            self._notify_if_idle()

    def wait_idle(self, timeout: float) -> None:
        """Wait until every webhook was delivered or given up.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: If it takes longer, or if the sandbox is stopped meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not (self._queue or self._busy), timeout)
            if waiting := len(self._queue) or int(self._busy):
                why = "the sandbox was stopped" if self._stopped else f"{timeout:g} s have passed"
                msg = f"{waiting} webhooks are not delivered yet, and {why}"
                raise TimeoutError(msg)

    def start(self) -> None:
        """Allow waiting again, after `stop`."""
        with self._changed:
            self._stopped = False

    def stop(self) -> None:
        """Send away whoever waits."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    async def run(self) -> None:
        """Deliver, until cancelled. Once at a time, on asyncio."""
        loop = asyncio.get_running_loop()
        something_came = asyncio.Event()
        with self._changed:
            self._wake = lambda: loop.call_soon_threadsafe(something_came.set)
        client: httpx.AsyncClient | None = None
        try:
            while True:
                something_came.clear()
                while record := self._next():
                    if client is None:  # made when it is needed: it takes longer than starting the whole sandbox
                        # A proxy from the environment would be asked to reach this very machine.
                        client = httpx.AsyncClient(timeout=self._timeout, trust_env=False, headers=_HEADERS)
                    await self._deliver(client, record)
                    self._done(record)
                await something_came.wait()
        finally:
            with self._changed:
                self._wake = None
                self._busy = False
            if client is not None:
                await client.aclose()

    def _next(self) -> _Record | None:
        with self._changed:
            self._busy = bool(self._queue)
            return self._queue[0] if self._queue else None

    def _done(self, record: _Record) -> None:
        with self._changed:
            # `clear` may have emptied the queue, and others filled it again, meanwhile.
            if self._queue and self._queue[0] is record:
                self._queue.popleft()
            self._busy = False
            self._notify_if_idle()

    def _notify_if_idle(self) -> None:
        if not self._queue and not self._busy:
            self._changed.notify_all()

    async def _deliver(self, client: httpx.AsyncClient, record: _Record) -> None:
        content = encode_json(record.body)
        for number in range(self._attempts):
            if number:
                await asyncio.sleep(self._backoff * 2 ** (number - 1))
            if record.forgotten:
                return
            attempt = await _post(client, self._url, content)
            succeeded = attempt.status_code is not None and 200 <= attempt.status_code < 300
            with self._changed:
                record.attempts += (attempt,)
                if succeeded:
                    record.status = "delivered"
                    return
        with self._changed:
            record.status = "failed"


_HEADERS = {"User-Agent": "pidj-sandbox", "Content-Type": "application/json"}


async def _post(client: httpx.AsyncClient, url: str | None, content: bytes) -> Attempt:
    if url is None:  # taken away while this one was waiting
        return Attempt(error="NoWebhookUrl")
    try:
        response = await client.post(url, content=content)
    except Exception as error:  # noqa: BLE001  whatever it is belongs into the record, and must not end the worker
        return Attempt(error=type(error).__name__)
    return Attempt(status_code=response.status_code)
