"""Every fault of the catalogue against the whole client: what it says, what it sent, what it left behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import logging
import traceback
import tracemalloc
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.to_thread
import httpx
import pytest
import trio
from attrs import frozen

from pidj_async import Pidj
from pidj_async.errors import PidjError, RateLimitError, ResponseError, ServerError, TransportError
from pidj_async.retries import RetryPolicy
from pidj_async.transports.httpx import HttpxTransport
from tests.carriers import ASYNCIO_ONLY, CARRIERS, EVERY_TRANSPORT

from . import behaviours as wire
from .catalogue import CALLS, FAULTS, HEALTHY, MAX_ATTEMPTS, CallName, Fault, Lab
from .server import Behaviour, FaultServer, trusting_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator


pytestmark = pytest.mark.anyio

ACCOUNT_KEY = "fault-key"
TOKEN = "fault-token-secret"
PHONE_NUMBER = "+18885553333"
TEXT = "rendezvous-behind-the-mill"
GROUP_ID = "gr:04207209-7f61-5801-a3bd-958ecff19f77"
CONTACT_ID = "co:8b9ac71a-2b2a-50fd-9280-5c51a9d51fd8"

SECRETS = {
    "token": TOKEN,
    "authorization": base64.b64encode(f"{ACCOUNT_KEY}:{TOKEN}".encode()).decode(),
}
PRIVATE = {**SECRETS, "phone number": PHONE_NUMBER[-10:], "text": TEXT}

PATIENCE = 5.0  # seconds: for what must come, however busy the machine is

Engine = Literal["httpx", "callers", "aiohttp", "fast"]

EVERY_ENGINE = (
    *EVERY_TRANSPORT,
    pytest.param("callers", "asyncio", id="callers"),
    pytest.param("callers", "trio", id="callers-trio"),
)
"""Parameters ``engine`` and ``anyio_backend``."""

_BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Generator[None]:
    # Every test collects garbage; what was there before the first one need not be looked at hundreds of times.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


# The client -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def client_of(
    lab: Lab, *, engine: Engine = "httpx", deadline: float = 20.0, transport: dict[str, Any] | None = None
) -> AsyncGenerator[Pidj]:
    """A client of the laboratory, over one of our transports, or over an ``httpx.AsyncClient`` of the caller's."""
    options = transport or {}
    async with contextlib.AsyncExitStack() as stack:
        if engine == "callers":
            callers = await stack.enter_async_context(_callers_client(options))
            limit = {name: value for name, value in options.items() if name == "max_response_bytes"}
            carrier: Any = HttpxTransport(callers, **limit)
        else:
            carrier = CARRIERS[engine](ssl_context=trusting_context(), trust_env=False, **options)
        await stack.enter_async_context(carrier)
        yield await stack.enter_async_context(
            Pidj(
                account_key=ACCOUNT_KEY,
                token=TOKEN,
                base_url=lab.target.base_url,
                transport=carrier,
                retry=RetryPolicy(max_attempts=MAX_ATTEMPTS, initial_delay=0.001, max_delay=0.01, max_retry_after=0.05),
                deadline=deadline,
            )
        )


def _callers_client(options: dict[str, Any]) -> httpx.AsyncClient:
    kinds = ("connect", "read", "write", "pool")
    return httpx.AsyncClient(
        verify=trusting_context(),
        trust_env=False,
        limits=httpx.Limits(max_connections=options.get("max_connections", 100)),
        timeout=httpx.Timeout(**{kind: options.get(f"{kind}_timeout", PATIENCE) for kind in kinds}),
    )


async def make(call: CallName, pidj: Pidj) -> None:
    """Make one of the calls that stand for all."""
    if call == "messages.send":
        await pidj.messages.send(to_number=PHONE_NUMBER, text_body=TEXT, group_id=GROUP_ID)
    elif call == "contacts.update":
        await pidj.contacts.update(CONTACT_ID, phone_number=PHONE_NUMBER)
    elif call == "contacts.list":
        await pidj.contacts.list()
    else:
        async for _ in pidj.contacts.stream():
            pass


# What is observed -------------------------------------------------------------------------------------------------


