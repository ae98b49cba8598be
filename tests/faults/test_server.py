"""The laboratory itself: each fault does on the wire what its name says, as seen by plain sockets."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import re
import socket
import ssl
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from .behaviours import BOMB_SIZE, CLAIMED_SIZE, DRIBBLED_SIZE, hang, refuse
from .catalogue import CALLS, FAULTS, HEALTHY, MAX_ATTEMPTS, UNRESOLVABLE_HOST, Fault, Lab
from .server import OK_BODY, Behaviour, Connection, FaultServer, trusting_context

if TYPE_CHECKING:
    from collections.abc import Generator

PATIENCE = 5.0
BASIC = base64.b64encode(b"probe:probe-secret").decode()
REQUEST = (
    f"POST /api/2020/send HTTP/1.1\r\nHost: lab\r\nAuthorization: Basic {BASIC}\r\nContent-Length: 11\r\n\r\n"
).encode() + b"text_body=x"

_BY_NAME = {fault.name: fault for fault in (*HEALTHY, *FAULTS)}


class Probe:
    """A client of almost nothing but a socket."""

    def __init__(self, lab: Lab) -> None:
        parts = urlsplit(lab.target.base_url)
        self.address = (parts.hostname or "", parts.port or 0)
        self.sock = socket.create_connection(self.address, timeout=PATIENCE)

    def ask(self) -> None:
        """Send the request."""
        self.sock.sendall(REQUEST)

    def reply(self) -> tuple[http.client.HTTPResponse, bytes]:
        """Read one reply as the standard library would, its body still encoded."""
        response = http.client.HTTPResponse(self.sock)
        response.begin()
        return response, response.read()

    def read(self, size: int) -> bytes:
        """Read exactly ``size`` bytes, or fewer if the other side ends before."""
        data = b""
        while len(data) < size and (more := self.sock.recv(size - len(data))):
            data += more
        return data

    def read_all(self) -> tuple[bytes, type[BaseException] | None]:
        """Read until the end; return what came and, unless the end was a FIN, the error that it ended with."""
        data = b""
        try:
            while more := self.sock.recv(65_536):
                data += more
        except OSError as error:
            return data, type(error)
        return data, None


@contextlib.contextmanager
def probing(name: str) -> Generator[tuple[Lab, Probe]]:
    """Set a fault up and connect to it."""
    with _BY_NAME[name].start() as lab:
        probe = Probe(lab)
        with probe.sock:
            yield lab, probe


def ask(name: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Ask once, and return the reply."""
    with probing(name) as (_, probe):
        probe.ask()
        return probe.reply()


# The server -------------------------------------------------------------------------------------------------------


def test_a_request_is_recorded_as_it_arrived() -> None:
    """A recorded request has the bytes that were sent, and its parts."""
    with probing("healthy") as (lab, probe):
        probe.ask()
        _, body = probe.reply()
        (request,) = lab.target.requests
    assert OK_BODY == body
    assert (REQUEST, 1) == (request.raw, request.connection)
    assert ("POST", "/api/2020/send", b"text_body=x") == (request.method, request.path, request.body)
    assert {"host": "lab", "authorization": f"Basic {BASIC}", "content-length": "11"} == request.headers
    assert "probe:probe-secret" == request.credentials


def test_a_request_in_pieces_is_one_request() -> None:
    """However the bytes arrive, a request is recorded once, when it is whole."""
    with probing("healthy") as (lab, probe):
        for piece in (REQUEST[:20], REQUEST[20:-3], REQUEST[-3:]):
            assert () == lab.target.requests
            probe.sock.sendall(piece)
        probe.reply()
        assert [request.raw for request in lab.target.requests] == [REQUEST]


def test_half_a_request_is_no_request() -> None:
    """A request that never became whole is not recorded, but its connection is."""
    with probing("healthy") as (lab, probe):
        probe.sock.sendall(REQUEST[:-1])
        probe.sock.close()
        assert lab.target.wait_all_closed(PATIENCE)
        assert ((), 1) == (lab.target.requests, lab.target.connections)


