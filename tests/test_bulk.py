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
    AuthenticationError,
    InvalidRequestError,
    NotSentError,
    Outcome,
    OutcomeState,
    Pidj,
    RefusedError,
    RetryPolicy,
    SendText,
    ServerError,
)
from pidj_async.errors import PidjError
from pidj_async.pacing import Pacer
from pidj_async.retries import Backoff
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


# ---------------------------------------------------------------------------------------------------------- at a pace


def paced_client(*steps: Step, retry: Any = NO_RETRIES) -> tuple[Pidj, Scripted]:
    transport = Scripted(*steps)
    return Pidj(account_key="key", token="token", transport=transport, retry=retry), transport


async def test_two_loops_share_one_pace() -> None:
    """Together they never have more under way than the pacer allows."""
    most = 0
    pacer = Pacer(concurrency=3)

    async def step(request: WireRequest, progress: Progress) -> WireResponse:
        nonlocal most
        most = max(most, pacer.in_flight)
        await anyio.lowlevel.checkpoint()
        return replies()(request, progress)  # type: ignore[no-any-return]

    pidj, transport = client(step)
    states: Counter[OutcomeState] = Counter()

    async def send() -> None:
        states.update([one.state async for one in pidj.messages.send_many(texts(40), concurrency=20, pacer=pacer)])

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        group.start_soon(send)

    assert ({OutcomeState.ACCEPTED: 80}, 80, 3, 0) == (states, len(transport.requests), most, pacer.in_flight)


async def test_one_429_pauses_all_the_others() -> None:
    """Until it is over, no other text starts; then all go, the throttled one again."""
    times: list[float] = []

    def step(request: WireRequest, progress: Progress) -> Any:
        times.append(anyio.current_time())
        answer = replies(429, {"retry-after": "0.1"}) if len(times) == 5 else replies()
        return answer(request, progress)

    pidj, _ = paced_client(step, retry=RetryPolicy(initial_delay=0.01))
    pacer = Pacer(concurrency=1)
    outcomes = [one async for one in pidj.messages.send_many(texts(20), concurrency=10, pacer=pacer)]

    assert [OutcomeState.ACCEPTED] * 20 == [one.state for one in outcomes]
    assert len(times) == 21
    assert [gap >= 0.1 - 1e-6 for gap in (times[5] - times[4], times[4] - times[3])] == [True, False]


async def test_every_try_waits_for_its_turn() -> None:
    """A text is tried again as the client's policy says, each time in a turn of its own."""
    times: list[float] = []

    def step(request: WireRequest, progress: Progress) -> Any:
        times.append(anyio.current_time())
        return (not_sent if len(times) < 3 else replies())(request, progress)

    pacer = Pacer(rate=20, burst=1)
    pidj, _ = paced_client(step, retry=RetryPolicy(initial_delay=0.0))
    outcomes = [one async for one in pidj.messages.send_many(texts(1), pacer=pacer)]

    assert ([OutcomeState.ACCEPTED], 3, 0) == ([one.state for one in outcomes], len(times), pacer.in_flight)
    assert times[2] - times[0] >= 2 / 20 - 0.01


async def test_tries_end_as_the_policy_says() -> None:
    """The last error is the outcome, and knows how many there were."""
    pidj, transport = paced_client(not_sent, retry=RetryPolicy(max_attempts=3, initial_delay=0.0))
    outcomes = [one async for one in pidj.messages.send_many(texts(1), pacer=Pacer())]

    assert [(OutcomeState.NOT_SENT, 3)] == [(one.state, one.error and one.error.attempts) for one in outcomes]
    assert len(transport.requests) == 3


async def test_an_unknown_outcome_is_not_repeated_at_a_pace_either() -> None:
    """Not even by a policy that repeats everything."""

    def again(_: Any, __: int, ___: PidjError) -> Backoff:
        return Backoff(0.0, 0.0)

    pidj, transport = paced_client(lost, retry=again)
    outcomes = [one async for one in pidj.messages.send_many(texts(3), pacer=Pacer())]

    assert [OutcomeState.UNKNOWN] * 3 == [one.state for one in outcomes]
    assert len(transport.requests) == 3


async def test_while_pidj_is_down_no_text_is_used_to_find_out() -> None:
    """After so many failures in a row only the harmless call goes out, until it is answered."""
    calls: list[str] = []

    def step(request: WireRequest, progress: Progress) -> Any:
        calls.append(request.endpoint)
        if len(calls) <= 4:
            return lost(request, progress)
        if len(calls) <= 6:
            return replies(503)(request, progress)
        return replies()(request, progress)

    pidj, _ = paced_client(step)
    pacer = Pacer(failures=4)
    pacer._breaker.initial_delay = 0.01
    states = Counter([one.state async for one in pidj.messages.send_many(texts(20), concurrency=1, pacer=pacer)])

    assert ["messages.send"] * 4 + ["check_authorization"] * 3 + ["messages.send"] * 16 == calls
    assert {OutcomeState.UNKNOWN: 4, OutcomeState.ACCEPTED: 16} == states


@pytest.mark.parametrize(
    "answer", [replies(401), lambda _, __: WireResponse(status_code=200, headers={}, content=b"x")]
)
async def test_texts_that_wait_for_a_pidj_that_says_no_are_not_sent(answer: Step) -> None:
    """What the harmless call is told is the reason, and never taken for the fate of a text."""

    def step(request: WireRequest, progress: Progress) -> Any:
        return lost(request, progress) if request.endpoint == "messages.send" else answer(request, progress)

    pidj, transport = paced_client(step)
    pacer = Pacer(failures=1)
    pacer._breaker.initial_delay = pacer._breaker.max_delay = 0.001
    outcomes = [one async for one in pidj.messages.send_many(texts(3), concurrency=1, pacer=pacer)]

    assert [OutcomeState.UNKNOWN, OutcomeState.NOT_SENT, OutcomeState.NOT_SENT] == [one.state for one in outcomes]
    assert all("nothing was sent" in str(one.error) for one in outcomes[1:])
    assert sum(request.endpoint == "messages.send" for request in transport.requests) == 1


async def test_a_token_that_is_wrong_is_named_as_the_reason() -> None:
    """The error of the harmless call is the cause of the text's."""

    def step(request: WireRequest, progress: Progress) -> Any:
        return lost(request, progress) if request.endpoint == "messages.send" else replies(401)(request, progress)

    pidj, _ = paced_client(step)
    pacer = Pacer(failures=1)
    pacer._breaker.initial_delay = 0.001
    outcomes = [one async for one in pidj.messages.send_many(texts(2), concurrency=1, pacer=pacer)]

    assert isinstance(outcomes[1].error, NotSentError)
    assert isinstance(outcomes[1].error.__cause__, AuthenticationError)


async def test_leaving_a_paced_loop_gives_back_every_place() -> None:
    """Those that were waiting for their turn are not sent, those under way unknown; the pacer is free again."""
    pidj, _ = client(replies(), hangs(started=True))
    pacer = Pacer(concurrency=2)

    async with pidj.messages.send_many(texts(100), concurrency=5, pacer=pacer) as outcomes:
        async for _ in outcomes:
            await anyio.sleep(0.01)
            break

    states = Counter(one.state for one in outcomes.undelivered)
    assert ({OutcomeState.UNKNOWN: 2, OutcomeState.NOT_SENT: 3}, 0) == (states, pacer.in_flight)