@frozen
class Observed:
    """What came of one call; everything that a fault could get wrong, in one value.

    Attributes:
        error: The exact class of the error.
        attempts: How often the error says that the client tried; ``None`` without an error.
        endpoint: The call that the error names.
        requests: How many requests of the call reached the server.
        connections: How many connections it took, where the fault says that it matters.
        bystander_connections: How many connections reached a host that nobody should call.
        all_closed: Whether the server saw the end of every connection once the client was closed.
        sockets_left: Sockets of this process that were not there before.
        tasks_left: Tasks that were not there before.
        warnings: What Python had to complain about, unclosed resources among it.
        told: Which private things could be read in the error, its chain, its notes, its traceback or the logs.
    """

    error: type[PidjError] | None
    attempts: int | None
    endpoint: str | None
    requests: int
    connections: int | None
    bystander_connections: int
    all_closed: bool = True
    sockets_left: int = 0
    tasks_left: int = 0
    warnings: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def expected_of(fault: Fault, call: CallName) -> Observed:
    """Spell out what the catalogue says of a call."""
    expected = fault.expected[call]
    return Observed(
        error=expected.error,
        attempts=None if expected.error is None else expected.attempts,
        endpoint=None if expected.error is None else call,
        requests=expected.requests,
        connections=expected.attempts if fault.fresh_connections else None,
        bystander_connections=0,
    )


def sockets() -> frozenset[str]:
    """The sockets of this process, by inode, so that a number used again is not mistaken for the same socket."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the directory's own descriptor is gone by now
            found.add(str(descriptor.readlink()))
    return frozenset(link for link in found if link.startswith("socket:"))


def count_tasks(backend: str) -> int:
    """Count the tasks of the event loop that are not done."""
    if backend == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Walk an error, its causes and contexts, suppressed ones too, and the members of groups."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def everything_said(error: BaseException) -> str:
    """All text that an error tracker or a log could print of an error."""
    said = ["".join(traceback.format_exception(error))]
    for one in chain_of(error):
        said += [str(one), repr(one), *map(str, getattr(one, "__notes__", ()))]
    return "\n".join(said)


def told(said: str, log: pytest.LogCaptureFixture, *, error: PidjError | None) -> tuple[str, ...]:
    """Name what should have stayed private and did not."""
    logged = [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in log.records]
    text = "\n".join([said, log.text, *logged])
    found = {name for name, private in PRIVATE.items() if private in text}
    # The attributes hold Pidj's own answer, which may name people: only credentials are taken out of it.
    attributes = "" if error is None else repr([vars(one) for one in chain_of(error) if isinstance(one, PidjError)])
    found |= {f"{name} in an attribute" for name, secret in SECRETS.items() if secret in attributes}
    return tuple(sorted(found))


@contextlib.asynccontextmanager
async def occupied(pidj: Pidj, lab: Lab) -> AsyncGenerator[None]:
    """Let another call wait for its reply on the client's only connection."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make, "contacts.list", pidj)
        assert await anyio.to_thread.run_sync(lab.server.wait_for_requests, 1, PATIENCE)
        yield
        lab.server.release()


async def observe(
    fault: Fault, call: CallName, *, engine: Engine, backend: str, log: pytest.LogCaptureFixture
) -> Observed:
    """Set the fault up, make the call, close the client, and look at what is left."""
    log.set_level(logging.DEBUG)
    tasks_before, sockets_before = count_tasks(backend), sockets()
    error: PidjError | None = None
    said = ""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with fault.start() as lab:
            async with client_of(lab, engine=engine, deadline=fault.deadline, transport=dict(fault.transport)) as pidj:
                if fault.warm_up is not None:
                    await make("contacts.list", pidj)
                    assert await anyio.to_thread.run_sync(fault.warm_up, lab.server)
                async with occupied(pidj, lab) if fault.hold else contextlib.nullcontext():
                    earlier = len(lab.target.requests)
                    try:
                        await make(call, pidj)
                    except PidjError as caught:
                        error = caught
                        said = everything_said(error)
            all_closed = await anyio.to_thread.run_sync(lab.target.wait_all_closed, PATIENCE)
            requests = len(lab.target.requests) - earlier
            connections = lab.target.connections if fault.fresh_connections else None
            bystander_connections = 0 if lab.bystander is None else lab.bystander.connections
        result = partial(
            Observed,
            error=None if error is None else type(error),
            attempts=None if error is None else error.attempts,
            endpoint=None if error is None else error.endpoint,
            requests=requests,
            connections=connections,
            bystander_connections=bystander_connections,
            all_closed=all_closed,
            told=told(said, log, error=error),
        )
        # The error's traceback keeps frames alive, and with them what they forgot to close.
        error = None
        gc.collect()
        return result(
            sockets_left=len(sockets() - sockets_before),
            tasks_left=count_tasks(backend) - tasks_before,
            warnings=tuple(f"{one.category.__name__}: {one.message}" for one in warned),
        )


