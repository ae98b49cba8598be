"""``pidj webhooks secret``, ``send``, ``inbox`` and ``shapes``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import click
import pytest

from pidj_async.cli.masking import masked, masked_error
from pidj_async.cli.options import Moment
from pidj_async.cli.webhooks_send import _EVENTS
from pidj_async.store import Store
from pidj_async.webhooks import EVENT_TYPES, Dispatcher, Inbox, OptedOut, TextReceived, parse_event, sample
from tests.cli.conftest import Run

if TYPE_CHECKING:
    from click.testing import Result

SECRET = "s3cret-nobody-may-see-1"

OnInbox = Callable[[Callable[[Inbox], Awaitable[Any]]], Any]


# --- secret -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["basic", "path", "query"])
def test_secret_prints_a_secret_and_the_url_with_it(style: str, run: Run) -> None:
    """What goes into the environment and what is pasted at Pidj are printed bare, and there is one secret in both."""
    result = run("webhooks", "secret", "--url", "https://example.org/hooks", "--style", style)
    assert 0 == result.exit_code
    assignment, url = result.stdout.splitlines()
    name, _, secret = assignment.partition("=")
    assert ("PIDJ_WEBHOOK_SECRET", 32) == (name, len(secret))
    expected = {
        "basic": f"https://pidj:{secret}@example.org/hooks",
        "path": f"https://example.org/hooks/{secret}",
        "query": f"https://example.org/hooks?secret={secret}",
    }
    assert expected[style] == url
    assert secret not in result.stderr


def test_no_two_secrets_are_alike(run: Run) -> None:
    """With ``--json`` it is one document."""
    made = [json.loads(run("webhooks", "secret", "--json").stdout) for _ in range(2)]
    assert made[0]["secret"] != made[1]["secret"]
    assert all(one["secret"] in one["url"] for one in made)


def test_a_base_that_is_no_url_is_refused(run: Run) -> None:
    """The error says what to write."""
    result = run("webhooks", "secret", "--url", "example.org")
    assert (2, "") == (result.exit_code, result.stdout)
    assert "base must be the URL of a host" in result.stderr


# --- send ---------------------------------------------------------------------------------------------------------


class Taker:
    """A server that answers as told, and remembers what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, str | None, bytes]] = []
        taker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taker.got.append((self.path, self.headers["Authorization"], body))
                if not taker.status:
                    return
                self.send_response(taker.status)
                self.end_headers()
                self.wfile.write(b"so be it, +18885553333")

            def log_message(self, *_: Any) -> None:
                """Quietly."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"


@pytest.fixture
def taker() -> Generator[Taker]:
    made = Taker()
    thread = Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_send_knows_every_event() -> None:
    """The nine of the command are the nine of the package."""
    assert list(EVENT_TYPES) == list(_EVENTS)


@pytest.mark.parametrize("event", EVENT_TYPES)
def test_send_posts_each_event(event: str, run: Run, taker: Taker) -> None:
    """The sample is posted as JSON, and says what it is."""
    result = run("webhooks", "send", event, taker.url)
    assert (0, "HTTP 200: so be it, +188******33\n", "") == (result.exit_code, result.stdout, result.stderr)
    assert [sample(event)] == [json.loads(body) for _, _, body in taker.got]


def test_send_puts_other_values_into_the_sample(run: Run, taker: Taker) -> None:
    """``NAME=TEXT`` is always a text, ``NAME:=JSON`` anything; both reach as deep as need be."""
    fields = ("text.message=12", "text.contact:=null", "text.group.name=a=b", "new.thing:=[1]")
    run("webhooks", "send", "text-received", taker.url, *(part for one in fields for part in ("--field", one)))
    body = json.loads(taker.got[0][2])
    expected = {"message": "12", "contact": None, "group": {"name": "a=b"}}
    assert sample("text-received", text=expected, new={"thing": [1]}) == body


@pytest.mark.parametrize("field", ["nonsense", "=x", "a..b=x", "a:=nonsense"])
def test_send_refuses_a_field_it_cannot_read(field: str, run: Run, taker: Taker) -> None:
    """Nothing is sent then."""
    result = run("webhooks", "send", "opt-out", taker.url, "--field", field)
    assert (2, []) == (result.exit_code, taker.got)


BASIC = "Basic cGlkajpzM2NyZXQtbm9ib2R5LW1heS1zZWUtMQ=="


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        ((), "", None),
        (("--secret", SECRET), "", BASIC),
        ((), f"{SECRET} another-secret-of-theirs", BASIC),
        (("--secret", SECRET), "another-secret-of-theirs", BASIC),
    ],
)
def test_send_takes_the_secret_from_where_it_is(
    arguments: tuple[str, ...], env: str, expected: str | None, run: Run, taker: Taker
) -> None:
    """The option goes before the environment, of which the first one counts; it goes as HTTP Basic."""
    result = run("webhooks", "send", "opt-out", taker.url, *arguments, PIDJ_WEBHOOK_SECRET=env)
    assert [("/hooks", expected)] == [(path, authorization) for path, authorization, _ in taker.got]
    assert SECRET not in result.output


def test_a_secret_in_the_url_is_enough(run: Run, taker: Taker) -> None:
    """What ``secret`` has made can be pasted here, too; two of them are one too many."""
    url = taker.url.replace("//", f"//pidj:{SECRET}@")
    assert 0 == run("webhooks", "send", "opt-out", url, PIDJ_WEBHOOK_SECRET="another-secret-of-theirs").exit_code
    assert [BASIC] == [authorization for _, authorization, _ in taker.got]
    both = run("webhooks", "send", "opt-out", url, "--secret", "another-secret-of-theirs")
    assert (2, 1) == (both.exit_code, len(taker.got))


@pytest.mark.parametrize(
    ("status", "code"), [(204, 0), (302, 9), (400, 3), (401, 4), (403, 4), (404, 5), (429, 8), (500, 7), (0, 7)]
)
@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_send_ends_as_a_call_does(status: int, code: int, json_flag: tuple[str, ...], run: Run, taker: Taker) -> None:
    """The code is that of the receiver's answer; the secret is not shown, wherever in the URL it is."""
    taker.status = status
    url = taker.url.replace("//", f"//pidj:{SECRET}@") + f"/{SECRET}?secret={SECRET}"
    result = run("webhooks", "send", "opt-out", url, *json_flag)
    assert code == result.exit_code
    assert not any(private in result.output for private in (SECRET, "+18885553333")) or not code
    if code and json_flag:
        assert ("webhooks send", code) == tuple(
            json.loads(result.stderr)["error"][key] for key in ("endpoint", "exit_code")
        )
    elif json_flag:
        assert status == json.loads(result.stdout)["status_code"]


