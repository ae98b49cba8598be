"""The pace: what each rule promises by itself, and what all who share a `Pacer` may rely on."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import pacing
from pidj_async.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PidjError,
    RateLimitError,
    RefusedError,
    ResponseError,
    ServerError,
)
from pidj_async.pacing import Aimd, Breaker, Feedback, Gcra, Pacer, feedback_of

OK, THROTTLED, OVERLOADED, TIMED_OUT, BROKEN, UNREACHABLE, NONE = Feedback
COUNTED = (OVERLOADED, TIMED_OUT, BROKEN, UNREACHABLE)

rates = st.floats(0.01, 10_000)
steps = st.floats(0, 100)


# ------------------------------------------------------------------------------------------------------------- feedback


def chained(error: PidjError, cause: BaseException) -> PidjError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "feedback"),
    [
        (None, OK),
        (RefusedError("m", status_code=422), OK),
        (NotFoundError("m", status_code=404), OK),
        (AuthenticationError("m", status_code=401), OK),
        (PermissionDeniedError("m", status_code=403), OK),
        (ResponseError("m", status_code=200), OK),
        (ResponseError("m", status_code=302), OK),
        (RateLimitError("m", status_code=429), THROTTLED),
        (RateLimitError("m", status_code=200, code=429), THROTTLED),
        (ResponseError("m", status_code=429), THROTTLED),
        (ServerError("m", status_code=503), OVERLOADED),
        (ServerError("m", status_code=200, code=503), OVERLOADED),
        (ResponseError("m", status_code=503), OVERLOADED),
        (ServerError("m", status_code=500), BROKEN),
        (ServerError("m", status_code=200, code=500), BROKEN),
        (ServerError("m", status_code=502, code=503), BROKEN),
        (APIError("m", status_code=599), BROKEN),
        (ResponseError("m", status_code=504), BROKEN),
        (OutcomeUnknownError("m"), BROKEN),
        (chained(OutcomeUnknownError("m"), TimeoutError()), TIMED_OUT),
        (chained(OutcomeUnknownError("m"), ConnectionResetError()), BROKEN),
        (NotSentError("m"), UNREACHABLE),
        (chained(NotSentError("m"), TimeoutError()), UNREACHABLE),
        (InvalidRequestError("f", "m"), NONE),
        (ConfigurationError("m"), NONE),
        (RuntimeError("m"), NONE),
    ],
    ids=repr,
)
def test_what_an_error_says_of_pidj(error: BaseException | None, feedback: Feedback) -> None:
    """A reply that says no is a sign of health; only what Pidj can be blamed for slows the senders down."""
    assert feedback == feedback_of(error)


# ----------------------------------------------------------------------------------------------------------------- rate


@given(rate=rates, burst=st.integers(1, 50), gaps=st.lists(st.floats(0, 1), min_size=2, max_size=60))
def test_a_rate_is_never_exceeded_in_any_window(rate: float, burst: int, gaps: list[float]) -> None:
    """Whoever asks at whatever moments: between any two starts there are at most ``rate * t + burst``."""
    gcra = Gcra(rate=rate, burst=burst)
    now = 0.0
    starts: list[float] = []
    for gap in gaps:
        now += gap / rate
        while gcra.delay(now) == 0 and len(starts) < 200:
            gcra.take(now)
            starts.append(now)

    for first in range(len(starts)):
        for last in range(first, len(starts)):
            window = starts[last] - starts[first]
            assert last - first + 1 <= rate * window + burst + 1e-6


@given(rate=rates, burst=st.integers(1, 50), count=st.integers(1, 100))
def test_waiting_as_told_is_enough_and_wastes_nothing(rate: float, burst: int, count: int) -> None:
    """After its delay one may start; so many starts take exactly as long as the rate says."""
    gcra = Gcra(rate=rate, burst=burst)
    now = 0.0
    for _ in range(count):
        now += gcra.delay(now)
        assert gcra.delay(now) <= 1e-9 * max(1.0, now)
        gcra.take(now)

    assert math.isclose(max(0, count - burst) / rate, now, rel_tol=1e-6, abs_tol=1e-9)


@given(rate=rates, burst=st.integers(1, 50), taken=st.integers(0, 80), horizon=st.floats(0, 10))
def test_room_is_how_many_can_start_within_the_horizon(rate: float, burst: int, taken: int, horizon: float) -> None:
    """Starting them, each as soon as it may, the last is in time, and one more would not be."""
    gcra = Gcra(rate=rate, burst=burst)
    for _ in range(min(taken, burst)):
        gcra.take(0.0)
    room = gcra.room(0.0, horizon)
    if room > 2_000:
        return
    now = 0.0
    for _ in range(room):
        now += gcra.delay(now)
        gcra.take(now)

    assert now <= horizon + 1e-6
    assert now + gcra.delay(now) >= horizon - 1e-6


# ---------------------------------------------------------------------------------------------------------- concurrency


@given(
    maximum=st.integers(1, 300),
    events=st.lists(st.sampled_from(["ok", "half", "gentle", "restart"]), max_size=400),
    in_flight=st.integers(0, 50),
)
def test_the_limit_stays_between_one_and_its_maximum(maximum: int, events: list[str], in_flight: int) -> None:
    """Whatever comes, and a success never lowers it, a failure never raises it."""
    aimd = Aimd(maximum=maximum)
    for event in events:
        before = aimd.limit
        if event == "ok":
            aimd.succeeded()
            assert before <= aimd.limit <= before + 1
        elif event == "restart":
            aimd.restart()
            assert aimd.limit == 1
        else:
            aimd.decrease(0.5 if event == "half" else 0.9, in_flight=in_flight)
            assert aimd.limit <= before
        assert 1 <= aimd.limit <= maximum


def test_one_more_per_clean_window() -> None:
    """From 4, it takes 4 replies to 5, and 5 more to 6."""
    aimd = Aimd(maximum=8)
    aimd.decrease(0.5, in_flight=0)
    limits = [aimd.limit]
    for _ in range(9):
        aimd.succeeded()
        limits.append(aimd.limit)

    assert [4, 4, 4, 4, 5, 5, 5, 5, 5, 6] == limits


def test_what_was_in_the_air_together_lowers_it_once() -> None:
    """A hundred 429s of a hundred requests at once: halved, not halved a hundred times. The next one counts again."""
    aimd = Aimd(maximum=100)
    lowered = [aimd.decrease(0.5, in_flight=99 - which) for which in range(100)]

    assert [True, *[False] * 99] == lowered
    assert aimd.limit == 50
    assert aimd.decrease(0.5, in_flight=0) is True
    assert aimd.limit == 25


def test_a_restart_comes_back_quickly_to_half_and_then_slowly() -> None:
    """From 1, one more for each reply to half of what there was, then one per window."""
    aimd = Aimd(maximum=16)
    aimd.restart()
    limits = []
    for _ in range(7 + 8):
        aimd.succeeded()
        limits.append(aimd.limit)

    assert [2, 3, 4, 5, 6, 7, 8] == limits[:7]
    assert [*[8] * 7, 9] == limits[7:]


# ---------------------------------------------------------------------------------------------------------- the breaker


@given(
    threshold=st.integers(1, 20),
    events=st.lists(st.sampled_from(["ok", "failed", "probe ok", "probe failed"]), max_size=100),
)
def test_only_a_probe_closes_the_breaker(threshold: int, events: list[str]) -> None:
    """It opens after exactly so many failures in a row, or at the first one after a probe; nothing else closes it."""
    breaker = Breaker(failures=threshold)
    in_a_row = 0
    for now, event in enumerate(events):
        was_open = breaker.is_open
        if event == "ok":
            breaker.succeeded()
            in_a_row = in_a_row if was_open else 0
            assert was_open == breaker.is_open
        elif event == "failed":
            opened = breaker.failed(now)
            in_a_row += not was_open
            assert (was_open or in_a_row >= threshold) == breaker.is_open
            assert (not was_open and breaker.is_open) == opened
        elif was_open and event == "probe failed":
            breaker.probe_failed(now)
            assert breaker.is_open
        elif was_open:
            breaker.probe_succeeded()
            in_a_row = threshold - 1
            assert not breaker.is_open


def test_the_waits_double_until_a_success() -> None:
    """1, 2, 4 … 60 seconds; also when the probe gets through and the next text fails. A success begins anew."""
    breaker = Breaker(failures=1)
    breaker.failed(0.0)
    waits = [breaker.probe_at]
    for _ in range(4):
        breaker.probe_failed(0.0)
        waits.append(breaker.probe_at)
    breaker.probe_succeeded()
    breaker.failed(0.0)
    waits.append(breaker.probe_at)
    for _ in range(2_000):
        breaker.probe_failed(0.0)
    waits.append(breaker.probe_at)
    breaker.probe_succeeded()
    breaker.succeeded()
    breaker.failed(0.0)
    waits.append(breaker.probe_at)

    assert [1, 2, 4, 8, 16, 32, 60, 1] == waits


def test_a_probe_waits_as_long_as_it_is_told() -> None:
    """Longer than the backoff, if the server asks for it."""
    breaker = Breaker(failures=1)
    breaker.failed(100.0)
    breaker.probe_failed(101.0, retry_after=500.0)

    assert breaker.probe_at == 601.0


# ------------------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"concurrency": 0}, "concurrency must be at least 1; got 0"),
        ({"rate": 0}, "rate must be greater than 0; got 0"),
        ({"rate": -1.5}, "rate must be greater than 0; got -1.5"),
        ({"rate": math.inf}, "rate must be greater than 0; got inf"),
        ({"rate": math.nan}, "rate must be greater than 0; got nan"),
        ({"rate": 5, "burst": 0}, "burst must be at least 1; got 0"),
        ({"burst": 5}, "burst is how many may start at once under a rate; pass rate as well"),
        ({"failures": 0}, "failures must be at least 1; got 0"),
        ({"max_retry_after": -1}, "max_retry_after must not be negative; got -1"),
    ],
)
def test_a_pace_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    """With the name of the option, and its value."""
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        Pacer(**arguments)


# --------------------------------------------------------------------------------------------------------- all together

pytestmark = pytest.mark.anyio


async def never() -> None:
    msg = "nobody was to probe"
    raise AssertionError(msg)


def break_it(pacer: Pacer, feedback: Feedback = UNREACHABLE) -> None:
    """As many failures as it takes to open the breaker."""
    while not pacer.is_broken:
        pacer.in_flight += 1
        pacer.release(feedback)


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_no_more_than_the_limit_are_under_way() -> None:
    """Fifty tasks, seven at a time, and all get their turn."""
    pacer, most, done = Pacer(concurrency=7), 0, 0

    async def send() -> None:
        nonlocal most, done
        await pacer.acquire()
        most = max(most, pacer.in_flight)
        await anyio.lowlevel.checkpoint()
        pacer.release()
        done += 1

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(send)

    assert (7, 50, 0) == (most, done, pacer.in_flight)


async def test_they_start_in_the_order_in_which_they_asked() -> None:
    """Nobody overtakes, also not with `try_acquire`."""
    pacer, order = Pacer(concurrency=1), []
    await pacer.acquire()

    async def send(which: int) -> None:
        await pacer.acquire()
        order.append(which)
        pacer.release()

    async with anyio.create_task_group() as group:
        for which in range(20):
            group.start_soon(send, which)
            await settled()
        pacer.release()
        overtaken = pacer.try_acquire()

    assert (list(range(20)), False) == (order, overtaken)


@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_whoever_is_cancelled_while_waiting_takes_nothing(cancelled: int) -> None:
    """The first in the line, one in the middle, or the last: the others get their turn, and none is lost."""
    pacer, order = Pacer(concurrency=1), []
    await pacer.acquire()
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def send(which: int) -> None:
        with scopes[which]:
            await pacer.acquire()
            order.append(which)
            pacer.release()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for which in range(3):
                group.start_soon(send, which)
                await settled()
            scopes[cancelled].cancel()
            await settled()
            pacer.release()

    assert ([which for which in range(3) if which != cancelled], 0) == (order, pacer.in_flight)


async def test_a_cancellation_in_the_moment_of_its_turn_loses_no_place() -> None:
    """Woken and cancelled at once: whether it still starts is the event loop's choice, but the next one does too."""
    pacer = Pacer(concurrency=1)
    await pacer.acquire()
    got = []

    async def send(which: int, scope: anyio.CancelScope) -> None:
        with scope:
            await pacer.acquire()
            got.append(which)
            pacer.release()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            first = anyio.CancelScope()
            group.start_soon(send, 0, first)
            await settled()
            group.start_soon(send, 1, anyio.CancelScope())
            await settled()
            pacer.release()
            first.cancel()

    assert (1, 0) == (got[-1], pacer.in_flight)


