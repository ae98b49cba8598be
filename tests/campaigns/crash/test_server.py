"""The counting server is honest: what it counts is what arrived, and each fate looks as it is said to."""

from __future__ import annotations

import socket
import threading
import time
from http.client import BadStatusLine, HTTPConnection, IncompleteRead, RemoteDisconnected
from urllib.parse import urlencode

import pytest

from .laboratory import CountingServer, counting_server
from .server import AMBIGUOUS, FATES, RETRY_AFTER

HEADERS = {"Authorization": "Basic eDp5", "Content-Type": "application/x-www-form-urlencoded"}
NUMBER = "+18885550001"


def post(
    server: CountingServer, number: str = NUMBER, *, timeout: float = 10, **fields: str
) -> tuple[int, dict[str, str], bytes]:
    form = {"to_number": number, "text_body": "Hi", "group_id": "gr:1"} | fields
    connection = HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("POST", "/api/2020/send", urlencode(form), HEADERS)
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("fate", "status"),
    [
        ("ok", 200),
        ("slow", 200),
        ("unreadable", 200),
        ("declined", 422),
        ("throttled", 429),
        ("503-after", 503),
        ("503-before", 503),
        ("500-after", 500),
    ],
)
def test_a_fate_with_a_reply(fate: str, status: int) -> None:
    """The sender sees the status, and the text is counted or not, as the table of fates says."""
    with counting_server({"fates": {fate: 1.0}}) as server:
        seen, headers, body = post(server)

        assert (status, {NUMBER: [(fate, FATES[fate].acted_on)]}) == (seen, server.log())
    assert (str(RETRY_AFTER) if fate == "throttled" else None) == headers.get("retry-after")
    assert (b"<html>" == body) == (fate == "unreadable")


@pytest.mark.parametrize(
    ("fate", "error"),
    [
        ("drop-after", RemoteDisconnected),
        ("drop-before", RemoteDisconnected),
        ("reset-after", ConnectionResetError),
        ("reset-before", ConnectionResetError),
        ("cut-off", IncompleteRead),
        ("hang-after", TimeoutError),
        ("hang-before", TimeoutError),
    ],
)
def test_a_fate_without_a_reply(fate: str, error: type[Exception]) -> None:
    """The sender cannot tell whether the text is counted; the server can."""
    with counting_server({"fates": {fate: 1.0}}) as server:
        with pytest.raises(error) as caught:
            post(server, timeout=0.3)

        assert not isinstance(caught.value, BadStatusLine) or error is RemoteDisconnected
        assert {NUMBER: [(fate, FATES[fate].acted_on)]} == server.log()


def test_every_fate_is_tested() -> None:
    """Both tables above together are the table of fates; those without a reply and the 5xx are the ambiguous ones."""
    marks = [*test_a_fate_with_a_reply.pytestmark, *test_a_fate_without_a_reply.pytestmark]  # type: ignore[attr-defined]
    tested = {case[0]: case[1] for mark in marks for case in mark.args[1]}

    assert FATES.keys() == tested.keys()
    assert AMBIGUOUS == {fate for fate, seen in tested.items() if not isinstance(seen, int) or seen >= 500}


def test_a_text_that_did_not_arrive_in_full_is_not_counted() -> None:
    """A process killed in the middle of writing has texted nobody."""
    with counting_server({}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(b"POST /api/2020/send HTTP/1.1\r\nContent-Length: 100\r\n\r\nto_number=%2B1888")
        post(server)

        assert {NUMBER: [("ok", True)]} == server.log()


def test_a_text_is_counted_though_nobody_waits_for_the_reply() -> None:
    """A process killed right after writing has texted somebody."""
    body = urlencode({"to_number": NUMBER, "text_body": "Hi", "group_id": "gr:1"}).encode()
    head = f"POST /api/2020/send HTTP/1.1\r\nAuthorization: Basic eDp5\r\nContent-Length: {len(body)}\r\n\r\n"
    with counting_server({"delay": 0.1}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(head.encode() + body)

        assert 1 == server.wait(1)
        assert {NUMBER: [("ok", True)]} == server.log()


def test_every_text_is_counted_also_the_same_one_again() -> None:
    """It does not hide what it is there to find."""
    with counting_server({}) as server:
        for _ in range(3):
            post(server)

        assert {NUMBER: [("ok", True)] * 3} == server.log()


def test_no_text_without_its_fields_or_credentials() -> None:
    """What Pidj would not take does not count either."""
    with counting_server({}) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/api/2020/send", urlencode({"to_number": NUMBER}), {})
        assert 401 == connection.getresponse().status
        connection.close()
        assert 400 == post(server, from_number="+18885550000")[0]
        assert {} == server.log()


def test_fates_depend_on_the_number_and_not_on_the_order() -> None:
    """The same seed, whatever arrives first."""
    plan = {"seed": 7, "fates": {"declined": 0.3, "503-before": 0.3}}
    numbers = [f"+1888555{each:04d}" for each in range(40)]
    logs = []
    for order in (numbers, numbers[::-1]):
        with counting_server(plan) as server:
            for number in order:
                post(server, number)
            logs.append(server.log())

    assert logs[0] == logs[1]
    assert {"ok", "declined", "503-before"} == {requests[0][0] for requests in logs[0].values()}


def test_a_storm_is_so_many_in_a_row() -> None:
    """After ten requests, three are throttled; then ten go through again."""
    with counting_server({"storm": [10, 3]}) as server:
        seen = [post(server, f"+1888555{each:04d}")[0] for each in range(30)]

    calm, storm = [200] * 9, [429] * 3
    assert [*calm, *storm, 200, *calm, *storm, 200, 200, 200, 200, 200] == seen


def test_an_outage_ends_by_itself() -> None:
    """At the second text it goes away with all its connections, refuses new ones, and is back on the same port."""
    with counting_server({"outage": [2, 0.5], "delay": 0.2}) as server:
        post(server)
        with pytest.raises((RemoteDisconnected, ConnectionResetError)):
            post(server)
        with pytest.raises(ConnectionRefusedError):
            post(server)
        time.sleep(1.0)
        post(server)

        assert {NUMBER: [("ok", True)] * 3} == server.log()


def test_whoever_waits_is_told_at_once() -> None:
    """Not after the longest wait."""
    with counting_server({}) as server:
        started = time.perf_counter()
        late = threading.Timer(0.2, post, args=[server])
        late.start()
        count = server.wait(1)
        late.join()

    assert count == 1
    assert time.perf_counter() - started < 4
