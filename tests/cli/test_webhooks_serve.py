"""``pidj webhooks serve``, ``listen`` and ``pidj worker``, as processes over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pidj_async.cli.serving import run_until_stopped
from pidj_async.errors import ConfigurationError
from pidj_async.webhooks import sample
from tests.cli.conftest import Run
from tests.cli.test_program import PIDJ, posix
from tests.cli.test_sandbox import json_document

SECRET = "s3cret-nobody-may-see-1"
OTHER = "an0ther-nobody-may-see"
WRONG = "wr0ng-but-still-private"

APP = """
import os, pathlib, anyio
from pidj_async.webhooks import Dispatcher, Event, TextReceived

dispatcher = Dispatcher()
seen = pathlib.Path(os.environ["SEEN"])

@dispatcher.on(TextReceived)
async def answer(event: TextReceived) -> None:
    if event.message == "boom":
        raise ValueError(f"{event.phone_from} says {event.message}")
    if event.message == "slow":
        seen.with_name("begun").touch()
        while not seen.with_name("go").exists():
            await anyio.sleep(0.01)
    with seen.open("a") as file:
        file.write(event.message + "\\n")

class Inner:
    dispatcher = dispatcher

nothing = None
"""


class Process:
    """A ``pidj`` that has said what it has to say at its start."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        assert process.stdout is not None
        self.stdout = process.stdout
        self.told: Any = None

    def end(self, how: signal.Signals = signal.SIGTERM) -> str:
        """Stop it, and return what it wrote in the end."""
        self.process.send_signal(how)
        rest, _ = self.process.communicate(timeout=60)
        return rest + self.log.read_text()


Start = Callable[..., Process]


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen.txt"


@pytest.fixture
def start(tmp_path: Path, seen: Path) -> Generator[Start]:
    """Start ``pidj`` in an empty directory with an application in it."""
    (tmp_path / "shop.py").write_text(APP)
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **env: str) -> Process:
        log = tmp_path / f"{len(started)}.log"
        paths = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
        settings = {"SEEN": str(seen), "PIDJ_WEBHOOK_SECRET": SECRET, "PIDJ_STORE": "", "PYTHONPATH": paths} | env
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [*PIDJ, *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
                cwd=tmp_path,
                env=os.environ | {"PYTHONIOENCODING": "utf-8"} | settings,
            )
        started.append(process)
        return Process(process, log)

    yield start
    for each in started:
        if each.poll() is None:
            each.kill()
        each.communicate(timeout=60)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'pidj.db'}"


def serving(start: Start, *arguments: str, **env: str) -> Process:
    process = start("webhooks", "serve", "shop:dispatcher", "--port", "0", "--json", *arguments, **env)
    process.told = json_document(process.process)
    return process


def listening(start: Start, *arguments: str, **env: str) -> Process:
    process = start("webhooks", "listen", "--port", "0", "--json", *arguments, **env)
    process.told = json.loads(process.stdout.readline())
    return process


def post(url: str, secret: str | None = SECRET, message: str = "Hi") -> int:
    auth = None if secret is None else ("pidj", secret)
    return httpx.post(url, json=sample("text-received", text={"message": message}), auth=auth).status_code


def drained(run: Run, store: str) -> list[dict[str, Any]]:
    """The inbox, as soon as a worker is through with it; pytest's timeout bounds the wait."""
    while True:
        events: list[dict[str, Any]] = json.loads(run("webhooks", "inbox", "list", "--store", store, "--json").stdout)
        if events and all(each["state"] in {"handled", "skipped", "dead"} for each in events):
            return events


@posix
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_what_is_sent_is_stored_and_handled(
    ending: signal.Signals, start: Start, run: Run, seen: Path, store: str
) -> None:
    """``serve`` and ``send`` go together, the inbox shows the event, and a signal ends the server with 0."""
    server = serving(start)
    assert store.rpartition("/")[2] == server.told["store"].rpartition("/")[2]
    sent = run(
        *("webhooks", "send", "text-received", server.told["url"], "--field", "text.message=Hello there"),
        PIDJ_WEBHOOK_SECRET=SECRET,
    )
    assert (0, 'HTTP 200: {"status": "stored"}\n') == (sent.exit_code, sent.stdout)
    events = drained(run, store)
    assert [(1, "text-received", "handled", "+188******33")] == [
        (one["id"], one["event"], one["state"], one["phone_number"]) for one in events
    ]
    assert "Hello there\n" == seen.read_text()
    log = server.end(ending)
    assert 0 == server.process.returncode
    assert "Traceback" not in log


