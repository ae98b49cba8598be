"""`send_many`: an outcome for each text, in bounded memory, however the loop ends."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from pidj_async import (
    NO_RETRIES,
    InvalidRequestError,
    NotSentError,
    Outcome,
    OutcomeState,
    Pidj,
    RefusedError,
    SendText,
    ServerError,
)
from pidj_async.sansio import WireRequest, WireResponse
from pidj_async.transports import Progress
from tests.recorder import Recorder, reply
from tests.scripted import Scripted, Step, hangs, lost, not_sent, replies, texts

pytestmark = pytest.mark.anyio


def client(*steps: Step) -> tuple[Pidj, Scripted]:
    transport = Scripted(*steps)
    return Pidj(account_key="key", token="token", transport=transport, retry=NO_RETRIES), transport


async def as_async(items: Any) -> AsyncIterator[Any]:
    for item in items:
        await anyio.lowlevel.checkpoint()
        yield item


def tasks_running() -> int:
    """How many tasks there are, the one that asks included."""
    try:
        return len([task for task in asyncio.all_tasks() if not task.done()])
    except RuntimeError:
        return trio.lowlevel.current_statistics().tasks_living


@pytest.mark.parametrize("source", [list, iter, as_async, lambda items: (SendText(**item) for item in items)])
async def test_every_text_gets_one_outcome(source: Any) -> None:
    """From a list, an iterator, an async iterator, of mappings or of requests."""
    pidj, transport = client(replies())

    outcomes = [outcome async for outcome in pidj.messages.send_many(source(texts(250)), concurrency=20)]

    assert sorted(outcome.index for outcome in outcomes) == list(range(250))
    assert all(outcome.accepted and outcome.result is not None for outcome in outcomes)
    assert len(transport.requests) == 250


async def test_failures_are_outcomes() -> None:
    """An invalid number, a refusal, a lost reply and a refused connection: four outcomes, no exception."""
    pidj, _ = client(not_sent, lost, replies(400, status="failure"), replies(500), replies())
    bad = [{"to_number": "555", "text_body": "Hi", "group_id": "gr:1"}, {"to": "+18885550000"}]

    outcomes = [one async for one in pidj.messages.send_many([*bad, *texts(5)], concurrency=1)]

    assert [(one.state.value, type(one.error)) for one in outcomes] == [
        ("not_sent", InvalidRequestError),
        ("not_sent", InvalidRequestError),
        ("not_sent", NotSentError),
        ("unknown", type(outcomes[3].error)),
        ("not_sent", RefusedError),
        ("unknown", ServerError),
        ("accepted", type(None)),
    ]


async def test_a_transport_that_raises_anything_leaves_the_outcome_unknown() -> None:
    """A bug in somebody's transport is no proof that nothing was sent."""

    def breaks(_: WireRequest, __: Progress) -> WireResponse:
        msg = "bug"
        raise RuntimeError(msg)

    pidj, _ = client(breaks)

    outcomes = [one async for one in pidj.messages.send_many(texts(3), concurrency=2)]

    assert [one.state for one in outcomes] == [OutcomeState.UNKNOWN] * 3


async def test_no_more_than_concurrency_is_taken_or_under_way() -> None:
    """The source is drawn on only as fast as the outcomes are consumed."""
    taken, under_way, most = 0, 0, 0

    def source() -> Iterator[dict[str, str]]:
        nonlocal taken
        for item in texts(1000):
            taken += 1
            yield item

    full = anyio.Event()

    async def step(_: WireRequest, __: Progress) -> WireResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 7:
            full.set()
        await full.wait()
        await anyio.lowlevel.checkpoint()
        under_way -= 1
        return WireResponse(status_code=200, headers={}, content=b'{"status":"success"}')

    pidj, _ = client(step)
    consumed = 0
    async with pidj.messages.send_many(source(), concurrency=7) as outcomes:
        async for _ in outcomes:
            consumed += 1
            assert taken <= consumed + 7 + 1  # seven under way, and the one being handed over
            if consumed == 100:
                break

    assert most == 7


@pytest.mark.parametrize("as_source", [lambda items: items, as_async])
async def test_what_the_source_raises_comes_after_the_outcomes(as_source: Any) -> None:
    """The texts under way are finished first: their outcomes are not lost to somebody's broken file."""

    def source() -> Iterator[dict[str, str]]:
        yield from texts(5)
        msg = "line 6 is broken"
        raise OSError(msg)

    pidj, _ = client(replies())
    outcomes: list[Outcome] = []
    with pytest.raises(OSError, match="line 6"):  # noqa: PT012
        async for outcome in pidj.messages.send_many(as_source(source()), concurrency=3):
            outcomes.append(outcome)  # noqa: PERF401

    assert len(outcomes) == 5


