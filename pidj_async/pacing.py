"""How fast to send: a rate, a concurrency that adapts, and a breaker; one `Pacer` for whoever sends.

What each kind of reply does to the pace:

===============  ======================================  ====================  =====================  ================
feedback         what came back                          concurrency           pause for everybody    breaker
===============  ======================================  ====================  =====================  ================
``OK``           a reply, also one that says no          one more per window                          forgets
``THROTTLED``    429                                     halved                yes                    forgets
``OVERLOADED``   503                                     halved                if ``Retry-After``     counts
``TIMED_OUT``    no reply in time                        nine tenths                                  counts
``BROKEN``       another 5xx, a lost connection          nine tenths                                  counts
``UNREACHABLE``  no connection: proven not sent          nine tenths                                  counts
``NONE``         nothing that Pidj could be blamed for
===============  ======================================  ====================  =====================  ================

A *window* is as many replies as there may be requests at a time. Whatever is in the air when the concurrency is lowered
cannot lower it again: it was sent at the old pace.

The breaker opens after so many counted feedbacks in a row. While it is open nothing is sent but the *probe*, a call
that does nothing (``pidj.check_authorization``): a text is never the one to find out whether Pidj is back, because its
own fate would be in doubt. Once the probe gets through, texts start again one at a time, and the first that fails opens
the breaker again, for twice as long.

`Gcra`, `Aimd` and `Breaker` are the three rules by themselves. They know no clock: the time is passed in.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final

import anyio
import attrs

from pidj_async.errors import (
    APIError,
    ConfigurationError,
    NotSentError,
    OutcomeUnknownError,
    PidjError,
    RateLimitError,
    ResponseError,
    ServerError,
)
from pidj_async.outcomes import cause_of

__all__ = ["Aimd", "Breaker", "Feedback", "Gcra", "Pacer", "feedback_of"]

Probe = Callable[[], Awaitable[object]]

_HORIZON: Final = 0.2  # seconds: a text that could start so soon has room already
_GENTLE: Final = 0.9
_FIRST_BACKOFF: Final = 0.5  # seconds, after a 429 that names no time; doubles
_LAST_BACKOFF: Final = 30.0


class Feedback(Enum):
    """What a request tells about how Pidj is doing; see the table at the head of this module."""

    OK = "ok"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    TIMED_OUT = "timed out"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"
    NONE = "none"


def feedback_of(error: BaseException | None) -> Feedback:
    """Tell what the end of a request says about how Pidj is doing; ``None`` stands for a success."""
    if error is None:
        return Feedback.OK
    if isinstance(error, (APIError, ResponseError)):
        return _of_status(_status_of(error))
    if isinstance(error, NotSentError):
        return Feedback.UNREACHABLE
    if isinstance(error, OutcomeUnknownError):
        return Feedback.TIMED_OUT if (cause_of(error) or "").endswith("timeout") else Feedback.BROKEN
    return Feedback.NONE


def _status_of(error: APIError | ResponseError) -> int:
    """The status that counts; with a refusal in a 2xx it stands in the body."""
    if isinstance(error, RateLimitError):
        return 429
    if isinstance(error, ServerError) and error.status_code < 500:
        return error.code or 500
    return error.status_code


def _of_status(status_code: int) -> Feedback:
    if status_code == 429:
        return Feedback.THROTTLED
    if status_code == 503:
        return Feedback.OVERLOADED
    return Feedback.BROKEN if status_code >= 500 else Feedback.OK


# ------------------------------------------------------------------------------------------------ rules without a clock


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < math.inf:
        msg = f"{attribute.name} must be greater than 0; got {value!r}"
        raise ConfigurationError(msg)


def _at_least_one(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if not value >= 1:
        msg = f"{attribute.name} must be at least 1; got {value!r}"
        raise ConfigurationError(msg)


@attrs.define(kw_only=True)
class Gcra:
    """A rate: in any ``t`` seconds, at most ``rate * t + burst`` may go.

    It is the generic cell rate algorithm (ITU-T I.371, annex A): all it remembers is when the next one would be due if
    they came evenly.

    Attributes:
        rate: How many per second.
        burst: How many may go at once after a lull.
    """

    rate: float = attrs.field(validator=_positive)
    burst: int = attrs.field(default=1, validator=_at_least_one)
    _due: float = attrs.field(default=-math.inf, init=False)

    def delay(self, now: float) -> float:
        """How many seconds until the next one may go; 0 if it may go now."""
        return max(0.0, self._due - (self.burst - 1) / self.rate - now)

    def take(self, now: float) -> None:
        """Let one go. Whether it may is for `delay` to say."""
        self._due = max(self._due, now) + 1 / self.rate

    def room(self, now: float, horizon: float = 0.0) -> int:
        """How many could go now or within the next `horizon` seconds."""
        until = now + horizon + (self.burst - 1) / self.rate
        return max(0, math.floor((until - max(self._due, now)) * self.rate + 1 + 1e-9))


@attrs.define(kw_only=True)
class Aimd:
    """How many requests may be under way: additive increase, multiplicative decrease.

    Attributes:
        maximum: The most there may be, and what it begins with.
        limit: How many there may be now, from 1 to `maximum`.
    """

    maximum: int = attrs.field(validator=_at_least_one)
    limit: int = attrs.field(init=False)
    _clean: int = attrs.field(default=0, init=False)
    _stale: int = attrs.field(default=0, init=False)
    _fast_until: int = attrs.field(default=1, init=False)

    def __attrs_post_init__(self) -> None:
        self.limit = self.maximum

    def succeeded(self) -> None:
        """Book a reply: one more after each clean window, or after each reply while coming back from `restart`."""
        if self._stale > 0:
            self._stale -= 1
        elif self.limit < self.maximum:
            self._clean += 1
            if self._clean >= self.limit or self.limit < self._fast_until:
                self.limit += 1
                self._clean = 0

    def decrease(self, factor: float, *, in_flight: int) -> bool:
        """Lower the limit, unless this reply is to a request from before the last time.

        Args:
            factor: What is left of the limit.
            in_flight: How many requests are still under way; that many replies cannot lower it again.

        Returns:
            Whether it was lowered.
        """
        if self._stale > 0:
            self._stale -= 1
            return False
        self.limit = max(1, math.floor(self.limit * factor))
        self._clean = 0
        self._stale = in_flight
        self._fast_until = 1
        return True

    def restart(self) -> None:
        """Begin again with one at a time, and come back quickly to half of what there was."""
        self._fast_until = max(self._fast_until, self.limit // 2)
        self.limit = 1
        self._clean = 0
        self._stale = 0


@attrs.define(kw_only=True)
class Breaker:
    """Stops everything after too many failures in a row, and says when to look again.

    Attributes:
        failures: How many failures in a row open it.
        initial_delay: Seconds until the first probe; twice as long each time it fails, or the breaker opens again
            without a success in between.
        max_delay: The longest wait between two probes, in seconds.
        probe_at: When the next probe may go; ``None`` while the breaker is closed.
    """

    failures: int = attrs.field(default=10, validator=_at_least_one)
    initial_delay: float = attrs.field(default=1.0, validator=_positive)
    max_delay: float = attrs.field(default=60.0, validator=_positive)
    probe_at: float | None = attrs.field(default=None, init=False)
    _in_a_row: int = attrs.field(default=0, init=False)
    _trips: int = attrs.field(default=0, init=False)

    @property
    def is_open(self) -> bool:
        """Whether nothing may be sent but the probe."""
        return self.probe_at is not None

    def succeeded(self) -> None:
        """Book a reply. One that comes while the breaker is open does not close it: that is the probe's to do."""
        if self.probe_at is None:
            self._in_a_row = self._trips = 0

    def failed(self, now: float) -> bool:
        """Book a failure, and tell whether it opened the breaker."""
        if self.probe_at is not None:
            return False
        self._in_a_row += 1
        if self._in_a_row < self.failures:
            return False
        self._schedule(now, 0.0)
        return True

    def probe_failed(self, now: float, retry_after: float | None = None) -> None:
        """Wait longer for the next probe, and at least as long as the server asked for."""
        self._schedule(now, retry_after or 0.0)

    def probe_succeeded(self) -> None:
        """Close it, on parole: the very next failure opens it again."""
        self.probe_at = None
        self._in_a_row = self.failures - 1

    def _schedule(self, now: float, at_least: float) -> None:
        # The exponent is bounded: 2.0 ** 1024 would overflow, and max_delay has ruled long before.
        delay = min(self.max_delay, self.initial_delay * 2.0 ** min(self._trips, 64))
        self._trips += 1
        self.probe_at = now + max(delay, at_least)


