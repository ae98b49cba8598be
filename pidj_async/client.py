"""`Pidj`: the client. One row of the table through retries, deadline and transport."""

from __future__ import annotations

import copy
import logging
import os
import random
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

import anyio
import attrs

from pidj_async._deadline import Deadlines
from pidj_async._masking import mask_text
from pidj_async._resources import Contacts, Groups, Messages, RootCalls, SeriesCalls, Sso, Surveys, Tasks, Users
from pidj_async._unset import UNSET, Unset
from pidj_async._version import __version__
from pidj_async.endpoints import endpoint_of, streamed
from pidj_async.errors import ConfigurationError, NotSentError, OutcomeUnknownError, PidjError, TransportError
from pidj_async.incremental import ItemReader
from pidj_async.outcomes import OutcomeState, outcome_state
from pidj_async.retries import Retry, RetryBudget, RetryPolicy
from pidj_async.sansio import (
    DEFAULT_BASE_URL,
    Reply,
    WireRequest,
    WireResponse,
    basic_authorization,
    build_request,
    check_base_url,
    parse_response,
    parse_result,
)
from pidj_async.streaming import Arriving, Stream
from pidj_async.transports import Progress, StreamingTransport, Transport, TransportName, make_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from pidj_async._endpoint import Endpoint
    from pidj_async._fields import Request

__all__ = ["Pidj"]

R = TypeVar("R")
M = TypeVar("M")
T = TypeVar("T")
W = TypeVar("W")

logger = logging.getLogger("pidj_async")


