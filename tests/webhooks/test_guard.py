"""Who may post: secrets made and put into URLs, networks told apart, and logs that give no secret away."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from ipaddress import ip_network
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pidj_async.errors import ConfigurationError, UnauthorizedWebhookError
from pidj_async.webhooks import (
    Dispatcher,
    Receiver,
    RedactSecrets,
    WebhookRequest,
    new_secret,
    redact_access_log,
    webhook_url,
)
from pidj_async.webhooks.guard import ACCESS_LOGGERS

SECRET = "correct-horse-battery"
Style = Literal["basic", "path", "query"]
STYLES: tuple[Style, ...] = ("basic", "path", "query")


def request(**changes: Any) -> WebhookRequest:
    """A request that has the secret."""
    return WebhookRequest(**{"method": "POST", "path": f"/{SECRET}", **changes})


# --- secrets and URLs ---------------------------------------------------------------------------------------------


def test_a_new_secret_is_long_and_needs_no_encoding() -> None:
    """At least 128 bits, a different one each time, and the same in every part of a URL."""
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {32} == {len(each) for each in made}  # 62 ** 32 is more than 2 ** 190
    assert all(re.fullmatch("[A-Za-z0-9]+", each) for each in made)
    assert len(set("".join(made))) == 62


@pytest.mark.parametrize(
    ("style", "url"),
    [
        ("basic", "https://pidj:a%2Fb%20c@example.org:8443/hooks?x=1"),
        ("path", "https://example.org:8443/hooks/a%2Fb%20c?x=1"),
        ("query", "https://example.org:8443/hooks?x=1&secret=a%2Fb%20c"),
    ],
)
def test_the_secret_goes_where_it_is_wanted(style: Style, url: str) -> None:
    """Encoded, with everything else as it was."""
    assert url == webhook_url("https://example.org:8443/hooks?x=1", "a/b c", style)


def test_basic_is_what_one_gets() -> None:
    """The place that access logs leave out, unless another one is asked for."""
    assert "https://pidj:s@example.org" == webhook_url("https://example.org", "s")
    assert "https://example.org/s" == webhook_url("https://example.org/", "s", "path")
    assert "https://example.org?secret=s" == webhook_url("https://example.org", "s", "query")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(TEXTS, st.sampled_from(STYLES))
@example("a/b:c@d?e#f%2F+", "basic")
@example("a/b:c@d?e#f%2F+", "path")
@example("a/b:c@d?e#f%2F+", "query")
@example("ends/", "path")
def test_a_receiver_takes_what_a_client_makes_of_the_url(secret: str, style: Style) -> None:
    """Whatever the secret is: of a URL split as clients and servers do it, a receiver takes it, and no other."""
    parts = urlsplit(webhook_url("https://example.org/hooks", secret, style))
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    received = WebhookRequest(
        method="POST",
        path=unquote(parts.path),
        query=parts.query,
        headers={"Authorization": "Basic " + base64.b64encode(credentials).decode()},
    )
    assert Receiver(Dispatcher(), secret=secret).check(received) is None
    assume(secret not in {"pidj", "hooks"})
    other = Receiver(Dispatcher(), secret=secret + "x").check(received)
    assert 401 == (other and other.status)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("example.org/hooks", "s"), "must be the URL of a host"),
        (("ftp://example.org", "s"), "must be the URL of a host"),
        (("https:///hooks", "s"), "must be the URL of a host"),
        (("https://example.org:http/hooks", "s"), "must be the URL of a host"),
        (("https://[::1/hooks", "s"), "must be the URL of a host"),
        (
            ("https://pidj:hunter2@example.org/hooks", "s"),
            "no user name, password or fragment; the one on 'example.org'",
        ),
        (("https://example.org/#hunter2", "s"), "no user name, password or fragment"),
        (("https://example.org", " "), "blank"),
        (("https://example.org", "\ud800"), "lone surrogate"),
        (("https://example.org", None), "must be a text, not NoneType"),
        (("https://example.org", "s", "header"), "'basic', 'path' or 'query'; got 'header'"),
    ],
)
def test_a_url_that_cannot_be_is_refused(arguments: tuple[Any, ...], problem: str) -> None:
    """With the reason, and without showing what may be a secret."""
    with pytest.raises(ConfigurationError, match=problem) as raised:
        webhook_url(*arguments)
    assert "hunter2" not in str(raised.value)


# --- networks -----------------------------------------------------------------------------------------------------

INSIDE, OUTSIDE = "203.0.113.9", "198.51.100.9"
NETWORKS = ["203.0.113.0/24", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (INSIDE, True),
        ("203.0.113.255", True),
        ("2001:db8::1", True),
        ("::ffff:203.0.113.9", True),
        ("203.0.114.0", False),
        (OUTSIDE, False),
        ("2001:db9::1", False),
        ("::ffff:198.51.100.9", False),
        (None, False),
        ("", False),
        ("unix:", False),
        ("testclient", False),
        ("<local>", False),
    ],
)
def test_only_these_networks_may_post(host: str | None, allowed: bool) -> None:  # noqa: FBT001
    """By the address of the connection; where it has none, nobody may."""
    reply = Receiver(Dispatcher(), secret=SECRET, allow_from=NETWORKS).check(request(client_host=host))
    assert (None if allowed else 403) == (reply and reply.status)


FORWARDED: list[tuple[int, dict[str, str] | list[tuple[str, str]], bool]] = [
    # X-Forwarded-For, counted from the right
    (1, {"X-Forwarded-For": INSIDE}, True),
    (1, {"X-Forwarded-For": f"{OUTSIDE}, {INSIDE}"}, True),
    (1, {"X-Forwarded-For": f"{INSIDE}, {OUTSIDE}"}, False),
    (2, {"X-Forwarded-For": f"{INSIDE}, {OUTSIDE}"}, True),
    (2, {"X-Forwarded-For": f"{OUTSIDE}, {INSIDE}, 10.0.0.1"}, True),
    (2, {"X-Forwarded-For": f"{INSIDE}, {OUTSIDE}, 10.0.0.1"}, False),
    (1, [("X-Forwarded-For", OUTSIDE), ("x-forwarded-for", INSIDE)], True),
    (1, [("X-Forwarded-For", INSIDE), ("x-forwarded-for", OUTSIDE)], False),
    (2, [("X-Forwarded-For", INSIDE), ("x-forwarded-for", OUTSIDE)], True),
    (1, {"X-Forwarded-For": f"{INSIDE}:4711"}, True),
    (1, {"X-Forwarded-For": "[2001:db8::1]:443"}, True),
    (1, {"X-Forwarded-For": "2001:db8::1"}, True),
    (1, {"X-Forwarded-For": "::ffff:203.0.113.9"}, True),
    # missing, short or no addresses
    (1, {}, False),
    (2, {"X-Forwarded-For": INSIDE}, False),
    (1, {"X-Forwarded-For": ""}, False),
    (1, {"X-Forwarded-For": f"{INSIDE},"}, False),
    (1, {"X-Forwarded-For": f"{INSIDE}, unknown"}, False),
    (1, {"X-Forwarded-For": f"{INSIDE} {OUTSIDE}"}, False),
    (1, {"X-Forwarded-For": "203.0.113.009"}, False),
    (1, {"X-Real-IP": INSIDE}, False),
    # Forwarded, as in RFC 7239
    (1, {"Forwarded": f"for={INSIDE}"}, True),
    (1, {"Forwarded": f"proto=https;For={INSIDE};by=10.0.0.1;host=example.org"}, True),
    (1, {"Forwarded": f'for={OUTSIDE}, for="{INSIDE}:4711" ; proto=https'}, True),
    (1, {"Forwarded": 'for="[2001:db8::1]:4711"'}, True),
    (1, {"Forwarded": f"for={INSIDE}, for={OUTSIDE}"}, False),
    (2, {"Forwarded": f"for={INSIDE}, for={OUTSIDE}"}, True),
    (2, [("Forwarded", f"for={INSIDE}"), ("Forwarded", f"for={OUTSIDE}")], True),
    (1, {"Forwarded": f"for={INSIDE}, proto=https"}, False),
    (1, {"Forwarded": "for=unknown"}, False),
    (1, {"Forwarded": 'for="_hidden"'}, False),
    (2, {"Forwarded": f"for={INSIDE}"}, False),
    (1, {"Forwarded": ""}, False),
    (1, {"Forwarded": f"for={INSIDE},"}, False),
    (1, {"Forwarded": f"for={INSIDE};;"}, False),
    (1, {"Forwarded": INSIDE}, False),
    # a quotation mark left open does not swallow what the proxy adds
    (1, {"Forwarded": f'for={INSIDE};x=", for={OUTSIDE}'}, False),
    (1, {"Forwarded": f'for={INSIDE};x=", for="{OUTSIDE}"'}, False),
    (1, {"Forwarded": f'for={INSIDE};x="\\, for="{OUTSIDE}"'}, False),
    (1, [("Forwarded", f'for={INSIDE};x="'), ("Forwarded", f"for={OUTSIDE}")], False),
    # both headers: the proxy writes one of them, and the other one may be forged
    (1, {"X-Forwarded-For": INSIDE, "Forwarded": f"for={INSIDE}"}, True),
    (1, {"X-Forwarded-For": INSIDE, "Forwarded": f"for={OUTSIDE}"}, False),
    (1, {"X-Forwarded-For": OUTSIDE, "Forwarded": f"for={INSIDE}"}, False),
    (1, {"X-Forwarded-For": INSIDE, "Forwarded": "nonsense"}, False),
    (1, {"X-Forwarded-For": "nonsense", "Forwarded": f"for={INSIDE}"}, False),
]


@pytest.mark.parametrize(("proxies", "headers", "allowed"), FORWARDED)
def test_behind_proxies_their_entry_counts(proxies: int, headers: Any, allowed: bool) -> None:  # noqa: FBT001
    """The N-th from the right, never one that a client could have written, and none is a refusal."""
    receiver = Receiver(Dispatcher(), secret=SECRET, allow_from=NETWORKS, trusted_proxies=proxies)
    for connection in (INSIDE, OUTSIDE, None):  # the connection is the proxy's, and plays no part
        reply = receiver.check(request(client_host=connection, headers=headers))
        assert (None if allowed else 403) == (reply and reply.status)


@pytest.mark.parametrize(("_proxies", "headers", "_allowed"), FORWARDED)
def test_without_proxies_no_header_counts(_proxies: int, headers: Any, _allowed: bool) -> None:  # noqa: FBT001
    """Whoever writes what, the connection decides."""
    receiver = Receiver(Dispatcher(), secret=SECRET, allow_from=NETWORKS)
    assert receiver.check(request(client_host=INSIDE, headers=headers)) is None
    refused = receiver.check(request(client_host=OUTSIDE, headers=headers))
    assert 403 == (refused and refused.status)


ADDRESSES = st.one_of(st.ip_addresses().map(str), st.sampled_from([INSIDE, OUTSIDE, "unknown", "", '"', '\\"', "for="]))


@given(
    st.lists(ADDRESSES, max_size=5),
    st.ip_addresses(),
    st.integers(1, 3),
    st.sampled_from(["x-forwarded-for", "forwarded"]),
)
def test_nothing_that_a_client_sends_makes_it_another(forged: list[str], real: Any, proxies: int, name: str) -> None:
    """Whatever a client puts to the left of what the proxies add, its address is its own or not known."""
    own = getattr(real, "ipv4_mapped", None) or real
    assume(str(own) != INSIDE)
    added = [str(real), *["10.0.0.1"] * (proxies - 1)]
    if name == "forwarded":
        added = [f'for="[{each}]"' if ":" in each else f"for={each}" for each in added]
        forged = [f"for={each}" for each in forged]
    sent = request(headers=[(name, ", ".join([*forged, *added]))])
    refused = Receiver(Dispatcher(), secret=SECRET, allow_from=INSIDE, trusted_proxies=proxies).check(sent)
    assert 403 == (refused and refused.status)
    own_reply = Receiver(Dispatcher(), secret=SECRET, allow_from=str(own), trusted_proxies=proxies).check(sent)
    if name == "x-forwarded-for" or not any(mark in each for each in forged for mark in '"\\'):
        assert own_reply is None


def test_the_network_is_looked_at_before_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    """From elsewhere a right secret and a wrong one look the same; the log says where it was."""
    receiver = Receiver(Dispatcher(), secret=SECRET, allow_from=NETWORKS)
    with caplog.at_level(logging.INFO):
        replies = [receiver.check(request(path=path, client_host=OUTSIDE)) for path in (f"/{SECRET}", "/guess")]
    assert replies[0] == replies[1]
    assert replies[0] is not None
    assert {"error": "this address may not post webhooks"} == json.loads(replies[0].body)
    assert f"from {OUTSIDE}" in caplog.text
    with pytest.raises(UnauthorizedWebhookError, match="address"):
        receiver.authenticate(request(client_host=OUTSIDE))
    receiver.authenticate(request(client_host=INSIDE))


@pytest.mark.parametrize(
    "allow_from", ["203.0.113.0/24", ip_network("203.0.113.0/24"), iter([INSIDE]), {ip_network(INSIDE)}]
)
def test_networks_may_be_given_in_several_ways(allow_from: Any) -> None:
    """One or several, as texts or as the standard library's values; an address is a network of one."""
    receiver = Receiver(Dispatcher(), insecure=True, allow_from=allow_from)
    assert receiver.check(request(client_host=INSIDE)) is None
    assert receiver.check(request(client_host=OUTSIDE)) is not None
    assert "<Receiver of <Dispatcher with 0 handlers>, insecure, 1 networks>" == repr(receiver)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"allow_from": []}, "allow_from is empty"),
        ({"allow_from": "example.org"}, "not 'example.org'"),
        ({"allow_from": ["203.0.113.9/24"]}, "'203.0.113.9/24'.*host bits"),
        ({"allow_from": [3]}, "not 3: it is int"),
        ({"allow_from": 3}, "not 3: it is int"),
        ({"allow_from": b"\xcb\x00\x71\x09"}, "it is bytes"),
        ({"trusted_proxies": 1}, "pass allow_from, too"),
        ({"trusted_proxies": -1, "allow_from": NETWORKS}, "0 or more; got -1"),
        ({"trusted_proxies": True, "allow_from": NETWORKS}, "0 or more; got True"),
        ({"trusted_proxies": "1", "allow_from": NETWORKS}, "0 or more; got '1'"),
        ({"secret": "\ud800"}, "lone surrogate"),
    ],
)
def test_a_guard_set_up_wrongly_is_refused(options: dict[str, Any], problem: str) -> None:
    """Before any event has come."""
    with pytest.raises(ConfigurationError, match=problem):
        Receiver(Dispatcher(), **{"secret": SECRET, **options})


