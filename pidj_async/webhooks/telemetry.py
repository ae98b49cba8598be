"""A middleware that makes a span of OpenTelemetry of each event. It needs the extra ``opentelemetry``.

::

    dispatcher.middleware(trace_events())

The span is current while the handlers run, those in worker threads included, so that what they do becomes its
children. It is of the kind *consumer* and named after the event: ``pidj text-received``.

==========================  ==============  ===========================================================================
attribute                   type            what it is
==========================  ==============  ===========================================================================
``pidj.event.name``         string          ``"text-received"``; ``"unknown"`` for any that this version does not know
``pidj.outcome``            string          ``"ok"``, ``"failed"``, ``"unhandled"``
``pidj.handlers``           list of string  the handlers that ran, in order
``pidj.handler.outcomes``   list of string  what became of each: ``"ok"``, ``"failed"``, ``"refused"``
``pidj.handler.durations``  list of double  how long each took, in seconds
``error.type``              string          the class of the first error, if a handler failed; the span's status says
                                            *error* then
==========================  ==============  ===========================================================================

There is no personal data in it: no number, nothing of what was written, no id, and no exception's text, which may
quote any of them. That is also why the name of an unknown event, which anybody can choose, is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pidj_async._version import __version__
from pidj_async.errors import ConfigurationError
from pidj_async.webhooks.events import EVENT_TYPES, Event
from pidj_async.webhooks.middleware import outcome_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

    from pidj_async.webhooks.dispatcher import CallNext, DispatchReport, Middleware

__all__ = ["trace_events"]


def trace_events(tracer_provider: TracerProvider | None = None) -> Middleware:
    """Make a middleware that makes a span of each event.

    Args:
        tracer_provider: Where spans go; by default to the one that was set for the program.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import trace  # noqa: PLC0415  # an extra
    except ImportError as error:
        msg = 'spans need opentelemetry-api; install it with: pip install "pidj-async[opentelemetry]"'
        raise ConfigurationError(msg) from error
    tracer = trace.get_tracer("pidj_async.webhooks", __version__, tracer_provider)

    async def trace_event(event: Event, call_next: CallNext) -> DispatchReport:
        name = event.name if event.name in EVENT_TYPES else "unknown"
        with tracer.start_as_current_span(
            f"pidj {name}",
            kind=trace.SpanKind.CONSUMER,
            attributes={"pidj.event.name": name},
            record_exception=False,  # an exception's text may quote the event
            set_status_on_exception=False,
        ) as span:
            report = await call_next(event)
            if span.is_recording():
                _describe(span, report)
                if report.failed:
                    span.set_status(trace.StatusCode.ERROR)
            return report

    return trace_event


def _describe(span: Span, report: DispatchReport) -> None:
    span.set_attribute("pidj.outcome", outcome_of(report))
    span.set_attribute("pidj.handlers", [each.handler for each in report.results])
    span.set_attribute("pidj.handler.outcomes", [each.outcome for each in report.results])
    span.set_attribute("pidj.handler.durations", [each.duration for each in report.results])
    if report.failed:
        span.set_attribute("error.type", type(report.failed[0].error).__name__)
