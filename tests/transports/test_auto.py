"""``transport="auto"``, and transports by their names."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import respx

from pidj_async import ConfigurationError, NotSentError, Pidj, SendText
from pidj_async.sansio import WireRequest
from pidj_async.transports import Progress, StreamingTransport, make_transport
from pidj_async.transports.auto import AutoTransport, fastest
from tests.recorder import Recorder

pytestmark = pytest.mark.anyio

TEXT = SendText(to_number="+18885553333", text_body="Hi", group_id="gr:1")
LOOPBACK = "http://127.0.0.1:1"
ELSEWHERE = "https://pidj.invalid"

ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])

Installed = Callable[..., None]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Hides libraries that are installed, and proxies that are set, but for those that are named."""
    find, version = importlib.util.find_spec, importlib.metadata.version

    def hide(*names: str, aiohttp: str = "3.14.0") -> None:
        def find_spec(name: str, package: str | None = None) -> Any:
            return None if name in {"httptools", "aiohttp"} - set(names) else find(name, package)

        def version_of(name: str) -> str:
            if name != "aiohttp":
                return version(name)
            if "aiohttp" not in names:
                raise importlib.metadata.PackageNotFoundError(name)
            return aiohttp

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        monkeypatch.setattr(importlib.metadata, "version", version_of)

    for variable in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    return hide


@ON_ASYNCIO
async def test_the_fastest_that_is_installed_is_taken(only: Installed) -> None:
    """Ours, then aiohttp if it is new enough, then httpx, which is always there."""
    only("httptools", "aiohttp")
    assert "fast" == fastest(ELSEWHERE)
    only("aiohttp")
    assert "aiohttp" == fastest(ELSEWHERE)
    only("aiohttp", aiohttp="3.13.9")
    assert "httpx" == fastest(ELSEWHERE)
    with pytest.raises(ConfigurationError, match="newer aiohttp"):
        make_transport("aiohttp")
    only()
    assert "httpx" == fastest(ELSEWHERE)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_there_is_httpx(only: Installed) -> None:
    """Whatever is installed."""
    only("httptools", "aiohttp")
    assert "httpx" == fastest(ELSEWHERE)


@ON_ASYNCIO
async def test_a_proxy_asks_for_httpx(only: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the environment names one for the very address; loopback is never proxied."""
    only("httptools", "aiohttp")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "direct.invalid")
    assert ["httpx", "fast", "fast"] == [fastest(ELSEWHERE), fastest("https://direct.invalid"), fastest(LOOPBACK)]


async def test_the_client_says_which_it_took(anyio_backend_name: str) -> None:
    """From the first request on; until then it is "auto"."""
    expected = "httpx" if anyio_backend_name == "trio" else "fast"
    with Recorder() as recorder:
        async with Pidj(account_key="k", token="t", base_url=recorder.base_url) as pidj:
            transport = pidj.transport
            assert isinstance(transport, AutoTransport)
            assert ("auto", "<AutoTransport: takes one with the first request>") == (transport.name, repr(transport))
            assert "auto" == pidj.transport_name
            await pidj.execute(TEXT)
            assert (expected, expected) == (transport.name, pidj.transport_name)
            assert f"<AutoTransport: <{expected.title()}Transport" in repr(transport)


@pytest.mark.parametrize("name", ["httpx", "aiohttp", "fast"])
def test_each_transport_knows_its_name(name: Any) -> None:
    """The one it is asked for by; its repr tells it too."""
    transport: Any = make_transport(name)
    assert (name, f"<{name.title()}Transport") == (transport.name, repr(transport)[: len(name) + 10])


async def test_a_mock_is_never_gone_round() -> None:
    """Respx, started after the client has made its choice, still catches what it sends; and not a text afterwards."""
    with Recorder() as recorder:
        async with Pidj(account_key="k", token="t", base_url=recorder.base_url) as pidj:
            await pidj.execute(TEXT)
            with respx.mock:
                route = respx.post(f"{recorder.base_url}/send").respond(json={"status": "success", "message": "mocked"})
                assert "mocked" == (await pidj.execute(TEXT)).message
            await pidj.execute(TEXT)
        assert (1, 2) == (route.call_count, len(recorder.requests))


@ON_ASYNCIO
async def test_httpcore_may_be_half_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another thread, at the very moment: it is not mocked then, and nothing fails."""
    monkeypatch.setitem(sys.modules, "httpcore", types.ModuleType("httpcore"))
    with Recorder() as recorder:
        transport = make_transport("auto")
        request = WireRequest(method="GET", url=recorder.base_url, headers=(), content=b"", endpoint="contacts.list")
        assert 200 == (await transport.send(request, Progress())).status_code
        await transport.aclose()


async def test_it_streams_and_closes() -> None:
    """It is all that the one it took is."""
    transport = make_transport("auto")
    assert isinstance(transport, StreamingTransport)
    with Recorder() as recorder:
        request = WireRequest(method="GET", url=recorder.base_url, headers=(), content=b"", endpoint="contacts.stream")
        stream = await transport.stream(request, Progress())
        assert b'{"code":200,"status":"success"}' == b"".join([piece async for piece in stream])
        await transport.aclose()
        await transport.aclose()
        with pytest.raises(NotSentError):
            await transport.send(request, Progress())


async def test_one_that_was_closed_takes_none() -> None:
    """Also if it had not come to choosing."""
    transport = make_transport("auto")
    await transport.aclose()
    request = WireRequest(method="GET", url=LOOPBACK, headers=(), content=b"", endpoint="contacts.list")
    with pytest.raises(NotSentError, match="closed"):
        await transport.send(request, Progress())


@pytest.mark.parametrize(("name", "library"), [("fast", "httptools"), ("aiohttp", "aiohttp")])
def test_a_missing_extra_is_named(name: Any, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    for module in [one for one in sys.modules if one.startswith(f"pidj_async.transports.{name}")]:
        monkeypatch.delitem(sys.modules, module)
    nothing: Any = None  # Python's own way to say "not there"
    monkeypatch.setitem(sys.modules, library, nothing)
    with pytest.raises(ConfigurationError, match=rf'needs {library}.*pip install "pidj-async\[{name}\]"'):
        make_transport(name)


def test_a_name_that_is_none_is_refused() -> None:
    """With those there are."""
    with pytest.raises(ConfigurationError, match="'auto', 'httpx', 'aiohttp' and 'fast'"):
        make_transport("urllib")  # type: ignore[arg-type]