def test_send_says_when_nobody_is_there(run: Run, taker: Taker) -> None:
    """A refused connection is proven not sent."""
    port = urlsplit(taker.url).port
    result = run("webhooks", "send", "opt-out", f"http://pidj:{SECRET}@127.0.0.2:{port}/")
    assert 6 == result.exit_code
    assert "webhooks send: could not connect to 127.0.0.2" in result.stderr


@pytest.mark.parametrize(
    "url", ["nowhere", f"ftp://pidj:{SECRET}@x/", f"http://pidj:{SECRET}@[x/", f"http://:{SECRET}@:0"]
)
def test_send_refuses_what_is_no_address(url: str, run: Run) -> None:
    """Without quoting it."""
    result = run("webhooks", "send", "opt-out", url)
    assert 2 == result.exit_code
    assert "URL must be the http or https address of a receiver" in result.stderr
    assert SECRET not in result.output


# --- inbox --------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'pidj.db'}"


@pytest.fixture
def on_inbox(url: str) -> OnInbox:
    def on_inbox(work: Callable[[Inbox], Awaitable[Any]]) -> Any:
        async def go() -> Any:
            async with Store(url) as store:
                return await work(Inbox(store, max_attempts=1))

        return anyio.run(go)

    return on_inbox


def body(message: str) -> bytes:
    return json.dumps(sample("text-received", text={"message": message})).encode()


