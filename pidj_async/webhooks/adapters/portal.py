"""One event loop per process, for frameworks that have none: WSGI, Flask, Django's sync views, AWS Lambda.

Handlers may be ``async``, and what they use (an HTTP client, a database pool) belongs to the event loop that it was
opened on. So all requests of a process share one loop, which runs asyncio in a thread of its own. It is started when it
is first needed, after a fork anew in the child, and closed when the program ends. A receiver with an inbox has its
events handled there, from the first request on.

What belongs to the loop is opened on it::

    from pidj_async import Pidj
    from pidj_async.webhooks.adapters.portal import shared_portal

    pidj = shared_portal().call(Pidj.from_env().__aenter__)

An ``async def`` handler must not block, as on any loop; a plain ``def`` runs in a worker thread.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import anyio
from anyio.from_thread import BlockingPortal

from pidj_async.errors import PidjError

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from pidj_async.webhooks.http import WebhookReply, WebhookRequest
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["receive_on_portal", "shared_portal"]

logger = logging.getLogger("pidj_async.webhooks")


class _Shared:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.starting = threading.Lock()
        self.portal: BlockingPortal | None = None
        self.thread: threading.Thread | None = None
        #: Receivers whose lifespan is open.
        self.alive: set[Receiver] = set()


_shared = _Shared()
_left_behind: list[_Shared] = []


def shared_portal() -> BlockingPortal:
    """Return the way into the process's shared event loop, starting it if need be.

    ``call`` runs a function or a coroutine function there and waits for its result; ``start_task_soon`` does not wait.
    Both are for other threads than the loop's own.
    """
    with _shared.lock:
        if _shared.portal is None:
            # Not anyio's own start_blocking_portal: in a forked child it would wait for its thread, which is not there.
            ready: Future[BlockingPortal] = Future()
            _shared.thread = threading.Thread(target=_run, args=(ready,), name="pidj-webhooks", daemon=True)
            _shared.thread.start()
            _shared.portal = ready.result()
        return _shared.portal


def receive_on_portal(receiver: Receiver, request: WebhookRequest) -> WebhookReply:
    """Have a whole request handled on the shared event loop, and wait for the reply.

    Args:
        receiver: Makes all the decisions.
        request: The request with its body.
    """
    portal = shared_portal()
    if receiver.runs_inbox and receiver not in _shared.alive:
        _run_inbox(portal, receiver)
    return portal.call(receiver.receive, request)


def _run_inbox(portal: BlockingPortal, receiver: Receiver) -> None:
    with _shared.starting:
        if receiver in _shared.alive:
            return
        try:
            portal.start_task(_live, receiver, _shared.alive, name="pidj_async lifespan")
        except PidjError as error:
            # The store cannot be opened, which is what the reply will say; the next request tries again.
            logger.error("the inbox cannot be run: %s", error)  # noqa: TRY400  # its cause may quote a body


async def _live(receiver: Receiver, alive: set[Receiver], *, task_status: TaskStatus[None]) -> None:
    try:
        async with receiver.lifespan():
            alive.add(receiver)
            task_status.started()
            await anyio.sleep_forever()
    except Exception:
        if receiver not in alive:
            raise
        logger.exception("the inbox has ended; the next event starts it again")
    finally:
        alive.discard(receiver)


def _run(ready: Future[BlockingPortal]) -> None:
    async def main() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    try:
        anyio.run(main)
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)  # no loop could be made


def _close() -> None:
    with _shared.lock:
        portal, _shared.portal = _shared.portal, None
        thread, _shared.thread = _shared.thread, None
    if portal is not None and thread is not None:
        # What still runs on the loop is cancelled: a program must be able to end.
        portal.call(functools.partial(portal.stop, cancel_remaining=True))
        thread.join()


def _forget() -> None:
    """Start anew in a forked child: the thread did not come along, and another one may have held the lock."""
    global _shared  # noqa: PLW0603
    # Kept, because a loop that is thrown away closes what it shares with the parent.
    _left_behind.append(_shared)
    _shared = _Shared()


atexit.register(_close)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget)
