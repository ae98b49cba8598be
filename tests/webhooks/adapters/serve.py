"""Serves one of the apps on a listening socket: ``python -m tests.webhooks.adapters.serve SERVER APP FD``."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.webhooks.adapters import apps


def uvicorn(app: Any, fd: int) -> None:
    from uvicorn import Config, Server

    Server(Config(app, lifespan="auto", ws="none")).run(sockets=[socket.socket(fileno=fd)])


def hypercorn(app: Any, fd: int, *, backend: str) -> None:
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{fd}"]
    config.accesslog = "-"
    config.access_log_format += " %(q)s %({authorization}i)s"
    if backend == "trio":
        import hypercorn.trio
        import trio

        trio.run(hypercorn.trio.serve, app, config)
    else:
        import asyncio

        import hypercorn.asyncio

        asyncio.run(hypercorn.asyncio.serve(app, config))


def gunicorn(app: str, fd: int, *, worker: str) -> None:
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--bind",
        f"fd://{fd}",
        "--worker-class",
        worker,
        "--no-control-socket",
    ]
    command += ["--threads", "4"] if worker == "gthread" else []
    command += ["--access-logfile", "-", "--access-logformat", "%(r)s %(U)s %(q)s %({authorization}i)s %(s)s"]
    os.execv(sys.executable, [*command, f"tests.webhooks.adapters.apps:{app}()"])  # noqa: S606  # takes this process's place, so that a signal reaches it


def werkzeug(app: Any, fd: int) -> None:
    from werkzeug.serving import make_server

    logging.basicConfig(level=logging.INFO)
    make_server("127.0.0.1", 0, app, threaded=True, fd=fd).serve_forever()


def aiohttp(app: Any, fd: int) -> None:
    from aiohttp import web

    logging.basicConfig(level=logging.INFO)
    web.run_app(app, sock=socket.socket(fileno=fd), print=None)


SERVERS: dict[str, Callable[[Any, int], None]] = {
    "aiohttp": aiohttp,
    "hypercorn": partial(hypercorn, backend="asyncio"),
    "hypercorn-trio": partial(hypercorn, backend="trio"),
    "gunicorn": partial(gunicorn, worker="sync"),
    "gunicorn-threads": partial(gunicorn, worker="gthread"),
    "uvicorn": uvicorn,
    "werkzeug": werkzeug,
}


if __name__ == "__main__":
    server, app, fd = sys.argv[1:]
    SERVERS[server](app if server.startswith("gunicorn") else getattr(apps, app)(), int(fd))
