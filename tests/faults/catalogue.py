"""The catalogue: every fault of the laboratory, and what each kind of call must make of it.

The rules that the expectations below follow, for a client that tries at most three times:

1. Proven not sent (no name, no connection, no TLS, no free connection): any call is repeated; nothing reaches the wire.
2. 429: Pidj did nothing, so any call is repeated.
3. 5xx, or a reply that never came: only calls that are safe to repeat are repeated. A text is sent once.
4. A reply that came and cannot be used: repeating would not mend it, so no call is repeated.
5. A deadline ends the call whatever is left of its tries.

Four calls stand for all of them: a text (POST, not safe to repeat), a change (PUT, safe), a read (GET, safe) and a read
that hands its results over while they arrive.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

from attrs import Factory, field, frozen

from pidj_async.errors import NotSentError, OutcomeUnknownError, RateLimitError, ResponseError, ServerError

from . import behaviours as wire
from .server import (
    API_PATH,
    LOOPBACK,
    OTHER_HOST,
    Behaviour,
    FaultServer,
    FullBacklog,
    Nowhere,
    answer_properly,
    certificate,
    refused_port,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from contextlib import AbstractContextManager

    from pidj_async.errors import PidjError

    from .server import Certificate, Connection, Request, Target

__all__ = ["CALLS", "FAULTS", "HEALTHY", "MAX_ATTEMPTS", "UNRESOLVABLE_HOST", "CallName", "Expected", "Fault", "Lab"]

CallName = Literal["messages.send", "contacts.update", "contacts.list", "contacts.stream"]

CALLS: tuple[CallName, ...] = ("messages.send", "contacts.update", "contacts.list", "contacts.stream")
"""The calls that every fault is tried with. Only the first is not safe to repeat."""

MAX_ATTEMPTS = 3

UNRESOLVABLE_HOST = ".".join(["nobody" * 10] * 5) + ".invalid"
"""A name that resolves nowhere, and that no resolver is ever asked for.