# The matrix -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [*HEALTHY, *FAULTS], ids=lambda fault: fault.name)
async def test_a_fault_ends_as_the_catalogue_says(
    fault: Fault, call: CallName, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is the right one, the wire saw no request too many, and neither a socket nor a secret leaked."""
    observed = await observe(fault, call, engine="httpx", backend=anyio_backend_name, log=caplog)
    assert expected_of(fault, call) == observed


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [*HEALTHY, *FAULTS], ids=lambda fault: fault.name)
async def test_a_callers_own_client_fails_the_same_way(
    fault: Fault, call: CallName, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever passes an ``httpx.AsyncClient`` gets the same errors and the same promises."""
    observed = await observe(fault, call, engine="callers", backend=anyio_backend_name, log=caplog)
    assert expected_of(fault, call) == observed


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [*HEALTHY, *FAULTS], ids=lambda fault: fault.name)
@pytest.mark.parametrize(("carrier", "anyio_backend"), ASYNCIO_ONLY)
async def test_the_transports_for_asyncio_fail_the_same_way(
    carrier: Engine,
    fault: Fault,
    call: CallName,
    anyio_backend: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever takes a quicker transport gets the same errors and the same promises."""
    if carrier == "aiohttp" and fault.name == "bad_chunking":
        pytest.skip("what aiohttp makes of it depends on how the reply is cut into packets: see test_aiohttp.py")
    if isinstance(anyio_backend, tuple) and fault.name == "accept_then_close":
        pytest.skip("with uvloop the end may be noticed in time, and nothing is sent: see test_each.py")
    observed = await observe(fault, call, engine=carrier, backend="asyncio", log=caplog)
    assert expected_of(fault, call) == observed


# Beyond the matrix ------------------------------------------------------------------------------------------------


async def fail(fault: Fault, call: CallName) -> PidjError:
    """Make a call that must fail, and return its error."""
    with fault.start() as lab:
        async with client_of(lab, deadline=fault.deadline, transport=dict(fault.transport)) as pidj:
            with pytest.raises(PidjError) as caught:
                await make(call, pidj)
            return caught.value


@pytest.mark.parametrize(
    ("name", "at_least", "at_most"),
    [
        ("429_retry_after_seconds", 7.0, 7.0),
        ("429_retry_after_date", 20.0, 30.0),  # half a minute ahead, as long as this machine is not asleep for ten
        ("429_retry_after_absurd", 999_999_999.0, 999_999_999.0),
        ("503_retry_after", 7.0, 7.0),
    ],
)
async def test_retry_after_is_told_as_the_server_said_it(name: str, at_least: float, at_most: float) -> None:
    """What the client waits is capped; what it tells its caller is the server's own wish, in seconds."""
    error = await fail(_BY_NAME[name], "contacts.list")
    assert isinstance(error, (RateLimitError, ServerError))
    assert error.retry_after is not None
    assert at_least <= error.retry_after <= at_most


@pytest.mark.parametrize("name", ["429_retry_after_garbage", "429_without_retry_after", "500", "502_html"])
async def test_no_retry_after_is_made_up(name: str) -> None:
    """A header that cannot be read, or is not there, is told as ``None``."""
    error = await fail(_BY_NAME[name], "contacts.list")
    assert isinstance(error, (RateLimitError, ServerError))
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("name", "status_code"),
    [
        (fault.name, int(fault.name[-3:]) if fault.name.startswith("redirect") else 200)
        for fault in FAULTS
        if fault.expected["messages.send"].error is ResponseError
    ],
)
async def test_an_unusable_reply_keeps_its_status(name: str, status_code: int) -> None:
    """The status tells whether a text was most likely accepted, so it survives whatever is wrong with the body."""
    error = await fail(_BY_NAME[name], "messages.send")
    assert isinstance(error, ResponseError)
    assert status_code == error.status_code


@pytest.mark.parametrize(("engine", "anyio_backend"), EVERY_ENGINE)
async def test_a_write_that_fails_leaves_no_generator_behind(engine: Engine) -> None:
    """A request whose body could not be written leaves nothing half-read to the garbage collector."""
    # Whether the write of the body fails is up to the kernel, so this tries often enough for both to happen.
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with _BY_NAME["accept_then_close"].start() as lab:
            async with client_of(lab, engine=engine) as pidj:
                for _ in range(20):
                    with pytest.raises(TransportError):
                        await make("contacts.update", pidj)
        gc.collect()
    assert [str(one.message) for one in warned] == []


