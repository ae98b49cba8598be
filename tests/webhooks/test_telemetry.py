"""Spans: what they tell, and what they do not."""

from __future__ import annotations

import sys
from unittest import mock

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks import Contact, Dispatcher, Event, Group, Text, TextReceived, UnknownEvent, trace_events

TEXT = TextReceived(
    text=Text(
        message="my secret plan",
        phone_from="+18885557777",
        group=Group(id="gr:sales"),
        contact=Contact(id="co:1", first_name="Josephine"),
    )
)


class Spans:
    """A dispatcher, and the spans that it has made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.dispatcher = Dispatcher()
        self.dispatcher.middleware(trace_events(self.provider))

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        """Those that have ended, in that order."""
        return self._exporter.get_finished_spans()


@pytest.fixture
def spans() -> Spans:
    """New ones."""
    return Spans()


@pytest.mark.anyio
async def test_an_event_is_a_span_with_what_became_of_it(spans: Spans) -> None:
    """Its name, its handlers and their outcomes; an error is a class and nothing more."""

    @spans.dispatcher.on(TextReceived)
    async def works(_: TextReceived) -> None: ...

    @spans.dispatcher.on(TextReceived)
    async def fails(event: TextReceived) -> None:
        raise ValueError(event.message)

    report = await spans.dispatcher.dispatch(TEXT)
    (span,) = spans.finished
    assert (span.name, span.kind) == ("pidj text-received", trace.SpanKind.CONSUMER)
    assert span.status.status_code is trace.StatusCode.ERROR
    assert dict(span.attributes or {}) == {
        "pidj.event.name": "text-received",
        "pidj.outcome": "failed",
        "pidj.handlers": tuple(result.handler for result in report.results),
        "pidj.handler.outcomes": ("ok", "failed"),
        "pidj.handler.durations": tuple(result.duration for result in report.results),
        "error.type": "ValueError",
    }
    assert list(span.events) == []
    shown = span.to_json()
    assert [secret for secret in ("secret plan", "5557777", "Josephine", "co:1", "gr:sales") if secret in shown] == []


@pytest.mark.anyio
async def test_what_went_well_is_not_an_error(spans: Spans) -> None:
    """Nor is an event that nobody wanted; the name of an unknown one, which anybody can choose, is not told."""
    spans.dispatcher.on(TextReceived)(lambda _: None)
    await spans.dispatcher.dispatch(TEXT)
    await spans.dispatcher.dispatch(UnknownEvent(name="call +18885557777"))
    told = [(span.name, (span.attributes or {})["pidj.outcome"], span.status.status_code) for span in spans.finished]
    assert told == [
        ("pidj text-received", "ok", trace.StatusCode.UNSET),
        ("pidj unknown", "unhandled", trace.StatusCode.UNSET),
    ]
    assert (spans.finished[1].attributes or {})["pidj.event.name"] == "unknown"


@pytest.mark.anyio
async def test_what_handlers_do_becomes_children(spans: Spans) -> None:
    """On the loop and in a thread alike."""
    tracer = spans.provider.get_tracer("shop")

    @spans.dispatcher.on(TextReceived)
    async def asynchronous(_: Event) -> None:
        with tracer.start_as_current_span("on the loop"):
            pass

    @spans.dispatcher.on(TextReceived)
    def plain(_: Event) -> None:
        with tracer.start_as_current_span("in a thread"):
            pass

    await spans.dispatcher.dispatch(TEXT)
    first, second, parent = spans.finished
    assert [first.name, second.name] == ["on the loop", "in a thread"]
    assert first.parent == second.parent == parent.context


@pytest.mark.anyio
async def test_without_a_tracer_of_its_own_it_takes_the_programs() -> None:
    """Which may record nothing at all."""
    dispatcher = Dispatcher()
    dispatcher.middleware(trace_events())
    dispatcher.on(TextReceived)(lambda _: None)
    assert (await dispatcher.dispatch(TEXT)).ok


def test_without_the_extra_the_error_names_it() -> None:
    """Whether nothing of OpenTelemetry is there, or only other parts of it."""
    for missing in ("opentelemetry", "opentelemetry.trace"):
        hidden = {"opentelemetry": mock.Mock(spec=[]), missing: None}
        with (
            mock.patch.dict(sys.modules, hidden),
            pytest.raises(ConfigurationError, match=r'pip install "pidj-async\[opentelemetry\]"'),
        ):
            trace_events()
