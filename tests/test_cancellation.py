"""Cancelling a call at every point at which it waits: nothing is left open, and no outcome is mislabelled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio
import pytest
import trio

from pidj_async import HttpxTransport, Pidj, Progress, SendText
from tests.carriers import CARRIERS, EVERY_TRANSPORT, ON_ASYNCIO
from tests.faults.server import (
    Behaviour,
    Connection,
    FaultServer,
    Request,
    answer_properly,
    certificate,
    trusting_context,
)

pytestmark = pytest.mark.anyio

TEXT = SendText(to_number="+18885553333", text_body="Hi", group_id="gr:1")


class Interrupted:
    """Awaits something, and calls `interrupt` at its n-th suspension.

    It drives the coroutine by hand, so it sees each point at which control goes back to the event loop: the points, and
    the only ones, at which a cancellation can arrive.
    """

    def __init__(self, awaitable: Awaitable[Any], at: int, interrupt: Callable[[], Any]) -> None:
        self._awaitable = awaitable
        self._at = at
        self._interrupt = interrupt
        self.points = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable.__await__()
        resume: Callable[[], Any] = lambda: steps.send(None)  # noqa: E731
        while True:
            try:
                trap = resume()
            except StopIteration as stop:
                return stop.value
            self.points += 1
            if self.points == self._at:
                self._interrupt()
            try:
                sent = yield trap
            except BaseException as error:  # noqa: BLE001  handed on to the coroutine, whatever it is
                resume = lambda error=error: steps.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                resume = lambda sent=sent: steps.send(sent)  # type: ignore[misc]  # noqa: E731


def reply_in_pieces(connection: Connection, _: Request) -> None:
    """A reply that takes several reads, so that there are more points to wait at."""
    body = b'{"code":200,"status":"success","message":"Text sent."}'
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    time.sleep(0.003)
    connection.send(b"Content-Length: %d\r\n\r\n" % len(body))
    time.sleep(0.003)
    connection.send(body)


def tasks_running() -> int:
    try:
        return len([task for task in asyncio.all_tasks() if not task.done()])
    except RuntimeError:
        return trio.lowlevel.current_statistics().tasks_living


def server_of(scheme: str, behaviour: Behaviour) -> FaultServer:
    if scheme == "https":
        return FaultServer(behaviour, tls=certificate("127.0.0.1"))
    return FaultServer(behaviour)


async def interrupted_call(
    pidj: Pidj, at: int, progress: Progress, *, natively: bool
) -> tuple[int, bool, BaseException | None]:
    """Cancel a text at its n-th suspension. Returns the points seen, whether it finished, and what it raised."""
    raised: BaseException | None = None
    finished = False
    points = 0
    if natively:

        async def run() -> None:
            nonlocal points, finished, raised
            task = asyncio.current_task()
            assert task is not None
            interrupted = Interrupted(pidj.execute(TEXT, progress=progress), at, task.cancel)
            try:
                await interrupted
                finished = True
            except asyncio.CancelledError as error:
                raised = error
                raise
            finally:
                points = interrupted.points

        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.ensure_future(run())
        return points, finished, raised

    with anyio.CancelScope() as scope:
        interrupted = Interrupted(pidj.execute(TEXT, progress=progress), at, scope.cancel)
        try:
            await interrupted
            finished = True
        except anyio.get_cancelled_exc_class() as error:
            raised = error
            raise
        finally:
            points = interrupted.points
    return points, finished, raised


@pytest.mark.parametrize(("carrier", "anyio_backend"), EVERY_TRANSPORT)
@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_text_cancelled_anywhere_leaves_nothing_and_tells_the_truth(
    carrier: str,
    scheme: str,
    reused: bool,  # noqa: FBT001
) -> None:
    """At each point: no open connection, no task, and "not started" only if the server saw no request."""
    await cancel_everywhere(carrier, scheme, reused=reused, natively=False)


@pytest.mark.parametrize(("carrier", "anyio_backend"), ON_ASYNCIO)
@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_asyncios_own_cancellation_leaves_nothing_either(
    carrier: str,
    scheme: str,
    reused: bool,  # noqa: FBT001
) -> None:
    """``task.cancel()``, which anyio's scopes do not go through: the same."""
    await cancel_everywhere(carrier, scheme, reused=reused, natively=True)


async def cancel_everywhere(carrier: str, scheme: str, *, reused: bool, natively: bool) -> None:
    before = tasks_running()
    at, cancelled_before, cancelled_after = 0, 0, 0
    with server_of(scheme, Behaviour(on_request=reply_in_pieces)) as server:
        while True:
            at += 1
            progress = Progress()
            async with CARRIERS[carrier](ssl_context=trusting_context(), trust_env=False) as transport:
                pidj = Pidj(account_key="k", token="t", base_url=server.base_url, transport=transport)
                if reused:
                    await pidj.execute(TEXT)
                seen_before = len(server.requests)
                points, finished, raised = await interrupted_call(pidj, at, progress, natively=natively)
                if not progress.request_started:
                    # The proof: the connection is closed by now, so whatever was sent has arrived.
                    assert await anyio.to_thread.run_sync(server.wait_all_closed, 5.0) or reused
                    assert len(server.requests) == seen_before
                # The same connections serve on: nothing is wedged.
                await pidj.execute(TEXT)
            assert await anyio.to_thread.run_sync(server.wait_all_closed, 5.0), (
                f"a connection is open, cancelled at {at}"
            )
            assert tasks_running() == before, f"a task is left, cancelled at {at}"
            if finished and points < at:
                break
            if raised is not None:
                cancelled_after += progress.request_started
                cancelled_before += not progress.request_started
                (note,) = raised.__notes__
                assert ("outcome is unknown" in note) == progress.request_started
    gc.collect()

    assert cancelled_after > 0
    assert cancelled_before > 0 or reused


async def test_the_server_of_these_tests_answers() -> None:
    """The faults are ours: left alone, the call succeeds."""
    with server_of("https", Behaviour(on_request=answer_properly)) as server:
        async with HttpxTransport(ssl_context=trusting_context()) as transport:
            pidj = Pidj(account_key="k", token="t", base_url=server.base_url, transport=transport)
            await pidj.execute(TEXT)
    assert len(server.requests) == 1
