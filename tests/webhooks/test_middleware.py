"""Middleware: around the event, in order, and never in the way of the report."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks import (
    CallNext,
    Dispatcher,
    DispatchReport,
    Event,
    OptedOut,
    ReplyToOptOutError,
    Text,
    TextReceived,
    UnknownEvent,
    log_events,
)

TEXT = TextReceived(text=Text(message="my secret plan", phone_from="+18885557777"))


class Boom(Exception):  # noqa: N818  # what handlers raise has any name
    """What fails."""


@pytest.fixture
def dispatcher() -> Dispatcher:
    """A new one."""
    return Dispatcher()


@pytest.mark.anyio
async def test_the_first_registered_is_the_outermost(dispatcher: Dispatcher) -> None:
    """It begins first and ends last, once for an event however many handlers run; also for one that nobody wants."""
    seen: list[str] = []

    def around(name: str) -> None:
        @dispatcher.middleware
        async def middleware(event: Event, call_next: CallNext) -> DispatchReport:
            seen.append(f"{name} begins")
            report = await call_next(event)
            seen.append(f"{name} saw {len(report.results)}")
            return report

    around("outer")
    around("inner")
    for _ in range(2):
        dispatcher.on(TextReceived)(lambda _: seen.append("handler"))
    report = await dispatcher.dispatch(TEXT)
    assert len(report.results) == 2
    assert seen == ["outer begins", "inner begins", "handler", "handler", "inner saw 2", "outer saw 2"]
    seen.clear()
    assert not (await dispatcher.dispatch(OptedOut())).handled
    assert seen == ["outer begins", "inner begins", "inner saw 0", "outer saw 0"]


@pytest.mark.anyio
async def test_it_can_keep_an_event_or_hand_on_another(dispatcher: Dispatcher) -> None:
    """Which handlers run goes by the event that it hands on."""
    seen: list[Event] = []

    @dispatcher.middleware
    async def middleware(event: Event, call_next: CallNext) -> DispatchReport:
        if isinstance(event, OptedOut):
            return DispatchReport(event=event)
        return await call_next(attrs.evolve(event, extra={"seen": True}))

    @dispatcher.on(Event)
    async def remember(event: Event) -> None:
        seen.append(event)

    assert await dispatcher.dispatch(OptedOut()) == DispatchReport(event=OptedOut())
    report = await dispatcher.dispatch(TEXT)
    assert seen == [attrs.evolve(TEXT, extra={"seen": True})] == [report.event]


@pytest.mark.anyio
@pytest.mark.parametrize("after", [False, True])
async def test_one_that_raises_is_in_the_report(
    dispatcher: Dispatcher,
    after: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As a failure of its own, beside what the handlers did; those outside of it go on."""
    outcomes: list[str] = []

    @dispatcher.middleware
    async def outside(event: Event, call_next: CallNext) -> DispatchReport:
        report = await call_next(event)
        outcomes.extend(result.outcome for result in report.results)
        return report

    @dispatcher.middleware
    async def broken(event: Event, call_next: CallNext) -> DispatchReport:
        if after:
            await call_next(event)
        raise Boom

    dispatcher.on(TextReceived)(lambda _: None)
    with caplog.at_level(logging.ERROR, "pidj_async.webhooks"):
        report = await dispatcher.dispatch(TEXT)
    assert outcomes == ["ok"] * after + ["failed"]
    assert not report.ok
    assert report.failed[0].handler == f"{broken.__module__}.{broken.__qualname__}"
    assert isinstance(report.failed[0].error, Boom)
    assert f"webhook middleware {report.failed[0].handler} failed on event 'text-received'" in caplog.text


@pytest.mark.anyio
async def test_one_that_answers_an_opt_out_has_failed(dispatcher: Dispatcher) -> None:
    """Unlike a handler: behind it, the other handlers have not run, so the event must be tried again."""

    @dispatcher.middleware
    async def answers(_: Event, call_next: CallNext) -> DispatchReport:  # noqa: ARG001
        raise ReplyToOptOutError("to_number", "has just opted out")

    report = await dispatcher.dispatch(TEXT)
    assert [result.outcome for result in report.results] == ["failed"]