@posix
@pytest.mark.parametrize("inbox", [(), ("--no-inbox",)])
def test_what_is_at_hand_is_finished_before_it_ends(inbox: tuple[str, ...], start: Start, run: Run, seen: Path) -> None:
    """SIGTERM in the middle of a handler lets it come to its end, with an inbox or without."""
    server = serving(start, *inbox)
    with ThreadPoolExecutor() as pool:
        status = pool.submit(post, server.told["url"], message="slow")
        while not seen.with_name("begun").exists():
            pass
        server.process.send_signal(signal.SIGTERM)
        seen.with_name("go").touch()
        assert 200 == status.result()
        server.process.communicate(timeout=60)
    assert (0, "slow\n") == (server.process.returncode, seen.read_text())
    if not inbox:
        listed = run("webhooks", "inbox", "list", "--store", f"sqlite:///{seen.with_name('pidj.db')}", "--json")
        assert ["handled"] == [one["state"] for one in json.loads(listed.stdout)]


@posix
def test_secrets_are_neither_shown_nor_logged(start: Start) -> None:
    """Several secrets are valid at once, wherever they stand; a wrong one is refused; none of them is in the output."""
    server = serving(start, "--no-inbox", PIDJ_WEBHOOK_SECRET=f"{SECRET} {OTHER}")
    url = server.told["url"]
    body = sample("text-received")
    assert [200, 200, 401, 401] == [post(url, each) for each in (SECRET, OTHER, WRONG, None)]
    for secret, status in ((SECRET, 200), (WRONG, 401)):
        assert status == httpx.post(f"{url}{secret}", json=body).status_code
        assert status == httpx.post(f"{url}?secret={secret}&again={secret}", json=body).status_code
        assert status == httpx.post(f"{url}?{secret}", json=body, auth=("pidj", secret)).status_code
    log = server.end()
    shown = json.dumps(server.told) + log
    encoded = [base64.b64encode(f"pidj:{each}".encode()).decode() for each in (SECRET, OTHER, WRONG)]
    assert [each for each in (SECRET, OTHER, WRONG, *encoded) if each in shown] == []
    assert 10 == log.count('"POST ')


@posix
def test_a_handlers_error_is_logged_without_the_number(start: Start) -> None:
    """Without an inbox a failure is a 500; the traceback is there, and nobody's number in it."""
    server = serving(start, "--no-inbox")
    assert 500 == post(server.told["url"], message="boom")
    log = server.end()
    assert "ValueError: +188******33 says boom" in log
    assert "+18885553333" not in log


@posix
def test_health_and_metrics_ask_for_no_secret_and_tell_nothing(start: Start, run: Run, store: str) -> None:
    """They answer on paths of their own, count what came, and have nobody's data in them."""
    paths = ("--health", "/healthz", "--metrics", "/numbers", "--path", "/hooks")
    server = serving(start, *paths, "--max-attempts", "1")
    told = server.told
    assert ("/healthz", "/numbers", "/hooks") == tuple(
        "/" + told[name].rpartition("/")[2] for name in ("health", "metrics", "url")
    )
    assert [200, 200, 401] == [post(told["url"], message=each) for each in ("Hi", "boom")] + [post(told["url"], WRONG)]
    assert 404 == post(told["url"].replace("hooks", "other"))
    assert {"handled", "dead"} == {one["state"] for one in drained(run, store)}
    health = httpx.get(told["health"])
    assert (200, {"status": "ok"}) == (health.status_code, health.json())
    text = httpx.get(told["metrics"]).text
    for line in (
        'pidj_webhook_replies_total{status="200"} 2.0',
        'pidj_webhook_replies_total{status="401"} 1.0',
        'pidj_webhook_events_total{event="text-received"} 2.0',
        'pidj_webhook_dispatch_seconds_count{event="text-received",outcome="ok"} 1.0',
        'pidj_webhook_handler_seconds_count{handler="shop.answer",outcome="failed"} 1.0',
        'pidj_inbox_events{state="dead"} 1.0',
        "pidj_inbox_readable 1.0",
    ):
        assert line in text.splitlines()
    assert not any(private in text for private in ("8885553333", "boom", "Maria", SECRET))


