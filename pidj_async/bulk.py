"""Many texts at once: an outcome for each, in bounded memory, and no exception for one recipient's failure.

How the data travels: one background task holds a task group of workers; each worker takes the next request, sends it,
and hands the outcome over to whoever iterates. Nobody takes more until that is done, so at most ``concurrency``
requests and outcomes exist at a time, however slowly they are consumed.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import anyio

from pidj_async._background import Background
from pidj_async._signal import Signal, signals
from pidj_async.endpoints import endpoint_of
from pidj_async.errors import InvalidRequestError, NotSentError, OutcomeUnknownError, PidjError
from pidj_async.outcomes import Outcome, OutcomeState, outcome_state
from pidj_async.pacing import Feedback, Pacer, feedback_of
from pidj_async.requests import SendText
from pidj_async.retries import NO_RETRIES
from pidj_async.transports.base import Progress

if TYPE_CHECKING:
    from types import TracebackType

    from pidj_async.client import Pidj
    from pidj_async.models import TextSent

__all__ = ["Bulk", "SendsMany"]

Texts = Iterable[SendText | Mapping[str, Any]] | AsyncIterable[SendText | Mapping[str, Any]]


class SendsMany:
    """Gives `pidj.messages` its `send_many`."""

    _client: Pidj

    def send_many(self, requests: Texts, *, concurrency: int = 100, pacer: Pacer | None = None) -> Bulk:
        """Send many texts, and get an outcome for each as soon as it is known.

        ::

            async for outcome in pidj.messages.send_many(requests, concurrency=100):
                print(outcome.index, outcome.state, outcome.error)

        It raises for no single text: an invalid one, a refusal and a lost reply are all outcomes. It raises what
        `requests` itself raises, once the texts under way have their outcomes. It remembers nothing after a crash.

        Args:
            requests: `SendText` values or mappings of their arguments, as any iterable or async iterable. They are
                taken one by one as they are needed.
            concurrency: How many are under way at a time. The transport's ``max_connections`` bounds it too.
            pacer: Says how fast, to everybody who is given the same one; see `pidj_async.pacing`. Each try of a text
                waits for its turn, and the client's deadline begins when that has come.

        Returns:
            What to iterate over. If you may leave the loop early, use it as ``async with`` as well; its `undelivered`
            then tells what became of the texts that were under way.

        Raises:
            ValueError: If `concurrency` is less than 1.
        """
        return Bulk(self._client, requests, concurrency, pacer)


class Bulk(AsyncIterator[Outcome]):
    """The outcomes of `send_many`, in the order in which they become known.

    Attributes:
        undelivered: Outcomes that nobody received, because the loop was left or cancelled before its end. A text whose
            request had been started by then is *unknown*, one that had not is *not sent*.
    """

    def __init__(self, client: Pidj, requests: Texts, concurrency: int, pacer: Pacer | None = None) -> None:
        if concurrency < 1:
            msg = f"concurrency must be at least 1; got {concurrency!r}"
            raise ValueError(msg)
        self._client = client
        self._requests = requests
        self._concurrency = concurrency
        self._pacer = pacer
        self._running: _Running | None = None
        self._ended = False
        self.undelivered: list[Outcome] = []

    def __aiter__(self) -> Bulk:
        return self

    async def __anext__(self) -> Outcome:
        if self._ended:
            raise StopAsyncIteration
        if self._running is None:
            crew = _Crew(self._client, self._requests, self._concurrency, self._pacer, self.undelivered)
            self._running = _Running(crew)
        crew = self._running.crew
        try:
            outcome = await crew.hand_over.take()
        except BaseException:
            await self.aclose()
            raise
        if outcome is not None:
            return outcome
        await self.aclose()
        if crew.source_error is not None:
            raise crew.source_error
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Start no further text, cancel those under way, and note in `undelivered` what is known of them."""
        self._ended = True
        running, self._running = self._running, None
        if running is not None:
            running.stop()
            await running.background.wait()

    def __del__(self) -> None:
        running = getattr(self, "_running", None)
        if running is None:
            return
        warnings.warn(
            "a send_many loop was left before its end, so nobody learns what became of the texts under way; "
            "use `async with pidj.messages.send_many(...) as outcomes` and look at outcomes.undelivered",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )
        # The garbage collector may be running in any thread, and after the loop has ended.
        with contextlib.suppress(RuntimeError):
            running.background.call_soon(running.stop)


