"""A middleware that says in the log how each event went, and how long it took.

::

    dispatcher.middleware(log_events())

For spans of OpenTelemetry, see `pidj_async.webhooks.telemetry`.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pidj_async._masking import mask_phone_number
from pidj_async.webhooks.events import EVENT_TYPES, Event, show_name

if TYPE_CHECKING:
    from pidj_async.webhooks.dispatcher import CallNext, DispatchReport, Middleware

__all__ = ["log_events", "outcome_of"]


def outcome_of(report: DispatchReport) -> str:
    """Sum a report up: ``"unhandled"``: nobody wanted the event; ``"failed"``: a handler did; else ``"ok"``.

    Args:
        report: What `Dispatcher.dispatch` returned.
    """
    if not report.handled:
        return "unhandled"
    return "ok" if report.ok else "failed"


def log_events(logger: logging.Logger | None = None, *, level: int = logging.INFO) -> Middleware:
    """Make a middleware that writes one line to the log for each event, when its handlers have run.

    The line is for people. A structured log finds the same in the record's attributes, safe to be kept:

    - ``pidj_event``: the event's name, such as ``"text-received"``;
    - ``pidj_outcome``: see `outcome_of`;
    - ``pidj_duration``: seconds, middleware further inside included;
    - ``pidj_phone_number``: the person's number, masked; ``None`` if the event has none;
    - ``pidj_handlers``: for each handler that ran, in order, a dict with its ``handler`` (the name), ``outcome``,
      ``duration`` and ``error``, the name of an exception's class or ``None``.

    Neither has anything of what was written. A handler's failure is logged by the dispatcher as well, with its
    traceback.

    Args:
        logger: Where to; by default ``pidj_async.webhooks.events``.
        level: The level of the lines.
    """
    log = logging.getLogger("pidj_async.webhooks.events") if logger is None else logger

    async def log_event(event: Event, call_next: CallNext) -> DispatchReport:
        started = time.perf_counter()
        report = await call_next(event)
        duration = time.perf_counter() - started
        if log.isEnabledFor(level):
            outcome, number = outcome_of(report), event.phone_number
            name = event.name if event.name in EVENT_TYPES else show_name(event.name)
            handlers = [
                {
                    "handler": each.handler,
                    "outcome": each.outcome,
                    "duration": each.duration,
                    "error": None if each.error is None else type(each.error).__name__,
                }
                for each in report.results
            ]
            extra = {
                "pidj_event": name,
                "pidj_outcome": outcome,
                "pidj_duration": duration,
                "pidj_phone_number": None if number is None else mask_phone_number(number),
                "pidj_handlers": handlers,
            }
            told = "webhook event %s: %s, %d handlers, %.1f ms"
            log.log(level, told, name, outcome, len(handlers), duration * 1e3, extra=extra)
        return report

    return log_event