# --- logs ---------------------------------------------------------------------------------------------------------


@given(TEXTS.filter(lambda secret: len(secret) > 3), st.data())
@example("pä ß+/%日", None)
def test_a_known_secret_is_found_however_it_is_spelled(secret: str, data: Any) -> None:
    """Each letter may be percent-encoded or not, in capitals or not; non-ASCII ones read as Latin-1, as WSGI does."""
    spelled = []
    for letter in secret:
        encoded = "".join(f"%{byte:02X}" for byte in letter.encode())
        ways = [letter, encoded, encoded.lower(), letter.encode().decode("latin-1"), quote(letter, safe="")]
        spelled.append(data.draw(st.sampled_from(ways)) if data else encoded)
    text = f"POST /hooks/{''.join(spelled)} HTTP/1.1"
    assert "POST /hooks/[redacted] HTTP/1.1" == RedactSecrets([secret]).redact(text)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("GET /a?secret=guess&b=1 200", "GET /a?secret=[redacted]&b=1 200"),
        ("GET /a?b=1&token=guess 200", "GET /a?b=1&token=[redacted] 200"),
        ("token=guess", "token=[redacted]"),
        ('"/a?secret=guess" "-"', '"/a?secret=[redacted]" "-"'),
        ("/a?mysecret=yes&secrets=no", "/a?mysecret=yes&secrets=no"),
        ("authorization: Basic cGlkajpndWVzcw==", "authorization: Basic [redacted]"),
        ("the basic idea of Basic training", "the basic idea of Basic training"),
        ("GET /hooks/old-and-gone", "GET /hooks/old-and-gone"),
        ("/new-one-longer /new-one", "/[redacted] /[redacted]"),
        ("/abc /abcd /xabc", "/[redacted] /abcd /xabc"),
        ("100% of 5+5", "100% of 5+5"),
    ],
)
def test_other_secrets_are_found_where_secrets_stand(text: str, redacted: str) -> None:
    """In the query and in credentials, known or not; a short one only by itself; and the rest stays as it is."""
    assert redacted == RedactSecrets(["new-one", "new-one-longer", "abc"]).redact(text)


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    """A logger with the filter, and what it has written."""
    logger = logging.Logger("access")  # noqa: LOG001  # not one that the next test gets, too
    written = io.StringIO()
    logger.addHandler(logging.StreamHandler(written))
    redact_access_log(Receiver(Dispatcher(), secret=SECRET), logger)
    return logger, written