def test_a_connection_stays_open_for_more_requests() -> None:
    """The server keeps connections, so that faults can come on the second request."""
    with probing("healthy") as (lab, probe):
        for _ in range(2):
            probe.ask()
            probe.reply()
        assert ([request.connection for request in lab.target.requests], lab.target.connections) == ([1, 1], 1)


def test_an_open_connection_is_seen_until_the_client_closes_it() -> None:
    """``wait_all_closed`` is false while a client holds a socket, and true once it has let go."""
    with probing("healthy") as (lab, probe):
        probe.ask()
        probe.reply()
        assert not lab.target.wait_all_closed(0.05)
        assert 1 == lab.target.open_connections
        probe.sock.close()
        assert lab.target.wait_all_closed(PATIENCE)
        assert 0 == lab.target.open_connections


def test_a_connection_that_was_just_made_is_not_overlooked() -> None:
    """A connection counts as open from the moment the client has it, accepted by the server's thread or not."""
    with _BY_NAME["healthy"].start() as lab:
        for _ in range(20):
            with Probe(lab).sock:
                assert not lab.target.wait_all_closed(0.0)
            assert lab.target.wait_all_closed(PATIENCE)
        assert 20 == lab.target.connections


def test_a_server_stops_with_clients_still_connected() -> None:
    """Leaving the context ends every connection and every thread, whatever the client does."""
    with FaultServer(Behaviour(on_request=hang)) as server:
        probe = Probe(Lab(server))
        probe.ask()
        assert server.wait_for_requests(1, PATIENCE)
    with probe.sock:
        assert (b"", None) == probe.read_all()
    assert [] == [thread.name for thread in threading.enumerate() if thread.name.startswith("fault-server")]


def test_a_server_answers_properly_after_its_faults() -> None:
    """``then_ok`` faults, then proper replies."""
    with FaultServer(Behaviour(on_request=refuse("500 Internal Server Error")), then_ok=2) as server:
        probe = Probe(Lab(server))
        statuses = []
        with probe.sock:
            for _ in range(4):
                probe.ask()
                statuses.append(probe.reply()[0].status)
    assert [500, 500, 200, 200] == statuses


def test_faults_of_a_connection_are_counted_too() -> None:
    """``then_ok`` counts faults on accepting as it counts faults on requests."""
    with FaultServer(Behaviour(on_accept=Connection.close), then_ok=1) as server:
        first, second = Probe(Lab(server)), Probe(Lab(server))
        with first.sock, second.sock:
            assert (b"", None) == first.read_all()
            second.ask()
            assert 200 == second.reply()[0].status


def test_a_bug_in_a_behaviour_is_not_lost() -> None:
    """What a behaviour raises by mistake comes out when the server is left."""

    def buggy(connection: Connection, request: object) -> None:  # noqa: ARG001
        message = "a bug"
        raise LookupError(message)

    def serve_one() -> None:
        with FaultServer(Behaviour(on_request=buggy)) as server:
            probe = Probe(Lab(server))
            with probe.sock:
                probe.ask()
                probe.read_all()

    with pytest.raises(LookupError, match="a bug"):
        serve_one()