async def test_a_rate_is_kept_by_all_together() -> None:
    """Thirty tasks at 200 per second with a burst of 5: never more in any window, and in an eighth of a second."""
    pacer, starts = Pacer(rate=200, burst=5), []

    async def send() -> None:
        await pacer.acquire()
        starts.append(anyio.current_time())
        pacer.release()

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(send)

    assert len(starts) == 30
    for first in range(30):
        for last in range(first, 30):
            # A task notes the time a little after it was let go, the first of a window perhaps later than the last.
            assert last - first + 1 <= 200 * (starts[last] - starts[first] + 0.02) + 5
    assert starts[-1] - starts[0] >= 25 / 200 - 0.02


@pytest.mark.parametrize("feedback", [THROTTLED, OVERLOADED])
async def test_retry_after_pauses_everybody(feedback: Feedback) -> None:
    """Those who wait already, and those who come later; none before the time, all after it."""
    pacer, starts = Pacer(concurrency=4), []
    for _ in range(4):
        await pacer.acquire()

    async def send() -> None:
        await pacer.acquire()
        starts.append(anyio.current_time())
        pacer.release()

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        await settled()
        paused_at = anyio.current_time()
        pacer.release(feedback, retry_after=0.1)
        for _ in range(3):
            pacer.release()
        group.start_soon(send)
        await settled()
        seen = (pacer.room(), pacer.try_acquire(), pacer.waiting_for, 0 < pacer.paused_for <= 0.1)

    assert (0, False, "Pidj, which asked for a pause (0 s more)", True) == seen
    assert len(starts) == 2
    assert min(starts) >= paused_at + 0.1 - 1e-6
    assert (None, 0.0) == (pacer.waiting_for, pacer.paused_for)