@pytest.mark.anyio
async def test_one_that_forgets_to_return_the_report_is_told(dispatcher: Dispatcher) -> None:
    """The handlers' results are not lost."""

    @dispatcher.middleware  # type: ignore[type-var]
    async def forgets(event: Event, call_next: CallNext) -> None:
        await call_next(event)

    dispatcher.on(TextReceived)(lambda _: None)
    report = await dispatcher.dispatch(TEXT)
    assert [result.outcome for result in report.results] == ["ok", "failed"]
    assert "must return the report that call_next(event) gave, not NoneType" in str(report.failed[0].error)


def plain(event: Event, call_next: CallNext) -> None:
    """Not async."""


async def of_event(event: Event) -> None:
    """Takes too little."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (plain, r"middleware .*plain must be an async def"),
        (of_event, r"middleware .*of_event must accept two arguments, event and call_next; it is .*\(event: 'Event'\)"),
        ("log", "a middleware must be an async function, not 'log'"),
    ],
)
def test_what_cannot_be_middleware_is_refused(dispatcher: Dispatcher, function: Any, problem: str) -> None:
    """When it is registered."""
    with pytest.raises(TypeError, match=problem):
        dispatcher.middleware(function)


@pytest.mark.anyio
async def test_after_the_first_event_it_is_too_late(dispatcher: Dispatcher) -> None:
    """It would have missed some."""
    await dispatcher.dispatch(TEXT)
    with pytest.raises(ConfigurationError, match=r"middleware .*log_event comes too late"):
        dispatcher.middleware(log_events())


# --- log_events ---------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_log_has_a_line_for_each_event(dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture) -> None:
    """For people, and the same in attributes; no number in full, and nothing of what was written."""
    dispatcher.middleware(log_events())

    @dispatcher.on(TextReceived)
    async def works(_: TextReceived) -> None: ...

    @dispatcher.on(TextReceived)
    async def fails(event: TextReceived) -> None:
        raise ValueError(event.message)

    with caplog.at_level(logging.INFO, "pidj_async.webhooks.events"):
        report = await dispatcher.dispatch(TEXT)
        await dispatcher.dispatch(UnknownEvent(name="call +18885557777"))
    first, second = (record for record in caplog.records if record.name == "pidj_async.webhooks.events")
    assert first.levelno == logging.INFO
    assert first.getMessage().startswith("webhook event text-received: failed, 2 handlers, ")
    details = vars(first)
    assert details["pidj_event"] == "text-received"
    assert details["pidj_outcome"] == "failed"
    assert details["pidj_phone_number"] == "+188******77"
    assert details["pidj_duration"] >= sum(result.duration for result in report.results)
    assert [(each["outcome"], each["error"]) for each in details["pidj_handlers"]] == [
        ("ok", None),
        ("failed", "ValueError"),
    ]
    assert [each["handler"] for each in details["pidj_handlers"]] == [result.handler for result in report.results]
    assert "secret plan" not in str(details)
    assert second.getMessage().startswith("webhook event 'call +188******77': unhandled, 0 handlers, ")
    assert vars(second)["pidj_phone_number"] is None


@pytest.mark.anyio
async def test_logger_and_level_can_be_chosen(dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture) -> None:
    """And what nobody listens to costs nothing."""
    logger = logging.getLogger("tests.shop")
    dispatcher.middleware(log_events(logger, level=logging.WARNING))
    with caplog.at_level(logging.ERROR, "tests.shop"):
        await dispatcher.dispatch(TEXT)
    with caplog.at_level(logging.WARNING, "tests.shop"):
        await dispatcher.dispatch(TEXT)
    ours = [record.levelno for record in caplog.records if record.name == "tests.shop"]
    assert ours == [logging.WARNING]
