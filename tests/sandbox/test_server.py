"""A sandbox's life: starting, stopping, two at once, on both event loops; and the real client against it."""

from __future__ import annotations

import builtins
import importlib.util
import logging
import socket
import subprocess
import sys
import threading
from typing import Any

import anyio
import httpx
import pytest

import pidj_async.sandbox
from pidj_async import (
    AuthenticationError,
    ConfigurationError,
    OutcomeUnknownError,
    Pidj,
    RateLimitError,
    RefusedError,
    ServerError,
)
from pidj_async.endpoints import BY_NAME, TABLE
from pidj_async.requests import SendText
from pidj_async.sandbox import Sandbox, SentText, handlers
from pidj_async.sandbox.handlers import HANDLERS
from pidj_async.sandbox.seed import GROUPS
from pidj_async.sansio import basic_authorization, check_base_url
from tests.sandbox.calling import MARIA, Api


def client(sandbox: Sandbox, **options: Any) -> Pidj:
    return Pidj(base_url=sandbox.base_url, account_key=sandbox.account_key, token=sandbox.token, **options)


def refuses_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def sandbox_threads() -> int:
    return sum(thread.name == "pidj-sandbox" for thread in threading.enumerate())


@pytest.mark.anyio
async def test_async_with() -> None:
    """`async with` gives a Pidj to talk to, on both event loops, and leaves no thread and no socket."""
    before = sandbox_threads()
    async with Sandbox() as sandbox:
        async with client(sandbox) as pidj:
            sent = await pidj.messages.send(to_number=MARIA, text_body="Hi", group_id=sandbox.group_id)
        port = sandbox.port
    assert "Text sent." == sent.message
    expected = SentText(from_number=sandbox.group_number, to_number=MARIA, text_body="Hi", group_id=sandbox.group_id)
    assert [expected] == sandbox.texts
    assert before == sandbox_threads()
    assert refuses_connections(port)


@pytest.mark.anyio
async def test_async_with_cancelled() -> None:
    """A sandbox whose block is cancelled is stopped all the same."""
    before = sandbox_threads()
    with anyio.CancelScope() as scope:
        async with Sandbox() as sandbox:
            port = sandbox.port
            scope.cancel()
            await anyio.sleep_forever()
    assert before == sandbox_threads()
    assert refuses_connections(port)


def test_two_at_once() -> None:
    """Two sandboxes know nothing of each other."""
    with Sandbox(account_key="a", token="a") as one, Sandbox(account_key="b", token="b") as two:
        assert one.port != two.port
        with Api(one) as api:
            api.send()
        assert (1, 0) == (len(one.texts), len(two.texts))
        assert 401 == httpx.get(f"{two.base_url}/groups", auth=("a", "a"), trust_env=False).status_code


def test_again() -> None:
    """A sandbox can be entered again, and still knows what it knew."""
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox, Api(sandbox) as api:
            api.send()
    assert 2 == len(sandbox.texts)


def test_not_running() -> None:
    """Without running it has no address, and says what to do; stopping it does no harm."""
    sandbox = Sandbox()
    for name in ("port", "url", "base_url"):
        with pytest.raises(RuntimeError, match="enter it with"):
            getattr(sandbox, name)
    sandbox.stop()
    assert "<Sandbox, not running>" == repr(sandbox)


def test_running_twice() -> None:
    """It cannot be started while it runs."""
    with Sandbox() as sandbox:
        assert f"<Sandbox, http://127.0.0.1:{sandbox.port}>" == repr(sandbox)
        with pytest.raises(RuntimeError, match="running already"):
            sandbox.start()


def test_port_in_use() -> None:
    """A port that is taken is an error that names it."""
    with Sandbox() as first, pytest.raises(ConfigurationError, match=f"127.0.0.1, port {first.port}"):
        Sandbox(port=first.port).start()


