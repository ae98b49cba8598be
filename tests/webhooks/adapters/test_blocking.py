"""WSGI, Flask and Django without a server in front: what their own servers and test clients hand over."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import anyio.lowlevel
import flask
import pytest

from pidj_async.webhooks import Dispatcher, OptedOut, Receiver, sample
from pidj_async.webhooks.adapters import _reading
from pidj_async.webhooks.adapters.flask import flask_view
from pidj_async.webhooks.adapters.portal import shared_portal
from pidj_async.webhooks.adapters.wsgi import wsgi_request

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "correct-horse-battery"
BODY = json.dumps(sample("opt-out")).encode()


@pytest.fixture
def seen() -> list[OptedOut]:
    """What the handler has seen."""
    return []


@pytest.fixture
def receiver(seen: list[OptedOut]) -> Receiver:
    """A receiver with an async handler."""
    dispatcher = Dispatcher()

    @dispatcher.on(OptedOut)
    async def remember(event: OptedOut) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event)

    return Receiver(dispatcher, secret=SECRET)


def ask(app: Any, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Send one request to a WSGI application, and return its answer."""
    answer: list[Any] = []
    given = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": f"/{SECRET}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(BODY)),
        "wsgi.input": io.BytesIO(BODY),
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        **environ,
    }
    setup_testing_defaults(given)

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[..., None]:
        answer.extend((status, dict(headers)))
        return lambda _piece: None

    with contextlib.ExitStack() as stack:
        chunks = app(given, start_response)
        if hasattr(chunks, "close"):
            stack.callback(chunks.close)
        return answer[0], answer[1], b"".join(chunks)