class Atoms(dict[str, Any]):
    """Like the mappings of servers, which answer to names that are not in them."""

    def __getitem__(self, name: str) -> Any:
        return dict.get(self, name, f"no {name}, but {SECRET}")


def test_records_of_all_shapes_lose_the_secret(log: tuple[logging.Logger, io.StringIO]) -> None:
    """In the message, in arguments of any type, in a server's own mapping, in extra fields; numbers stay numbers."""
    logger, written = log
    logger.info(f"GET /{SECRET}")  # noqa: G004
    logger.info("%s %d %.1f %s %s", f"/{SECRET}", 200, 0.5, None, urlsplit(f"https://x/{SECRET}"))
    logger.info("%(r)s %(s)d %({x}i)s", Atoms(r=f"GET /{SECRET}", s=200))
    logger.info(SECRET.encode())
    assert [
        "GET /[redacted]",
        "/[redacted] 200 0.5 None SplitResult(scheme='https', netloc='x', path='/[redacted]', query='', fragment='')",
        "GET /[redacted] 200 no {x}i, but [redacted]",
        "b'[redacted]'",
    ] == written.getvalue().splitlines()
    record = logging.makeLogRecord({"line": f"GET /{SECRET}", "header": {"Referer": f"/{SECRET}"}, "size": 5})
    assert logger.filter(record)
    assert ("GET /[redacted]", {"Referer": "/[redacted]"}, 5) == (record.line, record.header, record.size)  # type: ignore[attr-defined]


