"""Counters for Prometheus. They need the extra ``prometheus``.

::

    metrics = Metrics(receiver)
    body, content_type = await metrics.render()

==================================================  =========  ========================================================
metric                                              labels     what it is
==================================================  =========  ========================================================
``pidj_webhook_replies_total``                      status     the receiver's replies
``pidj_webhook_events_total``                       event      the events that came; ``unknown`` for any that this
                                                               version does not know
``pidj_webhook_dispatch_seconds`` (histogram)       event,     how long all handlers of an event took together;
                                                    outcome    ``ok``, ``failed``, ``unhandled``
``pidj_webhook_handler_seconds`` (histogram)        handler,   how long each handler took; ``ok``, ``failed``,
                                                    outcome    ``refused``
``pidj_inbox_events`` (gauge)                       state      the events in the inbox
``pidj_inbox_readable`` (gauge)                                1, or 0 if the store did not answer
==================================================  =========  ========================================================

There is no personal data in them: no number, no id, nothing that was written, and no name that somebody else chose.
The first four are of this process, since it was started; the inbox's are the same for all processes on a store.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pidj_async.errors import ConfigurationError, PidjError
from pidj_async.webhooks.events import EVENT_TYPES, Event
from pidj_async.webhooks.middleware import outcome_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from pidj_async.webhooks.dispatcher import CallNext, DispatchReport
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["Metrics"]


class Metrics:
    """The counters of one receiver, its dispatcher and its inbox.

    It registers a middleware with the receiver's dispatcher. Make it where the receiver is made.

    Args:
        receiver: What is counted.
        registry: Where to register the metrics, if there are others to be served along with them; one of its own if
            left out. What is in it of the inbox is as old as the last `refresh`.

    Raises:
        ConfigurationError: prometheus-client is not installed, or an event has already been dispatched.
    """

    def __init__(self, receiver: Receiver, *, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import CollectorRegistry, Histogram  # noqa: PLC0415  # an extra
        except ImportError as error:
            msg = 'metrics need prometheus-client; install it with: pip install "pidj-async[prometheus]"'
            raise ConfigurationError(msg) from error
        self.registry = CollectorRegistry() if registry is None else registry
        self._receiver = receiver
        self._inbox_counts: Mapping[str, int] | None = None
        receiver.dispatcher.middleware(self._measure)
        self._dispatches = Histogram(
            "pidj_webhook_dispatch_seconds",
            "How long all handlers of an event took together.",
            ["event", "outcome"],
            registry=self.registry,
        )
        self._handlers = Histogram(
            "pidj_webhook_handler_seconds",
            "How long a handler took.",
            ["handler", "outcome"],
            registry=self.registry,
        )
        self.registry.register(self)

    async def refresh(self) -> None:
        """Ask the inbox, if there is one, how many events it has."""
        inbox = self._receiver.inbox
        if inbox is None:
            return
        try:
            self._inbox_counts = {str(state): count for state, count in (await inbox.counts()).items()}
        except PidjError:
            self._inbox_counts = None

    async def render(self) -> tuple[bytes, str]:
        """Refresh the metrics and write them down.

        Returns:
            The reply to whoever scrapes, and its content type.
        """
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415

        await self.refresh()
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def collect(self) -> Iterable[Metric]:
        """Say what was counted, as a registry asks."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        stats = self._receiver.stats
        replies = CounterMetricFamily("pidj_webhook_replies", "The receiver's replies.", labels=["status"])
        for status, count in sorted(stats.replies.items()):
            replies.add_metric([str(status)], count)
        yield replies
        events = CounterMetricFamily("pidj_webhook_events", "The events that came.", labels=["event"])
        for name in EVENT_TYPES:
            events.add_metric([name], stats.events.get(name, 0))
        events.add_metric(["unknown"], sum(each.count for each in self._receiver.shapes.unknown_events))
        yield events
        if self._receiver.inbox is None:
            return
        counts = self._inbox_counts
        yield GaugeMetricFamily("pidj_inbox_readable", "Whether the store answered.", value=int(counts is not None))
        if counts is not None:
            states = GaugeMetricFamily("pidj_inbox_events", "The events in the inbox.", labels=["state"])
            for state, count in counts.items():
                states.add_metric([state], count)
            yield states

    def describe(self) -> Iterable[Metric]:
        """Name the metrics, as a registry asks when they are registered."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        yield CounterMetricFamily("pidj_webhook_replies", "The receiver's replies.")
        yield CounterMetricFamily("pidj_webhook_events", "The events that came.")
        if self._receiver.inbox is not None:
            yield GaugeMetricFamily("pidj_inbox_readable", "Whether the store answered.")
            yield GaugeMetricFamily("pidj_inbox_events", "The events in the inbox.")

    async def _measure(self, event: Event, call_next: CallNext) -> DispatchReport:
        started = time.perf_counter()
        report = await call_next(event)
        name = event.name if event.name in EVENT_TYPES else "unknown"
        self._dispatches.labels(name, outcome_of(report)).observe(time.perf_counter() - started)
        for each in report.results:
            self._handlers.labels(each.handler, each.outcome).observe(each.duration)
        return report