# ------------------------------------------------------------------------------------------------------------ the pacer


class Pacer:
    """Says when the next request may start, to any number of senders of one event loop.

    Whoever sends calls `acquire` before each request and `release` after it, with what it says of Pidj. Requests start
    in the order in which they asked.

    Args:
        concurrency: How many may be under way at a time, at most.
        rate: How many may start per second; ``None`` for no limit.
        burst: How many may start at once after a lull; a tenth of a second's worth, if left out.
        adaptive: Whether 429, 503, timeouts and broken connections lower the concurrency. Pauses and the breaker do not
            depend on it.
        failures: How many failures in a row open the breaker.
        max_retry_after: The longest that a ``Retry-After`` is obeyed, in seconds.

    Raises:
        ConfigurationError: If an argument cannot work.
    """

    def __init__(
        self,
        *,
        concurrency: int = 100,
        rate: float | None = None,
        burst: int | None = None,
        adaptive: bool = True,
        failures: int = 10,
        max_retry_after: float = 3600.0,
    ) -> None:
        if not concurrency >= 1:
            msg = f"concurrency must be at least 1; got {concurrency!r}"
            raise ConfigurationError(msg)
        if not max_retry_after >= 0:
            msg = f"max_retry_after must not be negative; got {max_retry_after!r}"
            raise ConfigurationError(msg)
        if burst is not None and rate is None:
            msg = "burst is how many may start at once under a rate; pass rate as well"
            raise ConfigurationError(msg)
        self.concurrency = concurrency
        self.in_flight = 0
        """How many requests are under way."""
        self._adaptive = adaptive
        self._max_retry_after = max_retry_after
        self._gcra: Gcra | None = None
        if rate is not None:
            self._gcra = Gcra(rate=rate)
            # Timers are late by a millisecond or more; without a burst, what is late would be lost.
            self._gcra.burst = max(1, math.ceil(rate / 10)) if burst is None else burst
        self._aimd = Aimd(maximum=concurrency)
        self._breaker = Breaker(failures=failures)
        self._now = 0.0  # when `_delay` looked at the clock, which costs more than all the rest
        self._paused_until: float | None = None
        self._throttles = 0  # in a row, and how long to wait after the next one that names no time
        self._steady = True  # nothing is to be done about a success
        self._old = 0  # how many are still in the air from before the breaker opened
        self._waiters: deque[_Waiter] = deque()
        self._probing = anyio.Lock()

    # ------------------------------------------------------------------------------------------------ for whoever sends

    def try_acquire(self) -> bool:
        """Start a request if one may start now, and nobody has asked before; else return ``False``."""
        if self._waiters or self._delay() > 0:
            return False
        self._take()
        return True

    async def acquire(self, probe: Probe | None = None) -> None:
        """Wait until a request may start. Each one that was let start must be given back with `release`.

        If this is cancelled, nothing was started. It is no checkpoint when there is nothing to wait for.

        Args:
            probe: A harmless call, with which to find out whether Pidj is back if the breaker is open. Without one,
                this waits until somebody else has called `recover`.

        Raises:
            PidjError: What the probe raised, if Pidj answers it and says no.
        """
        if self.try_acquire():
            return
        waiter = _Waiter()
        self._waiters.append(waiter)
        try:
            while True:
                if self._waiters[0] is not waiter:
                    await waiter.woken.wait()
                elif self.is_broken and probe is not None:
                    await self.recover(probe)
                elif (delay := self._delay()) > 0:
                    with anyio.move_on_after(delay):
                        await waiter.woken.wait()
                else:
                    self._take()
                    return
                waiter.woken = anyio.Event()
        finally:
            self._waiters.remove(waiter)
            self._wake()

    def release(self, feedback: Feedback = Feedback.OK, retry_after: float | None = None) -> None:
        """End a request.

        Args:
            feedback: What it says of Pidj; see `feedback_of`.
            retry_after: How many seconds Pidj asked to wait, if it did.
        """
        self.in_flight -= 1
        if feedback is not Feedback.OK or not self._steady:
            self._heed(feedback, retry_after)
        if self._waiters:
            self._wake()

    async def recover(self, probe: Probe) -> None:
        """Call the probe, again and again with growing waits, until it gets through. One caller does it for all.

        Args:
            probe: A call that does nothing, such as ``pidj.check_authorization``. Never a text.

        Raises:
            PidjError: What the probe raised, if Pidj answers it and says no. The breaker stays open.
        """
        async with self._probing:
            while self._breaker.probe_at is not None:
                await anyio.sleep(max(0.0, self._breaker.probe_at - anyio.current_time()))
                try:
                    await probe()
                except PidjError as error:
                    feedback = feedback_of(error)
                    if feedback in _SAYS_NO:
                        self._breaker.probe_failed(anyio.current_time())
                        raise
                    self._breaker.probe_failed(anyio.current_time(), self._obeyed(_retry_after_of(error)))
                else:
                    self._breaker.probe_succeeded()
        self._wake()

    # ------------------------------------------------------------------------------------------------ for whoever looks

    @property
    def limit(self) -> int:
        """How many requests may be under way at a time now."""
        return self._aimd.limit

    @property
    def is_broken(self) -> bool:
        """Whether the breaker is open: nothing is sent until `recover` has found out that Pidj is back."""
        return self._breaker.probe_at is not None

    @property
    def paused_for(self) -> float:
        """How many seconds everybody still waits, because Pidj asked for it. 0 if nobody does."""
        if self._paused_until is None:
            return 0.0
        return max(0.0, self._paused_until - anyio.current_time())

    @property
    def waiting_for(self) -> str | None:
        """What everybody waits for, in words; ``None`` if it is nothing."""
        if self._breaker.probe_at is not None:
            wait = max(0.0, self._breaker.probe_at - anyio.current_time())
            return f"Pidj, which does not answer properly (it is asked again in {wait:.0f} s)"
        if (paused_for := self.paused_for) > 0:
            return f"Pidj, which asked for a pause ({paused_for:.0f} s more)"
        if self._gcra is not None and self._gcra.delay(anyio.current_time()) > 0:
            return f"the rate of {self._gcra.rate:g} per second"
        return None

    def room(self) -> int:
        """How many more requests could start now or within the next fifth of a second.

        Those that wait in `acquire` come first, and are not counted.
        """
        if self.is_broken:
            return 0
        room = self._aimd.limit - self.in_flight
        now = anyio.current_time() if self._gcra is not None or self._paused_until is not None else 0.0
        if self._paused_until is not None and now < self._paused_until:
            return 0
        if self._gcra is not None:
            room = min(room, self._gcra.room(now, _HORIZON))
        return max(0, room - len(self._waiters))

    def __repr__(self) -> str:
        return f"<Pacer {self.in_flight} of {self.limit} under way, {len(self._waiters)} waiting>"

    # ----------------------------------------------------------------------------------------------------------- inside

    def _delay(self) -> float:
        """How many seconds until one may start: infinitely many, if that depends on something else than time."""
        if self.in_flight >= self._aimd.limit or self._breaker.probe_at is not None:
            return math.inf
        if self._gcra is None and self._paused_until is None:
            return 0.0
        now = self._now = anyio.current_time()
        delay = 0.0 if self._gcra is None else self._gcra.delay(now)
        if self._paused_until is not None:
            delay = max(delay, self._paused_until - now)
            if self._paused_until <= now:
                self._paused_until = None
        return delay

    def _take(self) -> None:
        """Start one, right after `_delay` has said that it may."""
        self.in_flight += 1
        if self._gcra is not None:
            self._gcra.take(self._now)

    def _wake(self) -> None:
        if self._waiters:
            self._waiters[0].woken.set()

    def _heed(self, feedback: Feedback, retry_after: float | None) -> None:
        """Draw the conclusions from the end of a request."""
        # What was in the air when the breaker opened is no news: it must not open it again once it is closed.
        is_news = self._old == 0
        self._old = max(0, self._old - 1)
        now = anyio.current_time()
        self._steady = False
        match feedback:
            case Feedback.NONE:
                return
            case Feedback.OK:
                self._throttles = 0
                self._breaker.succeeded()
                self._aimd.succeeded()
                self._steady = self._aimd.limit == self._aimd.maximum and not self._breaker.is_open and self._old == 0
            case Feedback.THROTTLED:
                self._breaker.succeeded()
                lowered = is_news and self._lower(feedback)
                if retry_after is None:
                    # One backoff for all that were in the air together.
                    self._throttles += lowered
                    longest = min(_LAST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._throttles - 1, 64))
                    retry_after = random.uniform(longest / 2, longest)  # noqa: S311  jitter, nothing to guess
            case _:
                if is_news:
                    self._lower(feedback)
                if is_news and self._breaker.failed(now):
                    self._aimd.restart()
                    self._old = self.in_flight
        if retry_after is not None:
            self._pause(now, retry_after)

    def _lower(self, feedback: Feedback) -> bool:
        factor = 0.5 if feedback in _HALVES else _GENTLE
        return self._aimd.decrease(factor if self._adaptive else 1.0, in_flight=self.in_flight)

    def _pause(self, now: float, retry_after: float) -> None:
        until = now + self._obeyed(retry_after)
        if self._paused_until is None or self._paused_until < until:
            self._paused_until = until

    def _obeyed(self, retry_after: float | None) -> float:
        return 0.0 if retry_after is None else min(max(retry_after, 0.0), self._max_retry_after)


_HALVES: Final = frozenset({Feedback.THROTTLED, Feedback.OVERLOADED})
_SAYS_NO: Final = frozenset({Feedback.OK, Feedback.NONE})


class _Waiter:
    """Somebody in `Pacer.acquire` who has to wait; the first in the line watches the clock for all."""

    __slots__ = ("woken",)

    def __init__(self) -> None:
        self.woken = anyio.Event()


def _retry_after_of(error: PidjError) -> float | None:
    return getattr(error, "retry_after", None)