def test_the_mapping_of_a_record_can_be_looked_at(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Formatters that list the arguments see what was there, without the secret."""
    record = logging.LogRecord("x", logging.INFO, "", 0, "%(r)s", ({"r": f"/{SECRET}", "s": 200},), None)
    log[0].filter(record)
    assert isinstance(record.args, dict) is False
    assert {"r": "/[redacted]", "s": 200} == dict(record.args or {})  # type: ignore[arg-type]


def test_the_loggers_of_servers_are_covered_once() -> None:
    """All of `ACCESS_LOGGERS`, or the ones that are named; and the filter does not show what it looks for."""
    receiver = Receiver(Dispatcher(), secret=SECRET)
    loggers = [logging.getLogger(name) for name in ACCESS_LOGGERS]
    try:
        assert redact_access_log(receiver) is redact_access_log(receiver) is receiver.log_filter
        assert [1] * len(loggers) == [logger.filters.count(receiver.log_filter) for logger in loggers]
        redact_access_log(receiver, "my.proxy")
        assert [receiver.log_filter] == logging.getLogger("my.proxy").filters
        assert "<RedactSecrets>" == repr(receiver.log_filter)
    finally:
        for logger in [*loggers, logging.getLogger("my.proxy")]:
            logger.removeFilter(receiver.log_filter)