@pytest.fixture
def inbox(run: Run, url: str, on_inbox: OnInbox) -> Callable[..., Result]:
    """An inbox with five events: handled, dead, handled with an opt-out, handled and unknown, pending."""
    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def answer(event: TextReceived) -> None:
        if event.message == "boom":
            msg = f"{event.phone_from} says {event.message}"
            raise ValueError(msg)

    @dispatcher.on(OptedOut)
    async def forget(_: OptedOut) -> None:
        """Nothing to do."""

    async def fill(inbox: Inbox) -> None:
        await inbox.put(body("Hello there"))
        await inbox.put(body("boom"))
        await inbox.put(json.dumps(sample("opt-out")).encode())
        await inbox.put(b'{"event": "new-thing", "nickname": "Jo", "+1 888 555 3333": 7}')
        await inbox.drain(dispatcher)
        await inbox.put(body("later"))

    on_inbox(fill)

    def call(*arguments: str) -> Result:
        return run("webhooks", *arguments, "--store", url)

    return call


def listed(result: Result) -> list[int]:
    return [one["id"] for one in json.loads(result.stdout)]


NAMES = {"event", "id", "phone_number", "received_at", "state"}


def test_list_shows_the_newest_first_and_masks(inbox: Callable[..., Result]) -> None:
    """A table for people and an array for programs; neither tells whom events are about, unless asked to."""
    plain = inbox("inbox", "list")
    assert 0 == plain.exit_code
    assert not any(private in plain.stdout for private in ("+18885553333", "boom", "Hello"))
    assert "ValueError …" in plain.stdout
    found = json.loads(inbox("inbox", "list", "--json").stdout)
    assert [5, 4, 3, 2, 1] == [one["id"] for one in found]
    assert ["pending", "handled", "handled", "dead", "handled"] == [one["state"] for one in found]
    assert {"+188******33", None} == {one["phone_number"] for one in found}
    whole = inbox("inbox", "list", "--unmask").stdout
    assert "+18885553333" in whole
    assert "ValueError: +188******33 says boom" in whole


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--state", "dead"), [2]),
        (("--event", "text-received"), [5, 2, 1]),
        (("--event", "text-received", "--state", "handled"), [1]),
        (("--phone-number", "+18885553333"), [5, 3, 2, 1]),
        (("--phone-number", "(888) 555-3333"), [5, 3, 2, 1]),
        (("--since", "1h"), [5, 4, 3, 2, 1]),
        (("--until", "1h"), []),
        (("--since", "2999-01-01"), []),
        (("--limit", "2"), [5, 4]),
        (("--limit", "2", "--before", "4"), [3, 2]),
    ],
)
def test_list_finds_what_fulfils_all_that_is_given(
    arguments: tuple[str, ...], expected: list[int], inbox: Callable[..., Result]
) -> None:
    """By state, name, number, time and page."""
    assert expected == listed(inbox("inbox", "list", "--json", *arguments))


def test_a_full_page_says_how_to_get_the_next(inbox: Callable[..., Result]) -> None:
    """On standard error, so that the table stays what it is."""
    assert "--before 4" in inbox("inbox", "list", "--limit", "2").stderr
    assert "" == inbox("inbox", "list").stderr


def test_dead_lists_the_dead(inbox: Callable[..., Result]) -> None:
    """Only those."""
    assert [2] == listed(inbox("inbox", "dead", "--json"))
    assert "No dead events.\n" == inbox("inbox", "dead", "--before", "2").stdout


def test_show_tells_everything_masked(inbox: Callable[..., Result]) -> None:
    """The body is there with all its fields, and of what somebody wrote only the length."""
    shown = json.loads(inbox("inbox", "show", "1", "--json").stdout)
    assert "<11 characters>" == shown["body"]["text"]["message"]
    assert sample("text-received")["text"]["contact"]["uuid"] == shown["body"]["text"]["contact"]["uuid"]
    assert "Maria" not in json.dumps(shown)
    whole = json.loads(inbox("inbox", "show", "1", "--json", "--unmask").stdout)
    assert sample("text-received", text={"message": "Hello there"}) == whole["body"]
    assert "<11 characters>" in inbox("inbox", "show", "1").stdout
    assert "Hello there" in inbox("inbox", "show", "1", "--unmask").stdout


def test_show_masks_the_names_of_fields(inbox: Callable[..., Result]) -> None:
    """Whoever keys a body by phone numbers does not have them shown."""
    shown = json.loads(inbox("inbox", "show", "4", "--json").stdout)
    assert {"event": "new-thing", "nickname": "<2 characters>", "+1 8*********33": 7} == shown["body"]


def test_what_is_not_there_is_5(inbox: Callable[..., Result]) -> None:
    """The code says that there is no such thing."""
    result = inbox("inbox", "show", "99")
    assert (5, "", "pidj: there is no event 99 in the inbox\n") == (result.exit_code, result.stdout, result.stderr)
    error = json.loads(inbox("inbox", "show", "99", "--json").stderr)["error"]
    assert ("NothingFoundError", 5) == (error["type"], error["exit_code"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("1",), [1]),
        (("1", "3"), [3, 1]),
        (("--state", "handled"), [4, 3, 1]),
        (("--event", "text-received", "--since", "1h"), [5, 2, 1]),
        (("--phone-number", "+18885553333", "--until", "1h"), []),
    ],
)
def test_replay_makes_them_pending_again(
    arguments: tuple[str, ...], expected: list[int], inbox: Callable[..., Result]
) -> None:
    """By id or by what they are; a dry run changes nothing."""
    before = inbox("inbox", "list", "--json").stdout
    assert expected == listed(inbox("inbox", "replay", "--json", "--dry-run", *arguments))
    assert before == inbox("inbox", "list", "--json").stdout
    assert expected == listed(inbox("inbox", "replay", "--json", *arguments))
    pending = set(listed(inbox("inbox", "list", "--json", "--state", "pending")))
    assert {5, *expected} == pending


def test_replay_wants_to_know_which(inbox: Callable[..., Result]) -> None:
    """Everything at once is not what somebody means who says nothing."""
    result = inbox("inbox", "replay")
    assert 2 == result.exit_code
    assert "say which events: their ids, or --state" in result.stderr


def test_replay_tells_what_it_left_out(inbox: Callable[..., Result]) -> None:
    """The others are done all the same; the code is 5."""
    result = inbox("inbox", "replay", "1", "77", "--json")
    assert (5, [1]) == (result.exit_code, listed(result))
    assert "left out: 77." in json.loads(result.stderr)["error"]["message"]


def test_retry_takes_up_the_dead_only(inbox: Callable[..., Result]) -> None:
    """All of them, or those that are named and dead."""
    assert [2] == listed(inbox("inbox", "retry", "--dry-run", "--json"))
    refused = inbox("inbox", "retry", "1", "--json")
    assert (5, []) == (refused.exit_code, listed(refused))
    done = inbox("inbox", "retry")
    assert (0, "1 will be handled again.\n") == (done.exit_code, done.stderr)
    assert [] == listed(inbox("inbox", "dead", "--json"))


def test_prune_deletes_old_events_if_told_so(inbox: Callable[..., Result], on_inbox: OnInbox) -> None:
    """Only what has been handled, and only with ``--yes``; the dead and the pending stay."""
    assert "0 events would be deleted; say --yes to do it.\n" == inbox("inbox", "prune", "--older-than", "1h").stdout
    assert "3 events would be deleted; say --yes to do it.\n" == inbox("inbox", "prune", "--older-than", "0s").stdout
    assert 5 == len(listed(inbox("inbox", "list", "--json")))
    done = json.loads(inbox("inbox", "prune", "--older-than", "0s", "--yes", "--json").stdout)
    assert (3, True) == (done["count"], done["deleted"])
    assert [5, 2] == listed(inbox("inbox", "list", "--json"))
    assert "0 events deleted.\n" == inbox("inbox", "prune", "--older-than", "0s", "--yes").stdout
    assert {"dead": 1, "pending": 1} == {state: n for state, n in on_inbox(Inbox.counts).items() if n}


def test_prune_wants_to_know_how_old(inbox: Callable[..., Result]) -> None:
    """There is no age at which events are worth nothing to everybody."""
    result = inbox("inbox", "prune", "--yes")
    assert (2, True) == (result.exit_code, "--older-than" in result.stderr)


def test_shapes_shows_what_has_no_name(inbox: Callable[..., Result]) -> None:
    """Events and fields with their counts, and never a value."""
    found = json.loads(inbox("shapes", "--json").stdout)
    assert [{"name": "new-thing", "count": 1}] == found["unknown_events"]
    fields = {(one["path"], one["type"], one["count"]) for one in found["unknown_fields"]}
    assert ("nickname", "string", 1) in fields
    plain = inbox("shapes").stdout
    assert "new-thing" in plain
    assert "nickname" in plain
    assert "888 555 3333" not in plain
    assert "Jo" not in plain


@pytest.mark.parametrize(
    "arguments", [("inbox", "list"), ("inbox", "show", "1"), ("inbox", "retry"), ("inbox", "replay", "1"), ("shapes",)]
)
def test_looking_makes_no_store(arguments: tuple[str, ...], run: Run, url: str, tmp_path: Path) -> None:
    """A mistyped path is an error, and not an empty store."""
    result = run("webhooks", *arguments, "--store", url)
    assert 2 == result.exit_code
    assert "there is no store at " in result.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_stores_password_is_not_shown(run: Run) -> None:
    """Neither of the option nor of the environment, also if the database cannot be reached."""
    database = f"postgresql://pidj:{SECRET}@127.0.0.1:9/pidj"
    for given in ({}, {"PIDJ_STORE": database}):
        option = () if given else ("--store", database)
        for json_flag in ((), ("--json",)):
            result = run("webhooks", "inbox", "list", *option, *json_flag, **given)
            assert 10 == result.exit_code
            assert SECRET not in result.output


# --- what they share ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T18:00:00+01:00", datetime(2026, 1, 31, 17, tzinfo=UTC)),
        ("2026-01-31T18:00:00Z", datetime(2026, 1, 31, 18, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31).astimezone()),
    ],
)
def test_a_time_without_a_zone_is_local(text: str, expected: datetime) -> None:
    """Who sits at a terminal means their own clock."""
    assert expected == Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "ago"), [("90s", timedelta(seconds=90)), ("5 m", timedelta(minutes=5)), ("2w", timedelta(weeks=2))]
)
def test_a_time_may_be_how_long_ago(text: str, ago: timedelta) -> None:
    """Seconds, minutes, hours, days, weeks."""
    before = datetime.now(UTC)
    assert before - ago <= Moment().convert(text, None, None) <= datetime.now(UTC) - ago


@pytest.mark.parametrize("text", ["yesterday", "5y", "", "2026-13-01", "999999w"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """The error shows both ways to write one."""
    with pytest.raises(click.BadParameter, match="2h for two hours ago"):
        Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("error", "state", "expected"),
    [
        ("shop.answer: ValueError: Jo says hi; shop.b: KeyError: Jo", "dead", "shop.answer: ValueError …"),
        ("shop.make.<locals>.answer: TimeoutError", "pending", "shop.make.<locals>.answer: TimeoutError"),
        ("the handlers took longer than 3 seconds", "dead", "the handlers took longer than 3 seconds"),
        ("ValueError: Jo", "quarantined", "ValueError"),
        ("Jo says hi", "dead", "<10 characters> …"),
    ],
)
def test_of_an_error_only_the_culprit_is_shown(error: str, state: str, expected: str) -> None:
    """An exception's own words may quote the event."""
    assert expected == masked_error(error, state)


def test_masking_leaves_nothing_of_anybody() -> None:
    """Of all nine samples only names, ids and what Pidj says of itself are left whole."""
    for name in EVENT_TYPES:
        text = json.dumps(masked(dict(parse_event(json.dumps(sample(name))).raw)))
        assert not any(private in text for private in ("+1888555", "Maria", "Bakery", "example.com", "crm-", "Spanish"))
        assert f'"event": "{name}"' in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": "18885553333"}, {"id": "<11 characters>"}),
        ({"id": 18885553333}, {"id": "<number>"}),
        ({"channel": "text", "timezone": "call me at home"}, {"channel": "text", "timezone": "<15 characters>"}),
        ({"a": [{"phone": "+18885553333"}, True, 7, None]}, {"a": [{"phone": "+188******33"}, True, 7, None]}),
    ],
)
def test_masking_trusts_no_name(value: Any, expected: Any) -> None:
    """A field that is called an id is shown only if it looks like one."""
    assert expected == masked(value)
