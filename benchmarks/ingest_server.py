"""The servers of ``python -m benchmarks ingest``: one application each, under uvicorn with httptools.

Prints its port when it serves. For every line of standard input it prints what it has answered and the CPU that it has
used; when the input ends, so does it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks._host import pin, raise_file_limit
from benchmarks.texts import TOKEN
from pidj_async.store import Store
from pidj_async.webhooks import Dispatcher, Receiver, TextReceived
from pidj_async.webhooks.inbox import Inbox

if TYPE_CHECKING:
    from starlette.requests import Request

    from pidj_async.webhooks.adapters.asgi import ASGIApp

__all__ = ["BARE", "HANDLING", "SERVERS", "STORING", "WEBHOOK_PATH"]

BARE: Final = "bare Starlette route"
STORING: Final = "Receiver with inbox"
HANDLING: Final = "Receiver with inbox, worker running"
SERVERS: Final = (BARE, STORING, HANDLING)

WEBHOOK_PATH: Final = "/webhooks"
_BACKLOG: Final = 1_024


def _bare() -> tuple[ASGIApp, Callable[[], int]]:
    taken = 0

    async def take(request: Request) -> Response:
        nonlocal taken
        await request.body()
        taken += 1
        return Response()

    return Starlette(routes=[Route(WEBHOOK_PATH, take, methods=["POST"])]), lambda: taken


def _durable(store: Store, *, run_inbox: bool) -> tuple[ASGIApp, Callable[[], int]]:
    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def handle(_: TextReceived) -> None:
        """As little as can be: the worker is what is measured."""

    receiver = Receiver(dispatcher, secret=TOKEN, path=WEBHOOK_PATH, inbox=Inbox(store), run_inbox=run_inbox)
    return receiver.asgi(), lambda: receiver.stats.replies.get(200, 0)


async def _serve(name: str, file: Path) -> None:
    store = Store(f"sqlite:///{file}")
    app, answered = _bare() if name == BARE else _durable(store, run_inbox=name == HANDLING)
    # uvicorn opens the socket itself, as it does for everybody: one that is handed to it gets no TCP_NODELAY, and then
    # whoever sends a head and a body waits 40 ms for the client's delayed acknowledgement.
    config = uvicorn.Config(
        app,
        port=0,
        http="httptools",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_level=logging.WARNING,
        backlog=_BACKLOG,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn tells nobody
        await asyncio.sleep(0.01)
    gc.freeze()
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"answered": answered(), "cpu_seconds": time.process_time()}), flush=True)
    server.should_exit = True
    await serving
    await store.aclose()


if __name__ == "__main__":
    raise_file_limit()
    pin(int(sys.argv[3]) if len(sys.argv) > 3 else None)
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