RFC 6761 reserves ``.invalid``, yet the C library would still send the question. A name longer than the 255 bytes of
RFC 1035 cannot be put into a question, so the failure is found on this machine, with the same error code.
"""


@frozen
class Expected:
    """What a call must come to.

    Attributes:
        error: The exact class of the error; ``None`` if the call succeeds.
        requests: How many requests of this call the server reads in full.
        attempts: How often the client tries.
    """

    error: type[PidjError] | None
    requests: int
    attempts: int


@frozen
class Lab:
    """A fault that was set up.

    Attributes:
        target: Where the client is to call.
        bystander: A second server that must never hear from the client.
    """

    target: Target
    bystander: Target | None = None

    @property
    def server(self) -> FaultServer:
        """The target as a server of ours, for faults that have one."""
        assert isinstance(self.target, FaultServer)
        return self.target


@frozen(kw_only=True)
class Fault:
    """One way to fail.

    Attributes:
        name: What the fault is called; the tests' id.
        start: Sets it up; leaving the context takes it down.
        expected: What each call must come to.
        transport: Options of the transport that this fault needs; times in seconds.
        deadline: How many seconds a call may take in all.
        warm_up: Set if the connection must have served a request before the call under test: waits until the server
            has done its part after that request, and says whether it has.
        hold: Whether another call must occupy the only connection during the call under test.
        fresh_connections: Whether every attempt must be on a connection of its own.
    """

    name: str
    start: Callable[[], AbstractContextManager[Lab]] = field(repr=False)
    expected: Mapping[CallName, Expected] = field(repr=False)
    transport: Mapping[str, Any] = Factory(dict)
    deadline: float = 20.0
    warm_up: Callable[[FaultServer], bool] | None = field(default=None, repr=False)
    hold: bool = False
    fresh_connections: bool = False


# What must come of it ---------------------------------------------------------------------------------------------


def _every_call(expected: Expected) -> dict[CallName, Expected]:
    return dict.fromkeys(CALLS, expected)


def _once_unless_safe(unsafe: Expected, safe: Expected) -> dict[CallName, Expected]:
    return {name: unsafe if name == "messages.send" else safe for name in CALLS}


_NOT_SENT = _every_call(Expected(NotSentError, 0, MAX_ATTEMPTS))
_LIMITED = _every_call(Expected(RateLimitError, MAX_ATTEMPTS, MAX_ATTEMPTS))
_UNUSABLE = _every_call(Expected(ResponseError, 1, 1))
_OUT_OF_TIME = _every_call(Expected(OutcomeUnknownError, 1, 1))
_BROKEN = _once_unless_safe(Expected(ServerError, 1, 1), Expected(ServerError, MAX_ATTEMPTS, MAX_ATTEMPTS))
_LOST = _once_unless_safe(
    Expected(OutcomeUnknownError, 1, 1), Expected(OutcomeUnknownError, MAX_ATTEMPTS, MAX_ATTEMPTS)
)
_LOST_UNREAD = _once_unless_safe(Expected(OutcomeUnknownError, 0, 1), Expected(OutcomeUnknownError, 0, MAX_ATTEMPTS))


# How to set it up -------------------------------------------------------------------------------------------------


def _unresolvable() -> contextlib.nullcontext[Lab]:
    return contextlib.nullcontext(Lab(Nowhere(f"https://{UNRESOLVABLE_HOST}{API_PATH}")))


@contextlib.contextmanager
def _refused() -> Generator[Lab]:
    with refused_port() as port:
        yield Lab(Nowhere(f"http://{LOOPBACK}:{port}{API_PATH}"))


@contextlib.contextmanager
def _never_accepted() -> Generator[Lab]:
    with FullBacklog() as target:
        yield Lab(target)


def _serving(
    on_request: Callable[[Connection, Request], None] | None = None,
    *,
    on_accept: Callable[[Connection], None] | None = None,
    tls: Callable[[], Certificate] | None = None,
) -> Callable[[], AbstractContextManager[Lab]]:
    @contextlib.contextmanager
    def start() -> Generator[Lab]:
        behaviour = Behaviour(on_accept=on_accept, on_request=on_request)
        with FaultServer(behaviour, tls=None if tls is None else tls()) as server:
            yield Lab(server)

    return start


def _redirecting(status: str) -> Callable[[], AbstractContextManager[Lab]]:
    @contextlib.contextmanager
    def start() -> Generator[Lab]:
        with FaultServer(Behaviour(), host=OTHER_HOST) as bystander:
            behaviour = Behaviour(on_request=wire.redirect(status, f"{bystander.base_url}/contacts"))
            with FaultServer(behaviour) as server:
                yield Lab(server, bystander)

    return start


def _good_certificate() -> Certificate:
    return certificate(LOOPBACK, "localhost")


_PATIENCE = 5.0  # seconds
_IMPATIENT = {"read_timeout": 0.1}
_SMALL_CAP = {"max_response_bytes": 1024 * 1024}

HEALTHY: tuple[Fault, ...] = (
    Fault(
        name="healthy",
        start=_serving(answer_properly),
        expected=_every_call(Expected(None, 1, 1)),
    ),
    Fault(
        name="healthy_tls",
        start=_serving(answer_properly, tls=_good_certificate),
        expected=_every_call(Expected(None, 1, 1)),
    ),
)
"""No fault at all: proof that what fails in the laboratory fails for the fault's sake."""