@pytest.mark.parametrize("name", ["gzip_bomb", "huge_body_claimed", "huge_body_endless"])
@pytest.mark.parametrize(("engine", "anyio_backend"), EVERY_ENGINE)
async def test_a_reply_without_end_takes_no_memory(engine: Engine, name: str) -> None:
    """The cap on a reply bounds what is held in memory, not only what is handed on."""
    fault = _BY_NAME[name]
    cap = fault.transport["max_response_bytes"]
    with fault.start() as lab:
        # Once before measuring: the server builds its bomb, the client imports what it needs.
        async with client_of(lab, engine=engine, transport=dict(fault.transport)) as pidj:
            with pytest.raises(ResponseError):
                await make("contacts.list", pidj)
            tracemalloc.start()
            try:
                with pytest.raises(ResponseError):
                    await make("contacts.list", pidj)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert peak < 6 * cap


MENDING = {
    "429": wire.refuse("429 Too Many Requests"),
    "502": wire.html("502 Bad Gateway"),
    "reset": wire.reset_mid_body,
}


@pytest.mark.parametrize("call", ["contacts.update", "contacts.list"])
@pytest.mark.parametrize("name", sorted(MENDING))
async def test_a_safe_call_succeeds_once_the_fault_is_over(name: str, call: CallName) -> None:
    """Two faults and a proper reply are three requests and no error."""
    with FaultServer(Behaviour(on_request=MENDING[name]), then_ok=2) as server:
        async with client_of(Lab(server)) as pidj:
            await make(call, pidj)
        assert 3 == len(server.requests)


async def test_a_text_is_sent_once_the_server_has_time() -> None:
    """429 means that nothing was done: the text goes out again, the same to the last byte."""
    with FaultServer(Behaviour(on_request=MENDING["429"]), then_ok=2) as server:
        async with client_of(Lab(server)) as pidj:
            await make("messages.send", pidj)
        assert [request.raw for request in server.requests] == [server.requests[0].raw] * 3


@pytest.mark.parametrize(("engine", "anyio_backend"), EVERY_ENGINE)
async def test_a_connection_that_broke_is_not_used_again(engine: Engine) -> None:
    """After a fault mid-reply the next call starts on a fresh connection and succeeds."""
    with FaultServer(Behaviour(on_request=wire.gzip_bomb), then_ok=1) as server:
        async with client_of(Lab(server), engine=engine, transport={"max_response_bytes": 1024 * 1024}) as pidj:
            with pytest.raises(ResponseError):
                await make("contacts.list", pidj)
            await make("messages.send", pidj)
        assert [request.connection for request in server.requests] == [1, 2]


# Not in here: a caller's client in a TLS handshake. When that is cancelled, httpcore 1.0 leaves the socket to the
# garbage collector, with or without us on top; connections of our own do not have the fault.
CANCELLED = [
    (name, *engine.values)
    for name in ("connect_timeout", "tls_handshake_hangs", "hang", "headers_dribbled", "body_dribbled")
    for engine in EVERY_ENGINE
    if (name, engine.values[0]) != ("tls_handshake_hangs", "callers")
]


@pytest.mark.parametrize(("name", "engine", "anyio_backend"), CANCELLED)
async def test_a_cancelled_call_leaves_nothing_behind(name: str, engine: Engine, anyio_backend_name: str) -> None:
    """A call that is cancelled while it waits takes its connection with it, before the client is closed."""
    fault = _BY_NAME[name]
    tasks_before, sockets_before = count_tasks(anyio_backend_name), sockets()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with fault.start() as lab:
            async with client_of(lab, engine=engine) as pidj:
                lab_only = sockets()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(make, "messages.send", pidj)
                    await _under_way(lab)
                    assert sockets() - lab_only != frozenset()
                    tasks.cancel_scope.cancel()
                assert await anyio.to_thread.run_sync(lab.target.wait_all_closed, PATIENCE)
                # Also where no server could see it: a connection that was never made has a socket too.
                assert frozenset() == sockets() - lab_only
        gc.collect()
    assert [str(one.message) for one in warned] == []
    assert frozenset() == sockets() - sockets_before
    assert tasks_before == count_tasks(anyio_backend_name)


async def _under_way(lab: Lab) -> None:
    """Wait until a call has come as far as the fault lets it."""
    if not isinstance(lab.target, FaultServer):
        await anyio.wait_all_tasks_blocked()
    elif lab.target.base_url.startswith("https:"):
        assert await anyio.to_thread.run_sync(lab.target.wait_for_connections, 1, PATIENCE)
    else:
        assert await anyio.to_thread.run_sync(lab.target.wait_for_requests, 1, PATIENCE)