def call(receiver: Receiver, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Send one request that keeps to the rules, and see that the answer does, too."""
    return ask(validator(receiver.wsgi()), **environ)


def test_it_keeps_to_the_rules_of_wsgi(receiver: Receiver, seen: list[OptedOut]) -> None:
    """The standard library's validator finds nothing wrong with the application and its answers."""
    status, headers, body = call(receiver)
    assert ("200 OK", b'{"status": "received"}') == (status, body)
    assert {"content-type": "application/json", "content-length": "22"} == headers
    assert call(receiver, CONTENT_LENGTH="262145")[0] in {"413 Request Entity Too Large", "413 Content Too Large"}
    assert [sample("opt-out")] == [event.raw for event in seen]


def test_head_has_no_body(receiver: Receiver) -> None:
    """A 405 like any other, and nothing behind its headers."""
    status, headers, body = call(receiver, REQUEST_METHOD="HEAD", CONTENT_LENGTH="")
    assert ("405 Method Not Allowed", "POST", b"") == (status, headers["allow"], body)


def test_no_more_is_read_than_was_announced(receiver: Receiver, seen: list[OptedOut]) -> None:
    """What stands behind the body is the next request, or never comes."""
    assert "200 OK" == call(receiver, **{"wsgi.input": io.BytesIO(BODY + b"POST / HTTP/1.1")})[0]
    assert 1 == len(seen)


@pytest.mark.parametrize("announced", ["", "x", "-1", "²", "1_0"])
def test_without_a_length_nothing_is_read(receiver: Receiver, announced: str) -> None:
    """Unless the server says that it marks the end, reading could wait for ever."""
    status, _, body = ask(receiver.wsgi(), CONTENT_LENGTH=announced)
    environ = {"CONTENT_LENGTH": announced, "wsgi.input_terminated": True}
    assert ("400 Bad Request", {"error": "the body is empty"}) == (status, json.loads(body))
    assert "200 OK" == ask(receiver.wsgi(), **environ)[0]


class Breaking(io.RawIOBase):
    """A body whose server gives up in the middle."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, _size: int = -1) -> bytes:
        error, self.error = self.error, ValueError("read again")
        raise error


@pytest.mark.parametrize(
    ("environ", "status", "told"),
    [
        ({"CONTENT_LENGTH": str(len(BODY) + 1)}, "400 Bad Request", "the body was cut off"),
        ({"wsgi.input": Breaking(OSError("gone"))}, "400 Bad Request", "the body was cut off"),
        ({"wsgi.input": Breaking(TypeError("bad chunk"))}, "400 Bad Request", "the body was cut off"),
        ({"wsgi.input": Breaking(TimeoutError())}, "408 Request Timeout", "the body took too long"),
    ],
)
def test_a_body_that_breaks_off_is_no_event(
    receiver: Receiver, seen: list[OptedOut], environ: dict[str, Any], status: str, told: str
) -> None:
    """Whatever error the server has for it; and half of a body is not handled, even if it is JSON."""
    answer = call(receiver, **environ)
    assert (status, {"error": told}) == (answer[0], json.loads(answer[2]))
    assert seen == []


def test_a_trickling_body_is_refused(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a socket, the clock is looked at between two pieces."""
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(_reading, "PIECE_BYTES", 10)
    monkeypatch.setattr(_reading, "monotonic", lambda: next(now))
    assert "408 Request Timeout" == call(receiver)[0]


def test_body_timeout_none_waits(receiver: Receiver, seen: list[OptedOut]) -> None:
    """No clock is looked at, and the socket's own timeout is left alone."""
    patient = Receiver(receiver.dispatcher, secret=SECRET, body_timeout=None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(7)
        assert "200 OK" == call(patient, **{"gunicorn.socket": ours})[0]
        assert 7 == ours.gettimeout()
    assert 1 == len(seen)


def test_the_sockets_timeout_is_put_back(receiver: Receiver) -> None:
    """The answer is written, and the next request read, with the server's own."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(7)
        during: list[float | None] = []

        class Spy(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                during.append(ours.gettimeout())
                return super().read(size)

        assert "200 OK" == call(receiver, **{"gunicorn.socket": ours, "wsgi.input": Spy(BODY)})[0]
        assert all(each is not None and 7 < each <= 10 for each in during)
        assert 7 == ours.gettimeout()


def test_a_request_is_translated() -> None:
    """Path and query are UTF-8 in the guise of Latin-1, mounts belong to the path, and headers get their names back."""
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/m\u00c3\u00a4x",
        "PATH_INFO": "/p\u00c3\u00a4\u0142",
        "QUERY_STRING": "secret=\u00c3\u00a4",
        "CONTENT_TYPE": "text/plain",
        "HTTP_X_FORWARDED_FOR": "203.0.113.9",
        "REMOTE_ADDR": "10.0.0.1",
    }
    request = wsgi_request(environ)
    assert ("/mäx/pä?", "secret=ä", "10.0.0.1") == (request.path, request.query, request.client_host)
    assert {"x-forwarded-for": "203.0.113.9", "content-type": "text/plain", "content-length": ""} == dict(
        request.headers
    )
    assert (wsgi_request({"REQUEST_METHOD": "GET"}).path, wsgi_request({"REQUEST_METHOD": "GET"}).client_host) == (
        "",
        None,
    )


def test_many_threads_are_counted_rightly(receiver: Receiver) -> None:
    """Servers with threads answer at the same time, and each answer counts once."""
    threads = [
        threading.Thread(target=lambda: [call(receiver, PATH_INFO="/guess") for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {401: 200} == receiver.stats.replies


# --- Flask --------------------------------------------------------------------------------------------------------


def test_flask_has_no_say_in_the_size(receiver: Receiver, seen: list[OptedOut]) -> None:
    """The application's MAX_CONTENT_LENGTH is for its forms; the receiver has a limit of its own."""
    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 10
    app.add_url_rule("/hooks/<secret>", view_func=flask_view(receiver))
    with app.test_client() as client:
        assert 200 == client.post(f"/hooks/{SECRET}", data=BODY).status_code
        assert 413 == client.post(f"/hooks/{SECRET}", data=BODY + b" " * 262_144).status_code
        assert 405 == client.get(f"/hooks/{SECRET}").status_code
    assert 1 == len(seen)


def test_a_flask_hook_may_have_read_the_body(receiver: Receiver, seen: list[OptedOut]) -> None:
    """It is taken from the request's cache then, up to the limit."""
    app = flask.Flask(__name__)
    app.before_request(lambda: None if isinstance(flask.request.get_data(), bytes) else "no body")
    app.add_url_rule("/hooks/<secret>", view_func=flask_view(receiver))
    with app.test_client() as client:
        assert 200 == client.post(f"/hooks/{SECRET}", data=BODY).status_code
        assert 413 == client.post(f"/hooks/{SECRET}", data=BODY + b" " * 262_144).status_code
    assert 1 == len(seen)


# --- the shared event loop ----------------------------------------------------------------------------------------


def test_all_requests_share_one_loop() -> None:
    """Two threads get the same loop, so that a client that one request has opened is good for the next."""
    loops: list[object] = []

    async def where(event: OptedOut) -> None:
        assert event.name == "opt-out"
        loops.append(anyio.lowlevel.current_token())

    dispatcher = Dispatcher()
    dispatcher.on(OptedOut)(where)
    shared = Receiver(dispatcher, secret=SECRET)
    threads = [threading.Thread(target=call, args=(shared,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    call(shared)
    assert 3 == len(loops)
    assert 1 == len(set(loops))


LIFE_OF_A_LOOP = """
import os, sys, threading
import anyio
from pidj_async.webhooks.adapters.portal import shared_portal

async def name():
    await anyio.sleep(0)
    return threading.current_thread().name

async def forever():
    try:
        await anyio.sleep_forever()
    finally:
        print("cancelled", flush=True)

print([thread.name for thread in threading.enumerate()], flush=True)
print(shared_portal().call(name), flush=True)
shared_portal().start_task_soon(forever)
shared_portal().call(name)
child = os.fork()
if child == 0:
    print("child", shared_portal().call(name), flush=True)
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shared_portal().call(name), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_the_loop_starts_late_survives_a_fork_and_ends_with_the_program() -> None:
    """No thread before it is needed; a child has its own; whatever still runs is cancelled, and the program ends."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIFE_OF_A_LOOP], capture_output=True, text=True, check=False, timeout=60
    )
    assert ("", 0) == (done.stderr, done.returncode)
    assert ["['MainThread']", "pidj-webhooks", "child pidj-webhooks", "3 pidj-webhooks", "cancelled"] == (
        done.stdout.splitlines()
    )


def test_the_shared_loop_is_one_and_the_same() -> None:
    """Asking again does not start another."""
    assert shared_portal() is shared_portal()