class Pidj(RootCalls):
    """A client of the Pidj API, for asyncio and trio.

    ::

        async with Pidj(account_key=..., token=...) as pidj:
            await pidj.messages.send(to_number="+18885553333", text_body="Hi", group_id="gr:...")

    Without ``async with``, call `aclose` when done. One client serves any number of tasks of one event loop.

    Args:
        account_key: The Account Key from Pidj's API page, under settings.
        token: The Token from the same page. It is never shown in a repr, a log or an error.
        base_url: Another address, API version included; https, except on loopback.
        transport: What carries the requests: a `Transport`, which is yours to close, or the name of one. ``"auto"`` is
            the fastest that is installed and can do what is asked of it.
        retry: When to try again, a pure function; see `pidj_async.retries`.
        retry_budget: Tokens for retries, shared by everybody who passes the same one. The client's own, if left out.
        deadline: Seconds for a whole call, retries and waits included. ``None`` for no limit.
        user_agent: What to call your program, put before this package's name in ``User-Agent``.

    Raises:
        ConfigurationError: If an argument cannot work, or is not safe.
    """

    messages: Messages
    tasks: Tasks
    users: Users
    sso: Sso
    contacts: Contacts
    groups: Groups
    series: SeriesCalls
    surveys: Surveys

    def __init__(
        self,
        *,
        account_key: str,
        token: str,
        base_url: str = DEFAULT_BASE_URL,
        transport: Transport | TransportName = "auto",
        retry: Retry | None = None,
        retry_budget: RetryBudget | None = None,
        deadline: float | None = 60.0,
        user_agent: str | None = None,
    ) -> None:
        _check_credential("account_key", account_key)
        _check_credential("token", token)
        if ":" in account_key:
            msg = "account_key must not contain ':', which HTTP Basic uses to separate it from the token"
            raise ConfigurationError(msg)
        self._base_url = check_base_url(base_url)
        authorization = basic_authorization(account_key, token)
        self._secrets = (token, authorization, authorization.partition(" ")[2])
        self._headers = (
            ("Authorization", authorization),
            ("Accept", "application/json"),
            ("User-Agent", _user_agent(user_agent)),
        )
        self._retry: Retry = RetryPolicy() if retry is None else retry
        self._retry_budget = RetryBudget() if retry_budget is None else retry_budget
        self._deadlines = Deadlines(_check_deadline(deadline))
        self._owns_transport = isinstance(transport, str)
        self._transport = make_transport(transport) if isinstance(transport, str) else transport
        self._state = _State()
        self._attach_namespaces()

    def _attach_namespaces(self) -> None:
        self._client = self
        self.messages = Messages(self)
        self.tasks = Tasks(self)
        self.users = Users(self)
        self.sso = Sso(self)
        self.contacts = Contacts(self)
        self.groups = Groups(self)
        self.series = SeriesCalls(self)
        self.surveys = Surveys(self)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        transport: Transport | TransportName = "auto",
        retry: Retry | None = None,
        retry_budget: RetryBudget | None = None,
        deadline: float | None = 60.0,
        user_agent: str | None = None,
    ) -> Pidj:
        """Make a client from ``PIDJ_ACCOUNT_KEY``, ``PIDJ_TOKEN`` and, if it is set, ``PIDJ_BASE_URL``.

        Args:
            environ: Where to look instead of ``os.environ``.
            transport: See `Pidj`.
            retry: See `Pidj`.
            retry_budget: See `Pidj`.
            deadline: See `Pidj`.
            user_agent: See `Pidj`.

        Raises:
            ConfigurationError: If one of the first two is missing; it names which.
        """
        environ = os.environ if environ is None else environ
        missing = [name for name in ("PIDJ_ACCOUNT_KEY", "PIDJ_TOKEN") if not environ.get(name)]
        if missing:
            msg = f"{' and '.join(missing)} must be set in the environment; both are on Pidj's API page, under settings"
            raise ConfigurationError(msg)
        return cls(
            account_key=environ["PIDJ_ACCOUNT_KEY"],
            token=environ["PIDJ_TOKEN"],
            base_url=environ.get("PIDJ_BASE_URL") or DEFAULT_BASE_URL,
            transport=transport,
            retry=retry,
            retry_budget=retry_budget,
            deadline=deadline,
            user_agent=user_agent,
        )

    def with_options(self, *, retry: Retry | Unset = UNSET, deadline: float | None | Unset = UNSET) -> Pidj:
        """Return a client that differs in these options and shares everything else, connections included.

        Closing it does nothing; the client it came from closes the connections of both.

        Args:
            retry: See `Pidj`.
            deadline: See `Pidj`.
        """
        other = copy.copy(self)
        if retry is not UNSET:
            other._retry = retry  # noqa: SLF001  another of ourselves
        if deadline is not UNSET:
            other._deadlines = Deadlines(_check_deadline(deadline))  # noqa: SLF001
        other._owns_transport = False  # noqa: SLF001
        other._attach_namespaces()  # noqa: SLF001
        return other

    @property
    def base_url(self) -> str:
        """Where this client sends its requests."""
        return self._base_url

    @property
    def transport(self) -> Transport:
        """What carries this client's requests."""
        return self._transport

    @property
    def transport_name(self) -> str:
        """Which transport that is, by name.

        ``"auto"`` becomes ``"fast"``, ``"aiohttp"`` or ``"httpx"``, whichever it took, with the first request. A
        transport without a ``name`` goes by that of its class.
        """
        return str(getattr(self._transport, "name", type(self._transport).__name__))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what this client opened; a transport that was passed in stays open. Closing twice is harmless."""
        if self._owns_transport:
            self._state.closed = True
            await self._transport.aclose()

    def __repr__(self) -> str:
        return f"<Pidj {self._base_url}>"

    # --------------------------------------------------------------------------------------------------------- calls

    async def execute(self, request: Request[R], *, progress: Progress | None = None) -> R:
        """Carry out a request and return its result.

        ``await pidj.execute(SendText(...))`` is ``await pidj.messages.send(...)``.

        Args:
            request: An instance of one of the classes in `pidj_async.requests`.
            progress: Tells how far the call has come, also when it is cancelled.

        Raises:
            APIError: Pidj said no; see the subclasses.
            NotSentError: Proven: nothing left this machine.
            OutcomeUnknownError: It may have been acted on.
            ResponseError: The reply is not what the API promises.
        """
        progress = Progress() if progress is None else progress
        row = endpoint_of(request)
        return await self._tries(row, request, progress, self._transport.send, self._read_result)

    async def call(self, request: Request[R], *, progress: Progress | None = None) -> Reply[R]:
        """Carry out a request and return the whole reply, unknown fields and headers included.

        Args:
            request: An instance of one of the classes in `pidj_async.requests`.
            progress: Tells how far the call has come, also when it is cancelled.

        Raises:
            PidjError: As `execute`.
        """
        progress = Progress() if progress is None else progress
        row = endpoint_of(request)
        reply: Reply[R] = await self._tries(row, request, progress, self._transport.send, self._read_reply)
        return reply if progress.attempts == 1 else attrs.evolve(reply, attempts=progress.attempts)

    def stream(self, request: Request[tuple[M, ...]]) -> Stream[M]:
        """Carry out a request for many results, and iterate over them while the reply is still arriving.

        ``pidj.stream(ListContacts())`` is ``pidj.contacts.stream()``. Only beginning is tried again: not what fails
        once a result was handed over. The client's `deadline` bounds the wait for each result, the first with its
        retries.

        Args:
            request: An instance of one of the classes in `pidj_async.requests` whose result is a tuple.

        Returns:
            What to iterate over. It raises what `execute` raises; a reply that ends too early is an error, never a
            short list.

        Raises:
            TypeError: If the result of the request is one thing.
            ConfigurationError: If the client's transport cannot stream.
        """
        row = endpoint_of(request)
        if not row.many:
            msg = f"{row.name} returns one {row.model.__name__}; only what returns many can be streamed"
            raise TypeError(msg)
        transport = self._transport
        if not isinstance(transport, StreamingTransport):
            msg = (
                f"{type(transport).__name__} cannot stream: give it a method stream() as StreamingTransport has it, "
                f"or call {row.name}(), which reads the whole reply at once"
            )
            raise ConfigurationError(msg)
        row = streamed(row)
        progress = Progress()

        async def begin(wire: WireRequest, progress: Progress) -> Arriving[M]:
            reply = await transport.stream(wire, progress)
            reader = ItemReader(
                row,
                status_code=reply.status_code,
                headers=reply.headers,
                request=request,
                secrets=self._secrets,
            )
            arriving = Arriving(reply, reader)
            await arriving.wait()
            logger.debug("%s: HTTP %d, arriving, try %d", row.name, reply.status_code, progress.attempts)
            return arriving

        return Stream(
            partial(self._tries, row, request, progress, begin, _as_it_is), partial(self._in_time, row, progress)
        )

    # One coroutine for all of it: each one more is made for every call, and looked through by the garbage collector.
    async def _tries(
        self,
        row: Endpoint[Any],
        request: Request[Any],
        progress: Progress,
        send: Callable[[WireRequest, Progress], Awaitable[W]],
        read: Callable[[Endpoint[Any], Request[Any], Progress, W], T],
    ) -> T:
        """Send a request and read the reply, again as long as the policy says so, within the deadline."""
        wire = build_request(row, request, base_url=self._base_url, headers=self._headers)
        acted_on = False
        try:
            with (block := self._deadlines.begin()):
                while True:
                    if self._state.closed:
                        self._state.refuse(row)
                    progress.attempts += 1
                    try:
                        result = read(row, request, progress, await send(wire, progress))
                    except PidjError as error:
                        acted_on = acted_on or outcome_state(error) is OutcomeState.UNKNOWN
                        await self._wait_or_give_up(row, progress, error, block.deadline, acted_on=acted_on)
                    else:
                        self._retry_budget.give_back()
                        return result
        except BaseException as error:
            _sign(error, row, progress)
            raise
        raise self._out_of_time(row, progress)

    def _read_result(self, row: Endpoint[R], request: Request[R], progress: Progress, response: WireResponse) -> R:
        now = datetime.now(UTC) if "retry-after" in response.headers else None
        result = parse_result(row, response, request=request, secrets=self._secrets, now=now)
        if logger.isEnabledFor(logging.DEBUG):
            _log(row, response, progress)
        return result

    def _read_reply(
        self, row: Endpoint[R], request: Request[R], progress: Progress, response: WireResponse
    ) -> Reply[R]:
        now = datetime.now(UTC) if "retry-after" in response.headers else None
        reply = parse_response(row, response, request=request, secrets=self._secrets, now=now)
        if logger.isEnabledFor(logging.DEBUG):
            _log(row, response, progress)
        return reply

    async def _in_time(self, row: Endpoint[Any], progress: Progress, work: Callable[[], Awaitable[T]]) -> T:
        """Carry on with something that has begun, within the deadline."""
        try:
            with self._deadlines.begin():
                return await work()
        except BaseException as error:
            _sign(error, row, progress)
            raise
        raise self._out_of_time(row, progress)

    async def _wait_or_give_up(
        self,
        row: Endpoint[Any],
        progress: Progress,
        error: PidjError,
        give_up_at: float,
        *,
        acted_on: bool,
    ) -> None:
        """Wait until it may be tried again, or raise what it has come to."""
        # From here on only what an earlier try may have done counts, until the next one starts.
        progress.request_started = acted_on
        wait = self._wait_before_retry(row, progress.attempts, error, give_up_at)
        if wait is None:
            if acted_on and outcome_state(error) is OutcomeState.NOT_SENT and isinstance(error, NotSentError):
                msg = f"{error} this time, but an earlier try may have been acted on"
                raise OutcomeUnknownError(msg) from error
            raise error
        logger.info(
            "%s: try %d failed (%s); trying again in %.2f s", row.name, progress.attempts, type(error).__name__, wait
        )
        await anyio.sleep(wait)

    def _wait_before_retry(self, row: Endpoint[Any], attempt: int, error: PidjError, give_up_at: float) -> float | None:
        backoff = self._retry(row, attempt, error)
        if backoff is None:
            return None
        wait = random.uniform(backoff.at_least, backoff.at_most)  # noqa: S311  jitter, nothing to guess
        # A try that could only begin after the deadline is not worth waiting for: the error of this one tells more.
        if anyio.current_time() + wait >= give_up_at or not self._retry_budget.take():
            return None
        return wait

    def _out_of_time(self, row: Endpoint[Any], progress: Progress) -> TransportError:
        limit = f"{row.name}: the deadline of {self._deadlines.seconds:g} s has passed"
        error: TransportError
        if progress.request_started:
            error = OutcomeUnknownError(f"{limit}; the request may have been acted on")
        else:
            error = NotSentError(f"{limit}; nothing was sent")
        error.__cause__ = TimeoutError(limit)
        error.endpoint = row.name
        error.attempts = progress.attempts
        return error


def _as_it_is(row: Endpoint[Any], request: Request[Any], progress: Progress, reply: T) -> T:  # noqa: ARG001  a reader
    return reply


def _log(row: Endpoint[Any], response: WireResponse, progress: Progress) -> None:
    content = mask_text(response.content)
    logger.debug("%s: HTTP %d, %s, try %d", row.name, response.status_code, content, progress.attempts)


def _sign(error: BaseException, row: Endpoint[Any], progress: Progress) -> None:
    """Note on an error, or on a cancellation, which call it ended, and how far that had come."""
    if isinstance(error, PidjError):
        error.endpoint = row.name
        error.attempts = progress.attempts
    elif isinstance(error, anyio.get_cancelled_exc_class()):
        fate = "its outcome is unknown" if progress.request_started else "nothing was sent"
        error.add_note(f"{row.name} was cancelled: {fate}")


@attrs.define
class _State:
    """What a client and the ones derived from it share."""

    closed: bool = False

    def refuse(self, row: Endpoint[Any]) -> NoReturn:
        msg = f"{row.name}: the client is closed; nothing was sent"
        raise NotSentError(msg)


def _check_credential(name: str, value: object) -> None:
    if not isinstance(value, str) or not value or not value.isprintable() or value != value.strip():
        msg = f"{name} must be text without surrounding blanks; it is on Pidj's API page, under settings"
        raise ConfigurationError(msg)


def _check_deadline(deadline: float | None) -> float | None:
    if deadline is not None and not deadline > 0:
        msg = f"deadline must be greater than 0 seconds, or None for no limit; got {deadline!r}"
        raise ConfigurationError(msg)
    return deadline


def _user_agent(program: str | None) -> str:
    ours = f"pidj-async/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"
    if program is None:
        return ours
    if not program.isascii() or not program.isprintable():
        msg = f"user_agent must be printable ASCII; got {program!r}"
        raise ConfigurationError(msg)
    return f"{program} {ours}"