FAULTS: tuple[Fault, ...] = (
    # Proven not sent
    Fault(name="dns_failure", start=_unresolvable, expected=_NOT_SENT),
    Fault(name="refused", start=_refused, expected=_NOT_SENT),
    Fault(name="connect_timeout", start=_never_accepted, expected=_NOT_SENT, transport={"connect_timeout": 0.06}),
    Fault(
        name="tls_expired",
        start=_serving(tls=lambda: certificate(LOOPBACK, "localhost", expired=True)),
        expected=_NOT_SENT,
        fresh_connections=True,
    ),
    Fault(
        name="tls_wrong_host",
        start=_serving(tls=lambda: certificate("somebody-else.invalid")),
        expected=_NOT_SENT,
        fresh_connections=True,
    ),
    Fault(
        name="tls_handshake_cut",
        start=_serving(on_accept=wire.cut_handshake, tls=_good_certificate),
        expected=_NOT_SENT,
        fresh_connections=True,
    ),
    Fault(
        name="tls_handshake_hangs",
        start=_serving(on_accept=wire.never_shake_hands, tls=_good_certificate),
        expected=_NOT_SENT,
        transport={"connect_timeout": 0.1},
        fresh_connections=True,
    ),
    Fault(
        name="pool_exhausted",
        start=_serving(wire.hold_until_released),
        expected=_NOT_SENT,
        transport={"max_connections": 1, "pool_timeout": 0.06},
        hold=True,
    ),
    # A reply that never came, or not in full
    Fault(
        name="accept_then_close",
        start=_serving(on_accept=wire.accept_then_close),
        expected=_LOST_UNREAD,
        fresh_connections=True,
    ),
    Fault(
        name="reset_before_headers",
        start=_serving(wire.reset_before_headers),
        expected=_LOST,
        fresh_connections=True,
    ),
    Fault(name="reset_mid_headers", start=_serving(wire.reset_mid_headers), expected=_LOST, fresh_connections=True),
    Fault(name="reset_mid_body", start=_serving(wire.reset_mid_body), expected=_LOST, fresh_connections=True),
    Fault(name="headers_dribbled", start=_serving(wire.headers_dribbled), expected=_OUT_OF_TIME, deadline=0.3),
    Fault(name="body_dribbled", start=_serving(wire.body_dribbled), expected=_OUT_OF_TIME, deadline=0.3),
    Fault(
        name="hang",
        start=_serving(wire.hang),
        expected=_LOST,
        transport=_IMPATIENT,
        fresh_connections=True,
    ),
    Fault(
        # The end of the connection can be seen before the next request goes out: nothing is lost, nobody is told.
        name="stale_keep_alive_seen",
        start=_serving(wire.close_idle_connection),
        expected=_every_call(Expected(None, 1, 1)),
        warm_up=lambda server: server.wait_for_half_close(_PATIENCE),
    ),
    Fault(
        # The end of the connection and the next request cross on the wire: the request may have been acted on.
        name="stale_keep_alive_crossed",
        start=_serving(wire.close_reused_connection),
        expected=_once_unless_safe(Expected(OutcomeUnknownError, 1, 1), Expected(None, 2, 2)),
        warm_up=lambda server: server.wait_for_requests(1, _PATIENCE),
    ),
    # Pidj says: not now
    Fault(
        name="429_retry_after_seconds",
        start=_serving(wire.refuse("429 Too Many Requests", "Retry-After: 7")),
        expected=_LIMITED,
    ),
    Fault(
        name="429_retry_after_date",
        start=_serving(wire.refuse("429 Too Many Requests", wire.retry_after_date)),
        expected=_LIMITED,
    ),
    Fault(
        name="429_retry_after_absurd",
        start=_serving(wire.refuse("429 Too Many Requests", "Retry-After: 999999999")),
        expected=_LIMITED,
    ),
    Fault(
        name="429_retry_after_garbage",
        start=_serving(wire.refuse("429 Too Many Requests", "Retry-After: soon, -1, nan")),
        expected=_LIMITED,
    ),
    Fault(name="429_without_retry_after", start=_serving(wire.refuse("429 Too Many Requests")), expected=_LIMITED),
    # Pidj broke
    Fault(name="500", start=_serving(wire.refuse("500 Internal Server Error")), expected=_BROKEN),
    Fault(name="502_html", start=_serving(wire.html("502 Bad Gateway")), expected=_BROKEN),
    Fault(
        name="503_retry_after",
        start=_serving(wire.refuse("503 Service Unavailable", "Retry-After: 7")),
        expected=_BROKEN,
    ),
    # A reply that cannot be used
    Fault(name="200_html", start=_serving(wire.html("200 OK")), expected=_UNUSABLE),
    Fault(name="json_malformed", start=_serving(wire.json_cut), expected=_UNUSABLE),
    Fault(name="json_wrong_shape", start=_serving(wire.json_of_wrong_shape), expected=_UNUSABLE),
    Fault(name="gzip_truncated", start=_serving(wire.gzip_cut), expected=_UNUSABLE),
    Fault(name="gzip_without_trailer", start=_serving(wire.gzip_without_trailer), expected=_UNUSABLE),
    Fault(name="gzip_bomb", start=_serving(wire.gzip_bomb), expected=_UNUSABLE, transport=_SMALL_CAP),
    Fault(name="huge_body_claimed", start=_serving(wire.huge_body_claimed), expected=_UNUSABLE, transport=_SMALL_CAP),
    Fault(name="huge_body_endless", start=_serving(wire.huge_body_endless), expected=_UNUSABLE, transport=_SMALL_CAP),
    Fault(name="bad_chunking", start=_serving(wire.bad_chunking), expected=_UNUSABLE),
    Fault(name="redirect_302", start=_redirecting("302 Found"), expected=_UNUSABLE),
    Fault(name="redirect_307", start=_redirecting("307 Temporary Redirect"), expected=_UNUSABLE),
)
"""Every fault, by what is known of the request afterwards."""