class _Running:
    """A bulk that has begun."""

    def __init__(self, crew: _Crew) -> None:
        self.crew = crew
        self.background = Background(crew.work, "pidj send_many")

    def stop(self) -> None:
        self.crew.hand_over.leave()
        self.background.cancel()


class _HandOver:
    """Outcomes on their way from the workers to whoever iterates: one after another, and nobody gets ahead.

    A memory stream of anyio's without a buffer would do the same. It takes its turn of the event loop for each outcome,
    and that costs as much as sending the text does. Here whoever iterates takes all that are ready in one turn.
    """

    def __init__(self, undelivered: list[Outcome]) -> None:
        self._undelivered = undelivered
        self._new_signal = signals()
        self._ready: deque[tuple[Outcome, Signal | None]] = deque()
        self._awaited: Signal | None = None
        self._over = False
        self._left = False

    def put(self, outcome: Outcome) -> Signal | None:
        """Hand an outcome over; if nobody is left to take it, it is undelivered.

        Returns:
            What tells that it was taken, unless it may be taken for granted.
        """
        if self._left:
            self._undelivered.append(outcome)
            return None
        # If somebody waits, it is for this very one.
        taken = None if self._awaited is not None else self._new_signal()
        self._ready.append((outcome, taken))
        self._wake()
        return taken

    async def take(self) -> Outcome | None:
        """Wait for an outcome; ``None`` if there will be no more."""
        while not self._ready:
            if self._over:
                return None
            self._awaited = awaited = self._new_signal()
            try:
                await awaited
            finally:
                self._awaited = None
        outcome, taken = self._ready.popleft()
        if taken is not None:
            taken.set()
        return outcome

    def close(self) -> None:
        """Say that no more will come."""
        self._over = True
        self._wake()

    def leave(self) -> None:
        """Take no more: what was not taken is undelivered."""
        self._left = True
        self._undelivered.extend(outcome for outcome, _ in self._ready)
        self._ready.clear()

    def _wake(self) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.set()