@posix
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "They are stored in sqlite:///pidj.db, and handled here."),
        (("--no-worker",), "They are stored in sqlite:///pidj.db, and left to 'pidj worker'."),
        (("--no-inbox",), "They are handled before they are acknowledged, and not stored."),
    ],
)
def test_serve_speaks_to_people_too(arguments: tuple[str, ...], said: str, start: Start) -> None:
    """It says where, and what becomes of what is posted; without a secret it warns."""
    server = start(
        *("webhooks", "serve", "shop:dispatcher", "--port", "0", "--insecure", "--health", "/health", *arguments),
        PIDJ_WEBHOOK_SECRET="",
    )
    url = server.stdout.readline().removeprefix("Taking webhooks at ").removesuffix(". Ctrl-C stops it.\n")
    assert f"{said}\nhealth: {url}health\n" == server.stdout.readline() + server.stdout.readline()
    assert 200 == post(url, None)
    assert "pidj: insecure: anybody who reaches this address can post events\n" in server.end()


@posix
def test_a_worker_speaks_to_people_too(start: Start) -> None:
    """One line is enough."""
    worker = start("worker", "shop:dispatcher")
    assert "Handling the events in sqlite:///pidj.db. Ctrl-C stops it.\n" == worker.stdout.readline()
    worker.end(signal.SIGINT)
    assert 0 == worker.process.returncode


def test_the_error_of_a_task_is_the_commands_error() -> None:
    """One of ours comes out of its task group by itself; others stay what they are."""

    def failing(*errors: Exception) -> Callable[[asyncio.Event], Awaitable[None]]:
        async def fail(error: Exception) -> None:
            raise error

        async def work(_: asyncio.Event) -> None:
            async with anyio.create_task_group() as group:
                for error in errors:
                    group.start_soon(fail, error)

        return work

    with pytest.raises(ConfigurationError, match="ours"):
        run_until_stopped(failing(ConfigurationError("ours")))
    for others in ((ValueError(),), (ConfigurationError(), ConfigurationError())):
        with pytest.raises(ExceptionGroup):
            run_until_stopped(failing(*others))


@posix
def test_only_networks_that_may_are_heard(start: Start) -> None:
    """``--allow-from`` looks at the address that ``--trusted-proxies`` finds."""
    server = serving(start, "--no-inbox", "--allow-from", "203.0.113.0/24", "--trusted-proxies", "1")
    replies = [
        httpx.post(
            server.told["url"],
            json=sample("opt-out"),
            auth=("pidj", SECRET),
            headers={"x-forwarded-for": f"203.0.113.9, {address}"},
        ).status_code
        for address in ("203.0.113.7", "198.51.100.7")
    ]
    assert [200, 403] == replies
    server.end()


@posix
def test_probable_duplicates_are_skipped_if_asked(start: Start, run: Run, seen: Path, store: str) -> None:
    """The second of two equal bodies is kept, and not handled."""
    server = serving(start, "--skip-duplicates")
    for _ in range(2):
        assert 200 == post(server.told["url"], message="once")
    assert ["skipped", "handled"] == [one["state"] for one in drained(run, store)]
    assert "once\n" == seen.read_text()
    server.end()