def test_the_catalogue_covers_every_call_under_unique_names() -> None:
    """Every fault says what each call must come to, and no two share a name."""
    names = [fault.name for fault in (*HEALTHY, *FAULTS)]
    assert sorted(names) == sorted(set(names))
    assert {frozenset(fault.expected) for fault in FAULTS} == {frozenset(CALLS)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_text_is_repeated_only_where_it_cannot_have_been_sent(fault: Fault) -> None:
    """The catalogue itself never expects a second text, unless the first provably did nothing."""
    expected = fault.expected["messages.send"]
    error = None if expected.error is None else expected.error.__name__
    assert (MAX_ATTEMPTS if error in {"NotSentError", "RateLimitError"} else 1) == expected.attempts


# Faults before the request ----------------------------------------------------------------------------------------


def test_dns_failure() -> None:
    """The name does not resolve, and is too long for a resolver to be asked for it."""
    assert len(UNRESOLVABLE_HOST) > 255
    assert max(map(len, UNRESOLVABLE_HOST.split("."))) <= 63
    with pytest.raises(socket.gaierror) as caught:
        socket.getaddrinfo(UNRESOLVABLE_HOST, 443)
    assert socket.EAI_NONAME == caught.value.errno


def test_refused() -> None:
    """The port refuses, again and again."""
    with _BY_NAME["refused"].start() as lab:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                Probe(lab)


def test_connect_timeout() -> None:
    """The connection is neither made nor refused."""
    with _BY_NAME["connect_timeout"].start() as lab:
        address = (urlsplit(lab.target.base_url).hostname, urlsplit(lab.target.base_url).port)
        for _ in range(2):
            with socket.socket() as sock:
                sock.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    sock.connect(address)


@pytest.mark.parametrize(
    ("name", "reason"), [("tls_expired", "certificate has expired"), ("tls_wrong_host", "IP address mismatch")]
)
def test_certificate_is_refused(name: str, reason: str) -> None:
    """A client that trusts the laboratory refuses this certificate, for this reason only."""
    with probing(name) as (lab, probe):
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            trusting_context().wrap_socket(probe.sock, server_hostname="127.0.0.1")
        assert reason in caught.value.verify_message
        assert lab.target.wait_all_closed(PATIENCE)
        assert ((), 1) == (lab.target.requests, lab.target.connections)


def test_healthy_tls() -> None:
    """A client that trusts the laboratory is served over TLS."""
    with (
        probing("healthy_tls") as (_, probe),
        trusting_context().wrap_socket(probe.sock, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(REQUEST)
        response = http.client.HTTPResponse(tls)
        response.begin()
        assert OK_BODY == response.read()


def test_tls_handshake_cut() -> None:
    """The connection ends during the handshake."""
    with probing("tls_handshake_cut") as (lab, probe):
        # Which of them depends on the version of OpenSSL.
        with pytest.raises((ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError)):
            trusting_context().wrap_socket(probe.sock, server_hostname="127.0.0.1")
        assert () == lab.target.requests


def test_tls_handshake_hangs() -> None:
    """The connection is made, and the handshake is never answered."""
    with probing("tls_handshake_hangs") as (lab, probe):
        probe.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            trusting_context().wrap_socket(probe.sock, server_hostname="127.0.0.1")
        assert ((), 1) == (lab.target.requests, lab.target.connections)


def test_pool_exhausted() -> None:
    """The reply is held until it is released, and then is a proper one."""
    with probing("pool_exhausted") as (lab, probe):
        probe.ask()
        probe.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            probe.sock.recv(1)
        lab.server.release()
        probe.sock.settimeout(PATIENCE)
        assert OK_BODY == probe.reply()[1]


# Faults of the connection -----------------------------------------------------------------------------------------


def test_accept_then_close() -> None:
    """The connection is made and then ends with FIN, before a byte was asked for."""
    with probing("accept_then_close") as (lab, probe):
        assert (b"", None) == probe.read_all()
        assert ((), 1) == (lab.target.requests, lab.target.connections)


@pytest.mark.parametrize(
    ("name", "came"),
    [
        ("reset_before_headers", rb""),
        ("reset_mid_headers", rb"HTTP/1\.1 200 OK\r\nContent-Type: appl"),
        ("reset_mid_body", rb"HTTP/1\.1 200 OK\r\n(?s:.*)Content-Length: 68\r\n\r\n\{.{33}"),
    ],
)
def test_reset(name: str, came: bytes) -> None:
    """The request is read in full; the reply breaks off where the name says, with RST."""
    with probing(name) as (lab, probe):
        probe.ask()
        data, error = probe.read_all()
        assert (True, ConnectionResetError) == (re.fullmatch(came, data) is not None, error)
        assert [request.raw for request in lab.target.requests] == [REQUEST]


def test_headers_dribbled() -> None:
    """Bytes keep coming one by one, and the headers do not end."""
    with probing("headers_dribbled") as (_, probe):
        probe.ask()
        pieces = [probe.sock.recv(65_536) for _ in range(25)]
    assert b"".join(pieces).startswith(b"HTTP/1.1 200 OK\r\n")
    assert (max(map(len, pieces)) < 25, b"\r\n\r\n" in b"".join(pieces)) == (True, False)


def test_body_dribbled() -> None:
    """The headers come at once, then the body byte by byte, far from its promised length."""
    with probing("body_dribbled") as (_, probe):
        probe.ask()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += probe.read(1)
        pieces = [probe.sock.recv(65_536) for _ in range(10)]
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {DRIBBLED_SIZE}\r\n".encode() in head
    assert b"".join(pieces).startswith(b'{"code":20')
    assert max(map(len, pieces)) < 10


def test_a_dribble_ends_when_the_client_hangs_up() -> None:
    """A dribbling server notices the client's end, so that its connection does not count as leaked."""
    with probing("body_dribbled") as (lab, probe):
        probe.ask()
        assert b"H" == probe.read(1)
        probe.sock.close()
        assert lab.target.wait_all_closed(PATIENCE)


def test_hang() -> None:
    """The request arrives and nothing ever comes back."""
    with probing("hang") as (lab, probe):
        probe.ask()
        assert lab.server.wait_for_requests(1, PATIENCE)
        probe.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            probe.sock.recv(1)
        assert 1 == lab.target.open_connections


def test_stale_keep_alive_seen() -> None:
    """The connection ends with FIN after a reply that promised to keep it, before another request."""
    with probing("stale_keep_alive_seen") as (lab, probe):
        probe.ask()
        response, body = probe.reply()
        assert (False, OK_BODY) == (response.will_close, body)
        assert lab.server.wait_for_half_close(PATIENCE)
        assert (b"", None) == probe.read_all()


def test_stale_keep_alive_crossed() -> None:
    """The first request is answered; the second arrives, and the connection ends with FIN instead of a reply."""
    with probing("stale_keep_alive_crossed") as (lab, probe):
        probe.ask()
        response, body = probe.reply()
        assert (False, OK_BODY) == (response.will_close, body)
        probe.ask()
        assert (b"", None) == probe.read_all()
        assert 2 == len(lab.target.requests)


# Replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "retry_after"),
    [
        ("429_retry_after_seconds", 429, r"7"),
        ("429_retry_after_date", 429, r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
        ("429_retry_after_absurd", 429, r"999999999"),
        ("429_retry_after_garbage", 429, r"soon, -1, nan"),
        ("429_without_retry_after", 429, r""),
        ("500", 500, r""),
        ("503_retry_after", 503, r"7"),
    ],
)
def test_refusal(name: str, status: int, retry_after: str) -> None:
    """The status, the header and the envelope agree; the message repeats the credentials."""
    response, body = ask(name)
    envelope = json.loads(body)
    assert (status, status, "error") == (response.status, envelope["code"], envelope["status"])
    assert re.fullmatch(retry_after, response.getheader("Retry-After", ""))
    assert all(secret in envelope["message"] for secret in (BASIC, "probe-secret", "text_body=x"))


@pytest.mark.parametrize(("name", "status"), [("200_html", 200), ("502_html", 502)])
def test_html(name: str, status: int) -> None:
    """A page for people, with the whole request on it."""
    response, body = ask(name)
    assert (status, "text/html; charset=utf-8") == (response.status, response.getheader("Content-Type"))
    assert body.startswith(b"<!doctype html>")
    assert all(secret in body.decode() for secret in (BASIC, "probe-secret", "text_body=x"))


def test_json_malformed() -> None:
    """The reply is whole, the JSON in it is not."""
    response, body = ask("json_malformed")
    assert (200, str(len(body))) == (response.status, response.getheader("Content-Length"))
    with pytest.raises(json.JSONDecodeError, match="Unterminated string"):
        json.loads(body)


def test_json_wrong_shape() -> None:
    """Good JSON that is not an object."""
    response, body = ask("json_wrong_shape")
    assert (200, list) == (response.status, type(json.loads(body)))


def test_gzip_truncated() -> None:
    """The reply is whole, and its gzip stream ends in the middle."""
    response, body = ask("gzip_truncated")
    assert ("gzip", str(len(body))) == (response.getheader("Content-Encoding"), response.getheader("Content-Length"))
    with pytest.raises(EOFError):
        gzip.decompress(body)


def test_gzip_without_trailer() -> None:
    """All data can be decoded; only the checksum and the length are missing."""
    _, body = ask("gzip_without_trailer")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert ("success", False) == (json.loads(inflate.decompress(body))["status"], inflate.eof)


def test_gzip_bomb() -> None:
    """A small body, valid to the last byte, that decodes to 200 MB."""
    response, body = ask("gzip_bomb")
    assert (200, True) == (response.status, len(body) < BOMB_SIZE // 500)
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    size = len(inflate.decompress(body, 1024 * 1024))
    while inflate.unconsumed_tail:
        size += len(inflate.decompress(inflate.unconsumed_tail, 1024 * 1024))
    assert (BOMB_SIZE, True) == (size, inflate.eof)


def test_huge_body_claimed() -> None:
    """The length claims 10 GB, and megabytes do come."""
    with probing("huge_body_claimed") as (_, probe):
        probe.ask()
        response = http.client.HTTPResponse(probe.sock)
        response.begin()
        assert CLAIMED_SIZE == response.length
        assert 3 * 1024 * 1024 == len(response.read(3 * 1024 * 1024))


def test_huge_body_endless() -> None:
    """No length at all, and chunks without end."""
    with probing("huge_body_endless") as (_, probe):
        probe.ask()
        response = http.client.HTTPResponse(probe.sock)
        response.begin()
        assert (True, None) == (response.chunked, response.length)
        assert 3 * 1024 * 1024 == len(response.read(3 * 1024 * 1024))


def test_bad_chunking() -> None:
    """A good chunk, and then a chunk size that is none."""
    with probing("bad_chunking") as (_, probe):
        probe.ask()
        response = http.client.HTTPResponse(probe.sock)
        response.begin()
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert "success" == json.loads(caught.value.partial)["status"]


@pytest.mark.parametrize(("name", "status"), [("redirect_302", 302), ("redirect_307", 307)])
def test_redirect(name: str, status: int) -> None:
    """The reply points to another address, where a second server would count who follows."""
    with probing(name) as (lab, probe):
        probe.ask()
        response, _ = probe.reply()
        location = urlsplit(response.getheader("Location", ""))
        assert lab.bystander is not None
        assert (status, "127.0.0.2") == (response.status, location.hostname)
        assert urlsplit(lab.bystander.base_url).netloc == location.netloc
        with contextlib.closing(http.client.HTTPConnection(location.netloc, timeout=PATIENCE)) as followed:
            followed.request("GET", location.path)
            assert 200 == followed.getresponse().status
        assert 1 == len(lab.bystander.requests)


def test_every_fault_was_probed() -> None:
    """No fault of the catalogue is left without a probe in this module."""
    source = Path(__file__).read_text(encoding="utf-8")
    probed = set(re.findall(r'"(\w+)"', source)) | set(re.findall(r"def test_(\w+)\(", source))
    assert [fault.name for fault in FAULTS if fault.name not in probed] == []