async def test_something_that_is_no_text_is_a_bug_of_the_caller() -> None:
    """A TypeError, not five thousand outcomes."""
    pidj, _ = client(replies())
    with pytest.raises(TypeError, match="not str"):
        async for _ in pidj.messages.send_many("+18885553333"):  # type: ignore[arg-type]
            pass


def test_a_concurrency_of_zero_is_refused() -> None:
    """At once, not when it is iterated."""
    pidj, _ = client(replies())
    with pytest.raises(ValueError, match="at least 1"):
        pidj.messages.send_many([], concurrency=0)


async def test_leaving_the_loop_tells_what_was_under_way() -> None:
    """With ``async with``, every text that was taken ends as an outcome: delivered, or in `undelivered`."""
    pidj, transport = client(replies(), replies(), hangs(started=True), hangs(started=False), hangs(started=True))
    delivered = []

    async with pidj.messages.send_many(texts(100), concurrency=4) as outcomes:
        async for outcome in outcomes:
            delivered.append(outcome)
            if len(delivered) == 2:
                await anyio.sleep(0.01)
                break

    states = Counter(outcome.state for outcome in outcomes.undelivered)
    assert len(delivered) + len(outcomes.undelivered) == len(transport.requests)
    assert states == {OutcomeState.UNKNOWN: 3, OutcomeState.NOT_SENT: 1}


@pytest.mark.parametrize("turns", range(12))
async def test_no_outcome_is_lost_when_the_loop_is_cancelled(turns: int) -> None:
    """Whichever moment it is, also between an outcome's arrival and its being taken: each text has exactly one."""
    pidj, transport = client(replies())
    delivered = []
    bulk = pidj.messages.send_many(texts(1000), concurrency=5)

    async def consume() -> None:
        async for outcome in bulk:
            delivered.append(outcome)
            if len(delivered) % 3 == 0:
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    await bulk.aclose()

    indices = [outcome.index for outcome in (*delivered, *bulk.undelivered)]
    assert sorted(indices) == list(range(len(indices)))
    assert len(transport.requests) <= len(indices) <= len(transport.requests) + 5


async def test_a_cancelled_loop_leaves_no_task() -> None:
    """Cancelled from outside in the middle: nothing goes on in the background."""
    pidj, transport = client(hangs(started=True))
    before = tasks_running()
    bulk = pidj.messages.send_many(texts(100), concurrency=10)

    with anyio.move_on_after(0.05):
        async for _ in bulk:
            pass

    assert tasks_running() == before
    assert len(bulk.undelivered) == len(transport.requests) == 10


async def test_a_loop_left_without_closing_is_cleaned_up() -> None:
    """``break`` and nothing else: the workers end, and a warning says what was lost and how not to lose it."""
    pidj, _ = client(replies(), hangs(started=True))
    before = tasks_running()

    with pytest.warns(ResourceWarning, match="async with"):  # noqa: PT031  it comes when the loop's iterator is dropped
        async for _ in pidj.messages.send_many(texts(100), concurrency=5):
            break
        gc.collect()
    with anyio.fail_after(5):
        while tasks_running() > before:  # noqa: ASYNC110  nothing tells when a task has gone
            await anyio.sleep(0.001)


async def test_a_source_that_is_left_half_way_is_closed() -> None:
    """A generator's ``finally`` runs when the loop ends, not when the garbage collector gets round to it."""
    closed = []

    async def source() -> AsyncIterator[dict[str, str]]:
        try:
            for item in texts(100):
                yield item
        finally:
            closed.append(True)

    pidj, _ = client(replies())
    async with pidj.messages.send_many(source(), concurrency=3) as outcomes:
        async for _ in outcomes:
            break

    assert closed == [True]


async def test_no_text_is_sent_twice_over_real_sockets() -> None:
    """500 texts, 50 at a time, a server that fails a part of them: each number once, the sums exact."""
    seen: Counter[bytes] = Counter()

    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        seen[request.body.split(b"&")[0]] += 1
        last = int(request.body.split(b"&")[0][-1:])
        return reply({7: 500, 8: 422}.get(last, 200))

    with Recorder(answer) as recorder:
        async with Pidj(account_key="key", token="token", base_url=recorder.base_url) as pidj:
            states = Counter([one.state async for one in pidj.messages.send_many(texts(500), concurrency=50)])

    assert states == {OutcomeState.ACCEPTED: 400, OutcomeState.UNKNOWN: 50, OutcomeState.NOT_SENT: 50}
    assert (len(seen), set(seen.values())) == (500, {1})