@pytest.mark.parametrize("command", [("webhooks", "serve"), ("worker",)])
def test_the_inbox_is_set_up_as_the_options_say(
    command: tuple[str, ...], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is about handling goes to the inbox."""
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    made: list[dict[str, Any]] = []

    def remember(_: object, **settings: Any) -> None:
        made.append(settings)
        msg = "enough"
        raise ConfigurationError(msg)

    monkeypatch.setattr("pidj_async.webhooks.inbox.Inbox", remember)
    options = ("--concurrency", "3", "--max-attempts", "4", "--skip-duplicates", "--store", "sqlite:///x.db")
    result = run(*command, "shop:dispatcher", *options, PIDJ_WEBHOOK_SECRET=SECRET, SEEN="x")
    assert (2, "pidj: enough\n") == (result.exit_code, result.stderr)
    assert [{"concurrency": 3, "max_attempts": 4, "skip_duplicates": True}] == made


@posix
def test_a_worker_handles_what_another_process_took(start: Start, run: Run, seen: Path, store: str) -> None:
    """``serve --no-worker`` only stores; ``pidj worker`` on the same store hands it on, and ends with 0."""
    server = serving(start, "--no-worker")
    assert 200 == post(server.told["url"], message="later")
    listed = json.loads(run("webhooks", "inbox", "list", "--store", store, "--json").stdout)
    assert ["pending"] == [one["state"] for one in listed]
    worker = start("worker", "shop:Inner.dispatcher", "--json", PIDJ_WEBHOOK_SECRET="")
    assert server.told["store"] == json_document(worker.process)["store"]
    assert ["handled"] == [one["state"] for one in drained(run, store)]
    assert "later\n" == seen.read_text()
    assert "Traceback" not in worker.end() + server.end()
    assert (0, 0) == (worker.process.returncode, server.process.returncode)


@posix
@pytest.mark.parametrize("unmask", [(), ("--unmask",)])
def test_listen_prints_what_comes(unmask: tuple[str, ...], start: Start) -> None:
    """One JSON object an event, masked unless it was asked not to; a wrong secret is refused, and nothing printed."""
    listener = listening(start, *unmask)
    assert 401 == post(listener.told["url"], WRONG)
    assert 200 == post(listener.told["url"], message="Hello")
    line = json.loads(listener.stdout.readline())
    expected = ("+18885553333", "Hello") if unmask else ("+188******33", "<5 characters>")
    assert ("text-received", *expected) == (line["event"], line["phone_number"], line["message"])
    assert expected == (line["body"]["text"]["phone_from"], line["body"]["text"]["message"])
    assert ("Maria" in json.dumps(line)) == bool(unmask)
    rest = listener.end()
    assert 0 == listener.process.returncode
    assert not any(each in rest for each in (SECRET, WRONG, "+18885553333"))


@posix
def test_listen_speaks_to_people_too(start: Start) -> None:
    """A line an event; what was written cannot steer the terminal."""
    listener = start("webhooks", "listen", "--port", "0", "--unmask", "--insecure", PIDJ_WEBHOOK_SECRET="")
    url = listener.stdout.readline().split()[2].rstrip(".")
    assert "\n" == listener.stdout.readline()
    assert 200 == post(url, None, message="Hello\x1b[2J\nyou")
    assert listener.stdout.readline().endswith("  text-received  +18885553333  Hello\\x1b[2J\\nyou\n")
    assert '"message": "Hello\\u001b[2J\\nyou"' in listener.stdout.readline()
    listener.end()


@posix
def test_listen_ends_when_nobody_reads(start: Start) -> None:
    """A closed pipe ends it with 141, like any program that was killed by SIGPIPE."""
    listener = listening(start)
    listener.stdout.close()
    assert 200 == post(listener.told["url"])
    assert 141 == listener.process.wait(60)
    assert "Traceback" not in listener.log.read_text()


@posix
def test_a_store_that_cannot_be_had_is_told(start: Start, tmp_path: Path) -> None:
    """It ends with 10 before it has taken anything, and without a traceback."""
    (tmp_path / "no-database").write_bytes(b"this is no database" * 100)
    server = start(
        "webhooks", "serve", "shop:dispatcher", "--port", "0", "--store", f"sqlite:///{tmp_path}/no-database"
    )
    assert "" == server.process.communicate(timeout=60)[0]
    assert 10 == server.process.returncode
    assert "pidj: the store could not be opened: file is not a database\n" == server.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shop",), "APP is a module and a name in it"),
        (("no_such_module:dispatcher",), "there is no module no_such_module"),
        (("shop:no_such_name",), "there is no no_such_name in the module shop"),
        (("shop:nothing",), "shop:nothing must be a Dispatcher, not NoneType"),
        (("broken:dispatcher",), "ZeroDivisionError"),
        (("needy:dispatcher",), "handler needy.answer"),
        (("shop:dispatcher", "--insecure"), "--insecure and PIDJ_WEBHOOK_SECRET contradict each other"),
        (("shop:dispatcher", "--insecure", "--secret", SECRET), "--insecure and --secret contradict each other"),
        (("shop:dispatcher", "--no-inbox", "--no-worker"), "nothing is stored"),
        (("shop:dispatcher", "--no-inbox", "--store", "sqlite:///x.db"), "--store is where the inbox is"),
        (("shop:dispatcher", "--no-inbox", "--concurrency", "3"), "--concurrency is for handling what is stored"),
        (("shop:dispatcher", "--no-worker", "--skip-duplicates"), "which --no-worker rules out"),
        (("shop:dispatcher", "--health", "health"), "--health is a path, such as /health"),
        (("shop:dispatcher", "--metrics", "/"), "--metrics is a path, such as /metrics"),
        (("shop:dispatcher", "--health", "/x", "--metrics", "/x/"), "--metrics and --health are the same path"),
        (("shop:dispatcher", "--path", "/x", "--health", "/x"), "--health and --path are the same path"),
        (("shop:dispatcher", "--path", "x"), "path must begin with a slash"),
        (("shop:dispatcher", "--allow-from", "nowhere"), "allow_from takes networks"),
        (("shop:dispatcher", "--trusted-proxies", "1"), "pass allow_from, too"),
        (("shop:dispatcher", "--store", f"mysql://pidj:{SECRET}@db/x"), "must begin with sqlite:/// or postgresql://"),
        (("shop:dispatcher", "--host", "203.0.113.1"), "cannot listen on 203.0.113.1"),
    ],
)
def test_what_cannot_work_is_refused(
    arguments: tuple[str, ...], said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong settings end with 2 before anything is served, say what is wrong, and show no secret."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "broken.py").write_text(f"secret = '{SECRET}'\n1 / 0  # {SECRET}\n")
    (tmp_path / "needy.py").write_text(
        "from pidj_async.webhooks import *\ndispatcher = Dispatcher()\nclass Thing: ...\n"
        "@dispatcher.on(TextReceived)\ndef answer(event, thing: Thing): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("shop", "broken", "needy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    store = () if "--store" in arguments or "--no-inbox" in arguments else ("--store", f"sqlite:///{tmp_path}/x.db")
    result = run(
        *("webhooks", "serve", *arguments, "--port", "0", *store), PIDJ_WEBHOOK_SECRET=SECRET, SEEN=str(tmp_path / "x")
    )
    assert (2, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize("command", [("serve", "shop:dispatcher"), ("listen",)])
def test_a_secret_is_required(command: tuple[str, ...], run: Run) -> None:
    """Without one, it says how to give one; a sentence in the variable is not taken for several."""
    nothing = run("webhooks", *command, PIDJ_WEBHOOK_SECRET="")
    assert 2 == nothing.exit_code
    assert "no secret: set PIDJ_WEBHOOK_SECRET in the environment, or pass --secret" in nothing.stderr
    sentence = run("webhooks", *command, PIDJ_WEBHOOK_SECRET="correct horse battery")
    assert 2 == sentence.exit_code
    assert "has blanks in it" in sentence.stderr
    assert "horse" not in sentence.output


@pytest.mark.parametrize(
    ("missing", "extra", "arguments"),
    [
        ("sqlalchemy", "store", ["webhooks", "serve", "shop:dispatcher", "--insecure"]),
        ("sqlalchemy", "store", ["worker", "shop:dispatcher"]),
        ("sqlalchemy", "store", ["webhooks", "inbox", "list"]),
        ("sqlalchemy", "store", ["webhooks", "shapes"]),
        ("sqlalchemy", "store", ["suppressions", "list"]),
        ("sqlalchemy", "store", ["store", "check"]),
        (
            "prometheus_client",
            "prometheus",
            ["webhooks", "serve", "shop:dispatcher", "--insecure", "--no-inbox", "--metrics", "/metrics"],
        ),
    ],
)
def test_a_missing_extra_is_named(missing: str, extra: str, arguments: list[str], tmp_path: Path) -> None:
    """Whoever lacks an extra is told which, without a traceback, and the rest of the command works without it."""
    (tmp_path / "shop.py").write_text(APP)
    code = f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['pidj', *{arguments!r}]\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}from pidj_async.cli import main; main()"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env=os.environ
        | {"SEEN": str(tmp_path / "x"), "PYTHONPATH": str(Path(__file__).parents[2]), "PIDJ_WEBHOOK_SECRET": ""},
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert f'pip install "pidj-async[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr
