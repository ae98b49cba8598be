"""The client: retries, deadline, and what it says of a call that failed."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from pidj_async import (
    NO_RETRIES,
    ConfigurationError,
    NotSentError,
    OutcomeUnknownError,
    Pidj,
    Progress,
    RateLimitError,
    ResponseError,
    RetryBudget,
    RetryPolicy,
    SendText,
    ServerError,
)
from pidj_async.retries import Backoff
from tests.recorder import Recorder
from tests.scripted import Scripted, Step, hangs, lost, not_sent, replies

pytestmark = pytest.mark.anyio

TOKEN = "a-token-nobody-may-see"
FAST = RetryPolicy(max_attempts=3, initial_delay=0.0, max_delay=0.0, max_retry_after=0.0)
TEXT = SendText(to_number="+18885553333", text_body="Hi", group_id="gr:1")


def client(*steps: Step, **options: Any) -> tuple[Pidj, Scripted]:
    transport = Scripted(*steps)
    options = {"retry": FAST, **options}
    return Pidj(account_key="key", token=TOKEN, transport=transport, **options), transport


# ------------------------------------------------------------------------------------------------------------ retries


async def test_a_text_that_was_not_sent_is_tried_again() -> None:
    """Proven not sent: repeating is harmless, even for a call that is not safe to repeat."""
    pidj, transport = client(not_sent, not_sent, replies())

    assert (await pidj.call(TEXT)).attempts == 3
    assert len(transport.requests) == 3


@pytest.mark.parametrize("step", [lost, replies(500), replies(503, {"retry-after": "0"})])
async def test_a_text_whose_outcome_is_unknown_is_never_sent_again(step: Step) -> None:
    """One request on the wire, whatever the policy would have allowed."""
    pidj, transport = client(step, replies())

    with pytest.raises((OutcomeUnknownError, ServerError)) as raised:
        await pidj.execute(TEXT)

    assert len(transport.requests) == 1
    assert (raised.value.attempts, raised.value.endpoint) == (1, "messages.send")


@pytest.mark.parametrize("step", [lost, replies(500), not_sent, replies(429)])
async def test_a_call_that_is_safe_to_repeat_survives_any_of_them(step: Step) -> None:
    """A list is simply asked for again."""
    pidj, transport = client(step, step, replies(groups=[]))

    assert await pidj.groups.list() == ()
    assert len(transport.requests) == 3


async def test_an_answer_is_not_asked_for_twice() -> None:
    """A reply that cannot be used would be none the next time either."""
    pidj, transport = client(replies(204))
    with pytest.raises(ResponseError):
        await pidj.groups.list()
    assert len(transport.requests) == 1


async def test_a_failure_after_an_unknown_one_stays_unknown() -> None:
    """The last try was refused at the door, but an earlier one may have been acted on: never "not sent"."""
    pidj, _ = client(lost, not_sent)

    with pytest.raises(OutcomeUnknownError, match="an earlier try may have been acted on") as raised:
        await pidj.contacts.delete("co:1")

    assert raised.value.attempts == 3


async def test_retry_after_is_waited_for_but_not_beyond_the_cap() -> None:
    """An absurd Retry-After costs max_retry_after, no more."""
    waits: list[Backoff | None] = []
    policy = RetryPolicy(max_attempts=2, initial_delay=0.0, max_retry_after=0.01)

    def spy(*arguments: Any) -> Backoff | None:
        waits.append(policy(*arguments))
        return waits[-1]

    pidj, _ = client(replies(429, {"retry-after": "999999999"}), retry=spy)
    with pytest.raises(RateLimitError) as raised:
        await pidj.execute(TEXT)

    assert raised.value.retry_after == 999999999
    assert waits == [Backoff(0.01, 0.01), None]


async def test_the_budget_stops_retries_in_an_outage() -> None:
    """Ten calls share three tokens: thirteen requests, not thirty."""
    pidj, transport = client(not_sent, retry_budget=RetryBudget(capacity=3))

    for _ in range(10):
        with pytest.raises(NotSentError):
            await pidj.execute(TEXT)

    assert len(transport.requests) == 13


async def test_a_budget_can_be_shared() -> None:
    """Two clients with one budget draw on the same tokens."""
    budget = RetryBudget(capacity=1)
    first, one = client(not_sent, retry_budget=budget)
    second, two = client(not_sent, retry_budget=budget)

    for pidj in (first, second):
        with pytest.raises(NotSentError):
            await pidj.execute(TEXT)

    assert (len(one.requests), len(two.requests)) == (2, 1)


# ----------------------------------------------------------------------------------------------------------- deadline


@pytest.mark.parametrize(("started", "error"), [(False, NotSentError), (True, OutcomeUnknownError)])
async def test_the_deadline_tells_whether_the_request_had_been_started(
    started: bool,  # noqa: FBT001
    error: type[Exception],
) -> None:
    """Out of time before the first byte is "not sent"; after it, "unknown"."""
    pidj, _ = client(hangs(started=started), deadline=0.02)

    with pytest.raises(error, match="deadline") as raised:
        await pidj.execute(TEXT)

    assert raised.value.endpoint == "messages.send"  # type: ignore[attr-defined]
    assert raised.value.attempts == 1  # type: ignore[attr-defined]


async def test_the_deadline_remembers_an_earlier_unknown_try() -> None:
    """The second try has not begun when time runs out, but the first may have been acted on."""
    pidj, _ = client(lost, hangs(started=False), deadline=0.05)

    with pytest.raises(OutcomeUnknownError):
        await pidj.contacts.delete("co:1")


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    """The error of the try tells more than a deadline that was bound to pass."""
    pidj, transport = client(replies(429, {"retry-after": "30"}), retry=RetryPolicy(), deadline=1.0)

    with pytest.raises(RateLimitError):
        await pidj.execute(TEXT)

    assert len(transport.requests) == 1


# -------------------------------------------------------------------------------------------------------- cancellation


@pytest.mark.parametrize("started", [False, True])
async def test_progress_outlives_cancellation(started: bool) -> None:  # noqa: FBT001
    """Whoever cancels a call can see whether it may have been acted on."""
    pidj, _ = client(hangs(started=started))
    progress = Progress()

    with anyio.move_on_after(0.02) as scope:
        await pidj.execute(TEXT, progress=progress)

    assert scope.cancelled_caught
    assert (progress.request_started, progress.attempts) == (started, 1)


# --------------------------------------------------------------------------------------------------- the reply, raw


async def test_call_gives_the_whole_envelope() -> None:
    """What has no name in the result stays reachable."""
    pidj, _ = client(replies(new_field=[1], headers_too=True, status="queued"))

    reply = await pidj.call(TEXT)

    assert reply.result.status == "queued"
    assert reply.envelope["new_field"] == [1]
    assert reply.result.extra["new_field"] == [1]


# ------------------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    ("base_url", "problem"),
    [
        ("http://gopidj.com/api/2020", "must be https"),
        ("http://127.0.0.1.example.com/", "must be https"),
        ("ftp://gopidj.com/", "absolute http or https"),
        ("gopidj.com/api/2020", "absolute http or https"),
        ("https://user:pass@gopidj.com/", "no credentials"),
        ("https://gopidj.com/?a=b", "no credentials, query"),
        ("https://gopidj.com:99999/", "absolute http or https"),
        ("https://gopidj.com/a b", "printable ASCII"),
    ],
)
def test_a_base_url_that_is_not_safe_is_refused(base_url: str, problem: str) -> None:
    """The token must not travel in the clear or to a place that was not meant."""
    with pytest.raises(ConfigurationError, match=problem) as raised:
        Pidj(account_key="key", token=TOKEN, base_url=base_url)
    assert "pass@" not in str(raised.value)


@pytest.mark.parametrize("base_url", ["http://localhost:8000/api/2020", "http://127.0.0.9/", "http://[::1]:80/x"])
def test_http_is_taken_on_loopback(base_url: str) -> None:
    """A sandbox needs no certificate."""
    assert Pidj(account_key="key", token=TOKEN, base_url=base_url).base_url == base_url.rstrip("/")


@pytest.mark.parametrize(
    "wrong",
    [
        {"account_key": ""},
        {"token": " padded "},
        {"token": "two\nlines"},
        {"account_key": "a:b"},
        {"deadline": 0},
        {"deadline": -1},
        {"user_agent": "evil\r\nX: y"},
        {"transport": "carrier-pigeon"},
    ],
)
def test_an_option_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    """At once, with its name, and without showing a secret."""
    with pytest.raises(ConfigurationError) as raised:
        Pidj(**{"account_key": "key", "token": TOKEN, **wrong})
    assert TOKEN not in str(raised.value)
    assert "padded" not in str(raised.value)


def test_from_env_names_what_is_missing() -> None:
    """The message says which variable to set."""
    with pytest.raises(ConfigurationError, match=r"^PIDJ_TOKEN must be set"):
        Pidj.from_env({"PIDJ_ACCOUNT_KEY": "key"})


async def test_from_env_reads_all_three() -> None:
    """Key, token and address."""
    with Recorder() as recorder:
        environ = {"PIDJ_ACCOUNT_KEY": "k", "PIDJ_TOKEN": "t", "PIDJ_BASE_URL": recorder.base_url}
        async with Pidj.from_env(environ, user_agent="my-app/1") as pidj:
            await pidj.check_authorization()

    assert recorder.requests[0].headers["authorization"] == "Basic azp0"
    assert recorder.requests[0].headers["user-agent"].startswith("my-app/1 pidj-async/")


async def test_with_options_shares_the_connections_and_not_the_options() -> None:
    """A derived client has its own retries and deadline, and is not the one that closes."""
    pidj, transport = client(not_sent)
    once = pidj.with_options(retry=NO_RETRIES, deadline=None)

    with pytest.raises(NotSentError):
        await once.messages.send(to_number="+18885553333", text_body="Hi", group_id="gr:1")
    assert len(transport.requests) == 1
    with pytest.raises(NotSentError):
        await pidj.execute(TEXT)
    assert len(transport.requests) == 4


# ------------------------------------------------------------------------------------------------------------ closing


def test_a_transport_without_a_name_goes_by_that_of_its_class() -> None:
    """A fake in a test need not have one."""
    pidj, _ = client(replies())
    assert "Scripted" == pidj.transport_name


async def test_a_callers_transport_is_not_closed() -> None:
    """Who made it closes it."""
    pidj, transport = client(replies())
    async with pidj:
        await pidj.execute(TEXT)
    assert transport.closed == 0


async def test_a_closed_client_sends_nothing() -> None:
    """Neither does one derived from it, and both say so."""
    with Recorder() as recorder:
        pidj = Pidj(account_key="key", token=TOKEN, base_url=recorder.base_url, retry=NO_RETRIES)
        derived = pidj.with_options(deadline=1)
        async with pidj:
            pass
        for closed in (pidj, derived):
            with pytest.raises(NotSentError, match="closed"):
                await closed.check_authorization()
    assert recorder.requests == []


# ------------------------------------------------------------------------------------------------------------ secrets


async def test_nothing_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """Not the client, its parts, its requests, its errors, nor its log, even if the server repeats it."""
    caplog.set_level(logging.DEBUG)
    pidj, transport = client(
        replies(429, message=f"who is {TOKEN}?"), replies(400, message=f"who is {TOKEN}?", **{TOKEN: [TOKEN]})
    )
    with pytest.raises(Exception, match="who is") as raised:
        await pidj.execute(TEXT)

    shown = [
        repr(pidj),
        repr(pidj.messages),
        repr(transport.requests),
        repr(raised.value),
        str(raised.value),
        repr(vars(raised.value)),
        caplog.text,
    ]
    assert [text for text in shown if TOKEN in text or "Basic" in text] == []


async def test_a_password_that_the_server_repeats_is_taken_out() -> None:
    """A secret of the request is as secret as the token."""
    pidj, _ = client(replies(400, message="hunter2-hunter2 is too weak", status="failure"))

    with pytest.raises(Exception, match="too weak") as raised:
        await pidj.users.create(username="jo", password="hunter2-hunter2")

    assert "hunter2" not in str(raised.value) + repr(vars(raised.value))


async def test_an_sso_url_is_in_no_error() -> None:
    """The reply of sso.create_url is a secret, also when it is a refusal."""
    url = "https://gopidj.com/sso/eyJhbGci"
    pidj, _ = client(replies(400, message=f"use {url}", url=url))

    with pytest.raises(Exception, match="400") as raised:
        await pidj.sso.create_url(external_id="e-1")

    assert url not in str(raised.value) + repr(vars(raised.value))
