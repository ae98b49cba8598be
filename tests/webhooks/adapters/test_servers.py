"""Every adapter inside its framework on real servers, each in a process of its own, over real HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from pidj_async.webhooks import sample

from .apps import FAILURE, LIMIT, SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
TIMEOUT = 30
BODY = json.dumps(sample("opt-out")).encode()
AUTH = ("pidj", SECRET)
QUOTED = "correct-horse-battery%2BStaple/9"

PAIRS = (
    "starlette on uvicorn",
    "starlette on hypercorn",
    "starlette on hypercorn-trio",
    "fastapi on uvicorn",
    "fastapi on hypercorn",
    "litestar on uvicorn",
    "quart on hypercorn",
    "aiohttp on aiohttp",
    "wsgi on gunicorn",
    "wsgi on gunicorn-threads",
    "wsgi on werkzeug",
    "flask on gunicorn",
    "flask on werkzeug",
    "flask_that_reads_first on werkzeug",
    "flask_with_mounts on gunicorn-threads",
    "django_async on uvicorn",
    "django_async on hypercorn",
    "django_sync_on_asgi on uvicorn",
    "django_wsgi on gunicorn",
    "django_wsgi_that_reads_first on gunicorn-threads",
)
ERROR = re.compile(r"^\w*(?:Error|Exception|Warning)\b.*", re.MULTILINE)


class Running(NamedTuple):
    """A server that runs."""

    pair: str
    port: int
    events: Path
    output: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> str:
        """Stop the server, and return all that it has said."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self.process.wait()
        return self.output.read_text()

    def seen(self) -> list[object]:
        return [json.loads(line) for line in self.events.read_text().splitlines()]

    @property
    def is_mounted(self) -> bool:
        """Whether the framework knows the receiver with a slash only."""
        return self.pair.startswith(("litestar", "quart", "wsgi", "flask_with_mounts"))

    @property
    def reads_beforehand(self) -> bool:
        """Whether somebody has all of the body before the adapter sees the request."""
        return any(name in self.pair for name in ("django_async", "django_sync_on_asgi", "that_reads_first"))

    def client(self) -> httpx.Client:
        # A connection for each request: a server may close one whose body it refused just as the next request goes out.
        fresh = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=TIMEOUT, trust_env=False, limits=fresh)