async def test_the_longest_pause_wins() -> None:
    """A later, shorter one does not shorten it, and none is longer than is allowed."""
    pacer = Pacer(max_retry_after=100)
    for retry_after in (60, 5, 80, 0):
        await anyio.lowlevel.checkpoint()
        pacer.in_flight += 1
        pacer.release(THROTTLED, retry_after)
    eighty = pacer.paused_for
    pacer.in_flight += 1
    pacer.release(THROTTLED, 1e9)

    assert 79 < eighty <= 80
    assert 99 < pacer.paused_for <= 100


async def test_a_429_without_a_time_backs_off_longer_each_round() -> None:
    """Half a second, one, two: doubled for each round of requests, not for each request; a success begins anew."""
    pacer, pauses = Pacer(concurrency=10), []
    for _ in range(4):
        pacer._paused_until = None
        pacer.in_flight = pacer.limit
        while pacer.in_flight:
            pacer.release(THROTTLED)
        pauses.append(pacer.paused_for)
    pacer._paused_until = None
    pacer.in_flight = 2
    pacer.release(OK)
    pacer.release(THROTTLED)
    pauses.append(pacer.paused_for)

    for pause, longest in zip(pauses, [0.5, 1, 2, 4, 0.5], strict=True):
        assert longest / 2 - 0.1 <= pause <= longest