class _Crew:
    """The workers of one bulk."""

    def __init__(
        self,
        client: Pidj,
        requests: Texts,
        concurrency: int,
        pacer: Pacer | None,
        undelivered: list[Outcome],
    ) -> None:
        self._client = client
        self._paced = None if pacer is None else _Paced(client, pacer)
        self._concurrency = concurrency
        self.hand_over = _HandOver(undelivered)
        self._undelivered = undelivered
        self._source: Any = aiter(requests) if isinstance(requests, AsyncIterable) else iter(requests)
        self._is_async = isinstance(requests, AsyncIterable)
        self._source_lock = anyio.Lock()
        self._exhausted = False
        self._taken = 0
        self._workers = 0
        self.source_error: BaseException | None = None

    async def work(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._hire(group)
        finally:
            self.hand_over.close()
            await self._close_source()

    def _hire(self, group: anyio.abc.TaskGroup) -> None:
        self._workers += 1
        group.start_soon(self._worker, group)

    async def _worker(self, group: anyio.abc.TaskGroup) -> None:
        while (taken := await self._take() if self._is_async else self._next_of(self._source)) is not None:
            # One more worker for each request found, up to the limit: ten texts do not start a thousand tasks.
            if self._workers < self._concurrency:
                self._hire(group)
            waits_for = self.hand_over.put(await self._outcome_of(*taken))
            if waits_for is not None:
                await waits_for

    async def _take(self) -> tuple[int, SendText | Mapping[str, Any]] | None:
        async with self._source_lock:
            if self._exhausted:
                return None
            try:
                item = await anext(self._source)
            except StopAsyncIteration:
                self._exhausted = True
                return None
            except Exception as error:  # noqa: BLE001  raised in the caller's loop, after the texts under way
                self._exhausted, self.source_error = True, error
                return None
        return self._numbered(item)

    def _next_of(self, source: Any) -> tuple[int, SendText | Mapping[str, Any]] | None:
        if self._exhausted:
            return None
        try:
            item = next(source)
        except StopIteration:
            self._exhausted = True
            return None
        except Exception as error:  # noqa: BLE001  see above
            self._exhausted, self.source_error = True, error
            return None
        return self._numbered(item)

    def _numbered(self, item: Any) -> tuple[int, SendText | Mapping[str, Any]] | None:
        if not isinstance(item, (SendText, Mapping)):
            self._exhausted = True
            self.source_error = TypeError(f"send_many takes SendText values or mappings, not {type(item).__name__}")
            return None
        index = self._taken
        self._taken += 1
        return index, item

    async def _outcome_of(self, index: int, item: SendText | Mapping[str, Any]) -> Outcome:
        progress = Progress()
        try:
            request = item if isinstance(item, SendText) else _request_of(item)
            if self._paced is not None:
                result = await self._paced.send(request, progress)
            else:
                result = await self._client.execute(request, progress=progress)
        except PidjError as error:
            return Outcome(index=index, request=item, state=outcome_state(error), error=error)
        except Exception as error:  # noqa: BLE001  a transport of the caller's may raise anything
            return _surprised(index, item, progress, error)
        except anyio.get_cancelled_exc_class():
            self._undelivered.append(_cancelled(index, item, progress))
            raise
        return Outcome(index=index, request=item, state=OutcomeState.ACCEPTED, result=result)

    async def _close_source(self) -> None:
        # A generator that is left half-way holds files and cursors open.
        with anyio.CancelScope(shield=True):
            try:
                if self._is_async and hasattr(self._source, "aclose"):
                    await self._source.aclose()
                elif hasattr(self._source, "close"):
                    self._source.close()
            except Exception as error:  # noqa: BLE001  reported like any other failure of the source
                self.source_error = self.source_error or error


class _Paced:
    """Sends at the pace of a `Pacer`, which has to see every try: so the tries are made here, not by the client."""

    def __init__(self, client: Pidj, pacer: Pacer) -> None:
        self._client = client
        self._once = client.with_options(retry=NO_RETRIES)
        self._pacer = pacer

    async def send(self, request: SendText, progress: Progress) -> TextSent:
        while True:
            await self._turn()
            feedback, retry_after = Feedback.NONE, None
            try:
                result = await self._once.execute(request, progress=progress)
                feedback = Feedback.OK
            except PidjError as error:
                feedback, retry_after = feedback_of(error), getattr(error, "retry_after", None)
                wait = self._wait_before_retry(request, progress, error)
                if wait is None:
                    raise
            else:
                return result
            finally:
                self._pacer.release(feedback, retry_after)
            await anyio.sleep(wait)

    async def _turn(self) -> None:
        try:
            await self._pacer.acquire(self._once.check_authorization)
        except PidjError as error:
            # Whatever became of the probe, it says of this text only that it was not sent.
            msg = f"messages.send: Pidj takes no texts: {error}; nothing was sent"
            raise NotSentError(msg) from error

    def _wait_before_retry(self, request: SendText, progress: Progress, error: PidjError) -> float | None:
        if outcome_state(error) is not OutcomeState.NOT_SENT:
            return None  # whatever the policy says: the next try's error would speak of that try only
        return self._client._wait_before_retry(endpoint_of(request), progress.attempts, error, math.inf)  # noqa: SLF001


def _request_of(item: Mapping[str, Any]) -> SendText:
    try:
        return SendText(**item)
    except TypeError as error:
        # A missing or unknown argument is the recipient's own trouble too: one bad line among thousands.
        raise InvalidRequestError("request", str(error).removeprefix("SendText.__init__() ")) from None


def _cancelled(index: int, item: SendText | Mapping[str, Any], progress: Progress) -> Outcome:
    error: PidjError
    if progress.request_started:
        error = OutcomeUnknownError("messages.send: cancelled; the request may have been acted on")
    else:
        error = NotSentError("messages.send: cancelled; nothing was sent")
    return Outcome(index=index, request=item, state=outcome_state(error), error=error)


def _surprised(index: int, item: SendText | Mapping[str, Any], progress: Progress, cause: Exception) -> Outcome:
    error = OutcomeUnknownError(f"messages.send: {type(cause).__name__} in the transport; it may have been acted on")
    error.__cause__ = cause
    error.attempts = progress.attempts
    return Outcome(index=index, request=item, state=OutcomeState.UNKNOWN, error=error)