@pytest.fixture(scope="module", params=[pytest.param(pair, marks=pytest.mark.xdist_group(pair)) for pair in PAIRS])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start the server of a pair, and end it after the last test that uses it."""
    pair: str = request.param
    app, _, server = pair.partition(" on ")
    folder = tmp_path_factory.mktemp(app)
    (folder / "events").touch()
    # The socket listens before the server runs, so that nobody has to wait for the server.
    with socket.create_server(("127.0.0.1", 0)) as listener, (folder / "output").open("wb") as output:
        fd = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.webhooks.adapters.serve", server, app, str(fd)],
            cwd=ROOT,
            env={**os.environ, "PIDJ_TEST_EVENTS": str(folder / "events"), "PYTHONUNBUFFERED": "1"},
            pass_fds=[fd],
            stdout=output,
            stderr=output,
        )
        server_running = Running(pair, listener.getsockname()[1], folder / "events", folder / "output", process)
        try:
            yield server_running
        finally:
            server_running.stop()


def test_events_reach_the_handler(running: Running) -> None:
    """With each secret in each of its places, in one piece or in several, known or not."""
    before = len(running.seen())
    with running.client() as client:
        replies = [
            client.post("/webhooks/", content=BODY, auth=AUTH)
            if running.is_mounted
            else client.post("/webhooks", content=BODY, auth=AUTH),
            client.post(f"/webhooks/{QUOTED}", content=BODY),
            client.post("/webhooks/an-older-one", content=BODY),
            client.post("/webhooks/x", params={"token": SECRET}, content=iter([BODY[:9], BODY[9:]])),
            client.post("/webhooks/x", json={"event": "brand-new"}, auth=AUTH),
        ]
    assert [(200, {"status": "received"})] * 5 == [(reply.status_code, reply.json()) for reply in replies]
    assert [sample("opt-out")] * 4 == running.seen()[before:]


def test_strangers_and_nonsense_are_refused(running: Running) -> None:
    """A wrong secret wherever it stands, a wrong method, a body that is no event; and a failed handler is a 500."""
    before = len(running.seen())
    with running.client() as client:
        replies = {
            "nothing": client.post("/webhooks/x", content=BODY),
            "wrong in the path": client.post(f"/webhooks/{QUOTED}x", content=BODY),
            "wrong in the query": client.post("/webhooks/x", params={"secret": "guess"}, content=BODY),
            "wrong password": client.post("/webhooks/x", content=BODY, auth=("pidj", "guess")),
            "read": client.get("/webhooks/x", auth=AUTH),
            "put": client.put("/webhooks/x", content=BODY, auth=AUTH),
            "empty": client.post("/webhooks/x", auth=AUTH),
            "no JSON": client.post("/webhooks/x", content=b"{", auth=AUTH),
            "a form": client.post("/webhooks/x", files={"file": b"x"}, auth=AUTH),
            "fails": client.post("/webhooks/x", json=sample("text-received"), auth=AUTH),
        }
    statuses = [401, 401, 401, 401, 405, 405, 400, 400, 415, 500]
    assert dict(zip(replies, statuses, strict=True)) == {name: reply.status_code for name, reply in replies.items()}
    assert replies["nothing"].headers["www-authenticate"].startswith("Basic ")
    assert "POST" in replies["read"].headers["allow"]
    assert {"error": "a handler failed"} == replies["fails"].json()
    assert before == len(running.seen())


def test_a_large_body_is_refused(running: Running) -> None:
    """413, whether its length was announced or is counted, and the largest one that is allowed is taken."""
    full = BODY + b" " * (LIMIT - len(BODY))
    with running.client() as client:
        statuses = [
            client.post("/webhooks/x", content=body, auth=AUTH).status_code
            for body in (full, iter([full]), full + b" ", iter([full, b" "]))
        ]
    assert [200, 200, 413, 413] == statuses


def test_networks_are_told_apart(running: Running) -> None:
    """The address of the connection counts, or the one that the last proxy has added; a forged one does not."""
    inside, outside = "203.0.113.9", "198.51.100.9"
    with running.client() as client:

        def status(path: str, **headers: str) -> int:
            return client.post(path, content=BODY, auth=AUTH, headers=headers).status_code

        assert 200 == status("/near/x")
        assert 403 == status("/proxied/x")
        assert 200 == status("/proxied/x", **{"X-Forwarded-For": f"{outside}, {inside}"})
        assert 403 == status("/proxied/x", **{"X-Forwarded-For": f"{inside}, {outside}"})
        assert 200 == status("/proxied/x", Forwarded=f'for={outside}, for="{inside}:4711";proto=https')
        assert 403 == status("/proxied/x", **{"X-Forwarded-For": inside, "Forwarded": f"for={outside}"})


def status_of(connection: socket.socket) -> bytes:
    """Read an answer, which has to be complete, and return its status."""
    received = bytearray()
    while b"}" not in received and (piece := connection.recv(4096)):
        received += piece
    assert received.endswith(b'"}')
    return bytes(received.split()[1])


HASTY = f"POST /hasty/{QUOTED} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()


def test_a_slow_body_is_refused(running: Running) -> None:
    """408 for a body that stops halfway, however it is framed."""
    if running.reads_beforehand or running.pair.endswith("on werkzeug"):
        pytest.skip("it waits for the body as long as it takes")
    before = len(running.seen())
    for framing in (b"Content-Length: 500\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n100\r\n"):
        with socket.create_connection(("127.0.0.1", running.port), timeout=TIMEOUT) as connection:
            connection.sendall(HASTY + framing + BODY[:100])
            assert b"408" == status_of(connection)
    assert before == len(running.seen())


def test_a_refusal_comes_before_the_body_and_reaches_the_client(running: Running) -> None:
    """A stranger and an announced length over the limit are answered unread; what still comes resets nothing."""
    if running.reads_beforehand:
        pytest.skip("the framework waits for the body")
    for path, length, status in (("/webhooks/x", 9, b"401"), (f"/webhooks/{QUOTED}", LIMIT + 1, b"413")):
        with socket.create_connection(("127.0.0.1", running.port), timeout=TIMEOUT) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            connection.recv(1, socket.MSG_PEEK)  # the answer comes before the body
            connection.sendall(b"x")
            connection.sendall(b"x" * (length - 1))
            assert status == status_of(connection)


def test_an_inbox_is_emptied(running: Running) -> None:
    """Stored, acknowledged, and then handled in the same process."""
    before = len(running.seen())
    with running.client() as client:
        assert {"status": "stored"} == client.post("/stored/x", content=BODY, auth=AUTH).json()
    deadline = monotonic() + TIMEOUT
    while len(running.seen()) == before and monotonic() < deadline:
        sleep(0.01)  # the handler is in another process, after the answer
    assert [sample("opt-out")] == running.seen()[before:]


def test_half_a_body_is_no_event(running: Running) -> None:
    """When the client hangs up halfway, nothing is handled, although the half would be an event."""
    if running.reads_beforehand:
        pytest.skip("the framework decides")
    before = len(running.seen())
    with socket.create_connection(("127.0.0.1", running.port), timeout=TIMEOUT) as connection:
        head = f"POST /webhooks/{QUOTED} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY) + 50}\r\n\r\n"
        connection.sendall(head.encode() + BODY)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    with running.client() as client:  # whatever was to be handled has been by then
        assert 200 == client.post("/webhooks/x", content=BODY, auth=AUTH).status_code
    assert before + 1 == len(running.seen())


def test_last_of_all_no_secret_is_in_the_logs(running: Running) -> None:
    """Whatever server and framework have logged of the requests, the access log included; and nothing went wrong."""
    with running.client() as client:
        for path in (QUOTED, "correct-horse-battery%2bStaple%2F9", "an-older-one"):
            client.post(f"/webhooks/{path}", content=BODY)
            client.post(f"/webhooks/x?secret={path}&end=here", content=b"{")
            client.post("/webhooks/end", content=BODY, auth=("pidj", path))
        client.post("/webhooks/x?token=just-a-guess&end=here", content=BODY)
    logged = running.stop()  # a line may be written after the answer has gone
    assert logged.count("[redacted]") >= 7
    assert "end=here" in logged
    assert [secret for secret in ("orrect", "aple", "older", "guess", "cGlkajp") if secret in logged] == []
    assert set(ERROR.findall(logged)) <= {f"RuntimeError: {FAILURE}"}