@pytest.mark.parametrize(
    ("feedback", "limit"),
    [(OK, 100), (NONE, 100), (THROTTLED, 50), (OVERLOADED, 50), (TIMED_OUT, 90), (BROKEN, 90), (UNREACHABLE, 90)],
)
async def test_what_each_feedback_does_to_the_concurrency(feedback: Feedback, limit: int) -> None:
    """As the table at the head of the module says, and nothing at all without ``adaptive``."""
    adaptive, fixed = Pacer(), Pacer(adaptive=False)
    for pacer in (adaptive, fixed):
        pacer.in_flight = 1
        pacer.release(feedback, retry_after=0.0)

    assert (limit, 100) == (adaptive.limit, fixed.limit)


@pytest.mark.parametrize("feedback", Feedback)
async def test_what_each_feedback_does_to_the_breaker(feedback: Feedback) -> None:
    """Ten in a row open it if they count."""
    pacer = Pacer()
    for _ in range(10):
        pacer.in_flight += 1
        pacer.release(feedback, retry_after=0.0)

    assert (feedback in COUNTED) == pacer.is_broken


def test_the_drawn_table_says_the_same() -> None:
    """The words at the head of the module, read as rules."""
    lines = (pacing.__doc__ or "").splitlines()
    edge = next(line for line in lines if line.startswith("==="))
    starts = [match.start() for match in re.finditer("=+", edge)]
    drawn = {}
    for line in lines:
        if line.startswith("``"):
            cells = [line[start:end].strip() for start, end in pairwise([*starts, len(line) + len(edge)])]
            drawn[Feedback[cells[0].strip("`")]] = (cells[2], cells[3], cells[4])

    assert drawn == {
        OK: ("one more per window", "", "forgets"),
        THROTTLED: ("halved", "yes", "forgets"),
        OVERLOADED: ("halved", "if ``Retry-After``", "counts"),
        TIMED_OUT: ("nine tenths", "", "counts"),
        BROKEN: ("nine tenths", "", "counts"),
        UNREACHABLE: ("nine tenths", "", "counts"),
        NONE: ("", "", ""),
    }