def test_start_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server does not start, the error says why, and no thread and no socket is left."""
    sandbox = Sandbox()
    before = sandbox_threads()

    async def startup(_: object, sockets: object = None) -> None:
        assert sockets
        msg = "no worker today"
        raise OSError(msg)

    monkeypatch.setattr("pidj_async.sandbox._serving._Server.startup", startup)
    with pytest.raises(RuntimeError, match="did not start") as caught:
        sandbox.start()
    assert "no worker today" == str(caught.value.__cause__)
    assert before == sandbox_threads()
    with pytest.raises(RuntimeError, match="not running"):
        sandbox.port  # noqa: B018  reading it is the test


def test_stops_with_a_request_under_way() -> None:
    """Stopping does not wait for ever for a caller who never finishes a request."""
    before = sandbox_threads()
    with Sandbox() as sandbox:
        authorization = basic_authorization(sandbox.account_key, sandbox.token)
        caller = socket.create_connection(("127.0.0.1", sandbox.port), timeout=30)
        caller.sendall(
            b"POST /api/2020/send HTTP/1.1\r\nHost: sandbox\r\nExpect: 100-continue\r\nContent-Length: 9\r\n"
            b"Authorization: " + authorization.encode() + b"\r\n\r\n"
        )
        # The server asks for the rest of the request: it is under way.
        assert caller.recv(100).startswith(b"HTTP/1.1 100")
    assert before == sandbox_threads()
    with caller:
        while caller.recv(1_000):
            pass


def test_stops_with_a_reader_who_does_not_read() -> None:
    """Stopping does not wait for a caller who asks for much and does not read it."""
    before = sandbox_threads()
    sandbox = Sandbox()
    for _ in range(5_000):
        sandbox._engine.state.send_text(GROUPS[0], MARIA, "x" * 1_600)
    with sandbox:
        caller = socket.create_connection(("127.0.0.1", sandbox.port), timeout=30)
        caller.sendall(b"GET /_sandbox/texts HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 200")
    caller.close()
    assert before == sandbox_threads()


def test_callers_who_hang_up(sandbox: Sandbox, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """A caller who hangs up in the middle of a request disturbs nobody, and nothing is done."""
    authorization = basic_authorization(sandbox.account_key, sandbox.token)
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as caller:
        caller.sendall(
            b"POST /api/2020/send HTTP/1.1\r\nHost: sandbox\r\nExpect: 100-continue\r\nContent-Length: 9\r\n"
            b"Authorization: " + authorization.encode() + b"\r\n\r\n"
        )
        assert caller.recv(100).startswith(b"HTTP/1.1 100")
    assert 200 == api.send()["code"]
    assert 1 == len(sandbox.texts)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.anyio
async def test_hanging_up_elsewhere() -> None:
    """Under a server that shows it no connection, the sandbox says that it cannot hang up."""
    sandbox = Sandbox()
    sandbox.fail_next("groups.list", drop=True)
    transport = httpx.ASGITransport(sandbox._app)
    auth = (sandbox.account_key, sandbox.token)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox/api/2020", auth=auth) as caller:
        with pytest.raises(RuntimeError, match="does not let the sandbox hang up"):
            await caller.get("/groups")
        assert 200 == (await caller.get("/groups")).status_code


def test_stop_sends_waiters_away() -> None:
    """Whoever waits for webhooks when the sandbox stops is told so."""
    sandbox = Sandbox(webhook_url="http://127.0.0.1:1/", webhook_backoff=60)
    with sandbox:
        sandbox.receive_text(MARIA, "Hello")
    with pytest.raises(TimeoutError, match="the sandbox was stopped"):
        sandbox.drain_sync()


def test_pending_webhooks_wait_for_the_next_start() -> None:
    """A webhook that happened while the sandbox was stopped is delivered when it starts."""
    sandbox = Sandbox(webhook_url="http://127.0.0.1:1/", webhook_attempts=1)
    sandbox.receive_text(MARIA, "Hello")
    assert ["pending"] == [delivery.status for delivery in sandbox.deliveries]
    with sandbox:
        sandbox.drain_sync()
    assert ["failed"] == [delivery.status for delivery in sandbox.deliveries]


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com", ""])  # noqa: S104  exactly what must be refused
def test_loopback_only(host: str) -> None:
    """It does not listen where others could reach its controls."""
    with pytest.raises(ConfigurationError, match="this machine only"):
        Sandbox(host=host)


def can_listen(host: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_hosts(host: str) -> None:
    """Any name of this machine will do, and the address is one that a client can be given."""
    if not can_listen(host):
        pytest.skip(f"this machine has no {host}")
    with Sandbox(host=host) as sandbox, Api(sandbox) as api:
        assert check_base_url(sandbox.base_url) == sandbox.base_url
        assert 200 == api("GET", "/groups")["code"]


@pytest.mark.parametrize("arguments", [{"port": -1}, {"port": 65_536}, {"account_key": "a:b"}])
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    """Arguments that cannot work are refused when it is made."""
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        Sandbox(**arguments)


def test_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come from the arguments, else the environment, else they are `sandbox`."""
    for name in ("PIDJ_ACCOUNT_KEY", "PIDJ_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    plain = Sandbox()
    assert ("sandbox", "sandbox") == (plain.account_key, plain.token)
    monkeypatch.setenv("PIDJ_ACCOUNT_KEY", "key")
    monkeypatch.setenv("PIDJ_TOKEN", "secret")
    from_environment, given = Sandbox(), Sandbox(account_key="mine", token="own")
    assert ("key", "secret") == (from_environment.account_key, from_environment.token)
    assert ("mine", "own") == (given.account_key, given.token)
    assert "secret" not in repr(from_environment)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_missing_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without the extra, the error says what to install."""
    for name in list(sys.modules):
        if name.partition(".")[0] == missing or name in {"pidj_async.sandbox.app", "pidj_async.sandbox._serving"}:
            monkeypatch.delitem(sys.modules, name)
    real_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(name=missing)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r'pip install "pidj-async\[sandbox\]"'):
        Sandbox()


def test_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """The access log is off by default; switched on, it names rows and never a number."""
    with caplog.at_level(logging.DEBUG):
        with Sandbox() as quiet, Api(quiet) as api:
            api.send()
        assert not any(record.name in {"pidj_async.sandbox", "uvicorn.access"} for record in caplog.records)
        with Sandbox(access_log=True) as loud, Api(loud) as api:
            api.refused("GET", api.by_phone(MARIA))
            loud.fail_next("messages.send", drop=True)
            with pytest.raises(httpx.RemoteProtocolError):
                api.send()
    logged = [record.getMessage() for record in caplog.records if record.name == "pidj_async.sandbox"]
    assert ["contacts.get_by_phone: HTTP 404", "messages.send: hung up"] == logged
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not any("5553333" in message for message in ours)


def test_every_row_has_its_handler() -> None:
    """The table's rows and the handlers are the same set."""
    assert BY_NAME.keys() == HANDLERS.keys()


def test_a_row_without_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that nobody handles stops the handlers from being imported, and so does a handler of no row, or two."""
    spec = importlib.util.find_spec("pidj_async.sandbox.handlers")
    assert spec is not None
    assert spec.loader is not None
    for extra, missing, problem in (
        ({"faxes.send": TABLE[0]}, "", "rows without a handler: faxes.send"),
        ({}, "users.get", "the table has no row 'users.get'"),
    ):
        rows = {name: row for name, row in (BY_NAME | extra).items() if name != missing}
        monkeypatch.setattr("pidj_async.endpoints.BY_NAME", rows)
        with pytest.raises(TypeError, match=problem):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    with pytest.raises(TypeError, match=r"users.get has two handlers"):
        handlers._handles("users.get")


def test_exports() -> None:
    """Every name that is exported is there, and found by `dir`; any other is an ordinary AttributeError."""
    assert sorted(pidj_async.sandbox.__all__, key=lambda name: (not name.isupper(), name)) == pidj_async.sandbox.__all__
    assert set(pidj_async.sandbox.__all__) <= set(dir(pidj_async.sandbox))
    for name in pidj_async.sandbox.__all__:
        assert getattr(pidj_async.sandbox, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Sandpit'"):
        pidj_async.sandbox.Sandpit  # noqa: B018  reading it is the test


def test_import_is_light() -> None:
    """The sandbox's constants can be had without Starlette, uvicorn and httpx."""
    code = (
        "import sys; from pidj_async.sandbox import GROUP_ID; "
        "print(sorted({'starlette', 'uvicorn', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "[]" == done.stdout.strip()


# ----------------------------------------------------------------------------------------------------- the real client


@pytest.mark.anyio
async def test_client_errors(sandbox: Sandbox) -> None:
    """What the sandbox answers becomes the error that the client promises for it."""
    async with client(sandbox, retry=lambda *_: None) as pidj:
        text = SendText(to_number=MARIA, text_body="Hi", group_id=sandbox.group_id)
        sandbox.fail_next("messages.send", status=429, retry_after=7)
        with pytest.raises(RateLimitError) as limited:
            await pidj.execute(text)
        assert 7.0 == limited.value.retry_after
        sandbox.fail_next("messages.send", status=502)
        with pytest.raises(ServerError):
            await pidj.execute(text)
        sandbox.fail_next("messages.send", status=200)
        with pytest.raises(RefusedError):
            await pidj.execute(text)
        sandbox.fail_next("messages.send", drop=True, after_acting=True)
        with pytest.raises(OutcomeUnknownError):
            await pidj.execute(text)
        sandbox.receive_text(MARIA, "STOP")
        with pytest.raises(RefusedError, match="recipient has opted out"):
            await pidj.execute(text)
    assert 1 == len(sandbox.texts)
    async with Pidj(base_url=sandbox.base_url, account_key=sandbox.account_key, token="wrong") as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.check_authorization()


@pytest.mark.anyio
async def test_client_clears_and_keeps(sandbox: Sandbox) -> None:
    """The three things that can be said of a field do what they say: a value, None, nothing."""
    async with client(sandbox) as pidj:
        created = await pidj.contacts.create(
            phone_number=MARIA, first_name="Jo", last_name="Doe", email_address="j@e.com"
        )
        await pidj.contacts.update(created.id, first_name="Joanna", email_address=None)
        contact = await pidj.contacts.get_by_phone(MARIA)
    assert ("Joanna", "Doe", "") == (contact.first_name, contact.last_name, contact.email_address)