async def test_while_the_breaker_is_open_only_the_probe_gets_through() -> None:
    """Twenty tasks want to send, and none does until the third probe is answered. One task probes for all."""
    pacer = Pacer(concurrency=20)
    pacer._breaker.initial_delay = 0.01
    break_it(pacer)
    probes, sent = 0, 0

    async def probe() -> None:
        nonlocal probes
        assert (0, 0, pacer.room(), pacer.try_acquire()) == (sent, pacer.in_flight, 0, False)
        probes += 1
        await anyio.sleep(0.005)
        if probes < 3:
            msg = "refused"
            raise NotSentError(msg)

    async def send() -> None:
        nonlocal sent
        await pacer.acquire(probe)
        sent += 1
        await anyio.lowlevel.checkpoint()
        pacer.release()

    shown = pacer.waiting_for
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(send)

    assert "Pidj, which does not answer properly (it is asked again in 0 s)" == shown
    assert (3, 20, False) == (probes, sent, pacer.is_broken)


async def test_whoever_brings_no_probe_waits_for_somebody_elses() -> None:
    """`recover` by one task lets the others go on."""
    pacer = Pacer()
    pacer._breaker.initial_delay = 0.01
    break_it(pacer)
    went_on = False

    async def send() -> None:
        nonlocal went_on
        await pacer.acquire()
        went_on = True
        pacer.release()

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        await settled()
        before = went_on
        await pacer.recover(settled)

    assert (False, True) == (before, went_on)


async def test_after_the_probe_they_start_one_at_a_time() -> None:
    """And the first failure opens the breaker again."""
    pacer = Pacer(concurrency=50)
    pacer._breaker.initial_delay = 0.001
    break_it(pacer)
    await pacer.recover(settled)
    first = (pacer.room(), pacer.limit)
    pacer.try_acquire()
    pacer.release(BROKEN)

    assert ((1, 1), True) == (first, pacer.is_broken)


def test_neither_a_reply_nor_a_failure_moves_an_open_breaker() -> None:
    """What comes in while it is open leaves it as it is, and the next probe when it was."""
    breaker = Breaker(failures=1)
    breaker.failed(0.0)
    before = breaker.probe_at
    breaker.succeeded()

    assert (False, True, before) == (breaker.failed(5.0), breaker.is_open, breaker.probe_at)


async def test_what_was_in_the_air_when_the_breaker_opened_is_no_news() -> None:
    """Ten of forty fail and open it; it closes; the other thirty fail later, and neither open it nor slow it down."""
    pacer = Pacer(concurrency=40)
    pacer._breaker.initial_delay = 0.001
    for _ in range(40):
        pacer.try_acquire()
    for _ in range(10):
        pacer.release(TIMED_OUT)
    opened = pacer.is_broken
    await pacer.recover(settled)
    for _ in range(30):
        pacer.release(TIMED_OUT)
    closed = not pacer.is_broken
    limits = []
    for _ in range(5):
        pacer.try_acquire()
        pacer.release(OK)
        limits.append(pacer.limit)
    pacer.try_acquire()
    pacer.release(TIMED_OUT)

    assert (True, True, [2, 3, 4, 5, 6]) == (opened, closed, limits)
    assert not pacer.is_broken


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("m", status_code=401), PermissionDeniedError("m", status_code=403), ConfigurationError("m")],
)
async def test_a_probe_that_is_answered_with_no_raises(error: PidjError) -> None:
    """Pidj is there, and no waiting will help: the caller must know. Nobody else is let through."""
    pacer = Pacer()
    pacer._breaker.initial_delay = 0.001
    break_it(pacer)

    async def probe() -> None:
        raise error

    with pytest.raises(type(error)):
        await pacer.acquire(probe)
    with pytest.raises(type(error)):
        await pacer.recover(probe)

    assert (True, 0, 0) == (pacer.is_broken, pacer.in_flight, len(pacer._waiters))


async def test_a_probe_that_is_cancelled_is_taken_over() -> None:
    """The task that probes for all goes away: the next one does it."""
    pacer = Pacer()
    pacer._breaker.initial_delay = 0.001
    break_it(pacer)
    got = []

    async def send(which: int, probe: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        with scope:
            await pacer.acquire(probe)
            got.append(which)
            pacer.release()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(send, 0, anyio.sleep_forever, scope)
            await settled()
            group.start_soon(send, 1, settled, anyio.CancelScope())
            await anyio.sleep(0.02)
            scope.cancel()

    assert ([1], False) == (got, pacer.is_broken)


async def test_the_breaker_obeys_a_429_to_its_probe() -> None:
    """The next probe comes when it was asked for, not sooner."""
    pacer = Pacer()
    pacer._breaker.initial_delay = 0.001
    break_it(pacer)
    times = []

    async def probe() -> None:
        times.append(anyio.current_time())
        if len(times) == 1:
            raise RateLimitError("m", status_code=429, retry_after=0.1)

    await pacer.recover(probe)

    assert len(times) == 2
    assert times[1] - times[0] >= 0.1 - 1e-6


async def test_room_counts_what_can_start_soon() -> None:
    """The limit less those under way and those who wait; under a rate, a fifth of a second's worth and the burst."""
    free, paced = Pacer(concurrency=10), Pacer(concurrency=100, rate=50, burst=5)
    fresh = (free.room(), paced.room())
    for _ in range(4):
        free.try_acquire()
        paced.try_acquire()

    assert ((10, 15), 6) == (fresh, free.room())
    assert 11 <= paced.room() <= 12
    assert paced.waiting_for is None


async def test_the_rate_is_named_when_it_holds_everybody_up() -> None:
    """As long as the next one has to wait for it."""
    pacer = Pacer(rate=0.5)
    pacer.try_acquire()

    assert "the rate of 0.5 per second" == pacer.waiting_for
    assert "<Pacer 1 of 100 under way, 0 waiting>" == repr(pacer)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_room_shrinks_by_those_who_wait() -> None:
    """A campaign that asks for room does not take what others have been promised."""
    pacer = Pacer(concurrency=2)
    for _ in range(2):
        pacer.try_acquire()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(pacer.acquire)
        await settled()
        rooms = [pacer.room()]
        for _ in range(5):
            pacer.release()
            await settled()
            rooms.append(pacer.room())

    assert [0, 0, 0, 0, 1, 2] == rooms


@given(
    concurrency=st.integers(1, 20),
    events=st.lists(st.tuples(st.sampled_from(Feedback), st.integers(1, 5)), max_size=100),
)
def test_the_books_are_always_balanced(concurrency: int, events: list[tuple[Feedback, int]]) -> None:
    """Any replies in any order: never more under way than the limit allowed, never less than none."""

    async def story() -> None:
        pacer = Pacer(concurrency=concurrency)
        started = 0
        for feedback, count in events:
            for _ in range(count):
                limit, before = pacer.limit, started
                started += pacer.try_acquire()
                assert started in {before, before + 1}
                assert started == before or before < limit
                assert not (pacer.is_broken and started > before)
            if started:
                pacer.release(feedback, retry_after=0.0)
                started -= 1
            assert started == pacer.in_flight
            assert 1 <= pacer.limit <= concurrency

    anyio.run(story)
