"""``pidj webhooks serve`` and ``listen``, and ``pidj worker``: what runs until it is told to stop."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pidj_async.cli.options import (
    as_json,
    insecure_option,
    load_dispatcher,
    open_store,
    port_option,
    secret_option,
    shown_store,
    store_option,
    unmask_option,
    webhook_secrets,
    worker_options,
)
from pidj_async.cli.settings import shared_options

if TYPE_CHECKING:
    import asyncio

    from pidj_async.webhooks.adapters.asgi import ASGIApp, Receive, Send
    from pidj_async.webhooks.dispatcher import Dispatcher
    from pidj_async.webhooks.events import Event
    from pidj_async.webhooks.inbox import Inbox
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["listen", "serve", "worker"]


def _inbox(store_url: str | None, handling: Mapping[str, Any]) -> Inbox:
    store = open_store(store_url, create=True)

    from pidj_async.webhooks.inbox import Inbox  # noqa: PLC0415  `pidj --help` stores nothing

    return Inbox(store, **handling)


# --- serve --------------------------------------------------------------------------------------------------------


def _serve(
    *,
    app: str,
    host: str,
    port: int,
    secrets: tuple[str, ...],
    insecure: bool,
    store_url: str | None,
    path: str | None,
    allow_from: tuple[str, ...],
    trusted_proxies: int,
    no_inbox: bool,
    no_worker: bool,
    health: str | None,
    metrics: str | None,
    **handling: Any,
) -> None:
    _check_combination(no_inbox=no_inbox, no_worker=no_worker, store_url=store_url)
    _check_paths(path, {"--health": health, "--metrics": metrics})
    accepted = webhook_secrets(secrets, insecure=insecure)
    dispatcher = load_dispatcher(app)

    from pidj_async.cli.serving import listen, log_to_stderr, serve, url_of  # noqa: PLC0415  `pidj --help` serves nothing
    from pidj_async.webhooks.adapters.monitoring import health_app, metrics_app  # noqa: PLC0415
    from pidj_async.webhooks.receiver import Receiver  # noqa: PLC0415

    inbox = None if no_inbox else _inbox(store_url, handling)
    receiver = Receiver(
        dispatcher,
        secret=accepted,
        insecure=insecure,
        allow_from=allow_from or None,
        trusted_proxies=trusted_proxies,
        path=path,
        inbox=inbox,
        run_inbox=not no_worker,
    )
    routes: dict[str, ASGIApp] = {}
    if health is not None:
        routes[health] = health_app(receiver)
    if metrics is not None:
        from pidj_async.webhooks.metrics import Metrics  # noqa: PLC0415  an extra

        routes[metrics] = metrics_app(Metrics(receiver))
    if not no_worker:
        _check_handlers(dispatcher, inbox)
    listener = listen(host, port)
    log_to_stderr(receiver, shown_paths={each for each in (path, health, metrics) if each is not None})
    told = {
        "url": url_of(listener) + (path or "/"),
        "store": None if inbox is None else shown_store(inbox.store),
        "worker": inbox is not None and not no_worker,
        **{name: None if each is None else url_of(listener) + each for name, each in _named(health, metrics)},
    }
    serve(
        _routed(routes, receiver.asgi()),
        listener,
        around=_open(receiver),
        on_ready=lambda: _introduce(told, insecure=insecure),
    )


def _named(health: str | None, metrics: str | None) -> tuple[tuple[str, str | None], ...]:
    return ("health", health), ("metrics", metrics)


def _check_combination(*, no_inbox: bool, no_worker: bool, store_url: str | None) -> None:
    context = click.get_current_context()

    def given(name: str) -> bool:
        return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE

    handling = [name for name in _HANDLING if given(name)]
    problem = None
    if no_inbox and no_worker:
        problem = "--no-worker leaves what is stored to 'pidj worker', and with --no-inbox nothing is stored"
    elif no_inbox and store_url is not None and given("store_url"):
        problem = "--store is where the inbox is, and --no-inbox does without"
    elif handling and (no_inbox or no_worker):
        option = "--" + handling[0].replace("_", "-")
        problem = (
            f"{option} is for handling what is stored, which {'--no-inbox' if no_inbox else '--no-worker'} rules out"
        )
    if problem is not None:
        raise click.UsageError(problem)


_HANDLING = ("concurrency", "max_attempts", "skip_duplicates")


def _check_paths(path: str | None, others: Mapping[str, str | None]) -> None:
    seen: dict[str, str] = {} if path is None else {path.rstrip("/"): "--path"}
    for option, other in others.items():
        if other is None:
            continue
        if not other.startswith("/") or other == "/":
            msg = f"{option} is a path, such as /{option.strip('-')}; got {other!r}"
            raise click.UsageError(msg)
        plain = other.rstrip("/")
        if plain in seen:
            msg = f"{option} and {seen[plain]} are the same path; each needs one of its own"
            raise click.UsageError(msg)
        seen[plain] = option


def _check_handlers(dispatcher: Dispatcher, inbox: Inbox | None) -> None:
    """Find out before the first event whether every handler can get what it wants."""
    if inbox is None:
        dispatcher.check()
        return
    from pidj_async.webhooks.inbox import InboxRecord  # noqa: PLC0415

    dispatcher.check(InboxRecord)


def _routed(routes: Mapping[str, ASGIApp], receiver: ASGIApp) -> ASGIApp:
    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await routes.get(scope["path"], receiver)(scope, receive, send)

    return app


@asynccontextmanager
async def _open(receiver: Receiver) -> AsyncGenerator[None]:
    try:
        async with receiver.lifespan():
            yield
    finally:
        if receiver.inbox is not None:
            await receiver.inbox.store.aclose()


def _introduce(told: Mapping[str, Any], *, insecure: bool) -> None:
    from pidj_async.cli.output import write_json  # noqa: PLC0415

    if as_json():
        write_json(told)
    else:
        click.echo(f"Taking webhooks at {told['url']}. Ctrl-C stops it.")
        if told["store"] is None:
            click.echo("They are handled before they are acknowledged, and not stored.")
        else:
            whose = "handled here" if told["worker"] else "left to 'pidj worker'"
            click.echo(f"They are stored in {told['store']}, and {whose}.")
        for name in ("health", "metrics"):
            if told[name]:
                click.echo(f"{name}: {told[name]}")
    sys.stdout.flush()
    if insecure:
        click.echo("pidj: insecure: anybody who reaches this address can post events", err=True)


_APP = click.Argument(["app"], metavar="APP")
_APP_HELP = "APP says where your dispatcher is: a module and a name in it, such as shop.texts:dispatcher."

serve = click.Command(
    "serve",
    callback=_serve,
    short_help="Take webhooks, store them, and hand them to your handlers.",
    help="Take webhooks, store them, and hand them to your handlers, until Ctrl-C or SIGTERM.\n\n"
    f"{_APP_HELP} What is posted is stored before it is acknowledged, and handled afterwards, in this process. It is a "
    "plain HTTP server: put whatever speaks TLS for you in front of it.",
    params=[
        _APP,
        click.Option(["--host"], default="127.0.0.1", show_default=True, help="Where to listen."),
        port_option(),
        secret_option(several=True),
        insecure_option(),
        store_option(),
        click.Option(
            ["--path"], metavar="PATH", help="The only path to be answered, such as /webhooks; any if left out."
        ),
        click.Option(
            ["--allow-from"],
            multiple=True,
            metavar="NETWORK",
            help="A network from which events may come, such as 203.0.113.0/24. May be repeated.",
        ),
        click.Option(
            ["--trusted-proxies"],
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="How many proxies of your own a request passes: how --allow-from finds the client's address.",
        ),
        click.Option(["--no-inbox"], is_flag=True, help="Store nothing: acknowledge when all handlers have run."),
        click.Option(["--no-worker"], is_flag=True, help="Only store events; 'pidj worker' handles them."),
        *worker_options(),
        click.Option(
            ["--health"],
            metavar="PATH",
            help="Say there whether events can be taken, such as /health; asks for no secret.",
        ),
        click.Option(
            ["--metrics"], metavar="PATH", help="Counters for Prometheus, such as /metrics; asks for no secret."
        ),
        *shared_options(before_command=False, connection=False),
    ],
)
"""The command."""


# --- worker -------------------------------------------------------------------------------------------------------


def _worker(*, app: str, store_url: str | None, **handling: Any) -> None:
    dispatcher = load_dispatcher(app)
    inbox = _inbox(store_url, handling)
    _check_handlers(dispatcher, inbox)

    from pidj_async.cli.serving import log_to_stderr, run_until_stopped  # noqa: PLC0415

    log_to_stderr(None)

    async def work(stopped: asyncio.Event) -> None:
        import anyio  # noqa: PLC0415

        async with inbox.store, anyio.create_task_group() as group:
            group.start_soon(inbox.run, dispatcher)
            told = {"store": shown_store(inbox.store)}
            if as_json():
                from pidj_async.cli.output import write_json  # noqa: PLC0415

                write_json(told)
            else:
                click.echo(f"Handling the events in {told['store']}. Ctrl-C stops it.")
            sys.stdout.flush()
            await stopped.wait()
            group.cancel_scope.cancel()

    run_until_stopped(work)


worker = click.Command(
    "worker",
    callback=_worker,
    short_help="Hand the events of an inbox to your handlers.",
    help="Hand the events of an inbox to your handlers, until Ctrl-C or SIGTERM.\n\n"
    f"{_APP_HELP} One for each machine is enough: it handles many events at once. What is at hand when it is to stop "
    "is finished, or given back after 10 seconds.",
    params=[
        _APP,
        store_option(),
        *worker_options(),
        *shared_options(before_command=False, connection=False),
    ],
)
"""The command."""


# --- listen -------------------------------------------------------------------------------------------------------


def _listen(*, host: str, port: int, secrets: tuple[str, ...], insecure: bool, path: str | None, unmask: bool) -> None:
    accepted = webhook_secrets(secrets, insecure=insecure)

    import asyncio  # noqa: PLC0415  `pidj --help` waits for nothing

    from pidj_async.cli.serving import listen, log_to_stderr, serve, url_of  # noqa: PLC0415
    from pidj_async.webhooks.dispatcher import Dispatcher  # noqa: PLC0415
    from pidj_async.webhooks.events import Event  # noqa: PLC0415
    from pidj_async.webhooks.receiver import Receiver  # noqa: PLC0415

    dispatcher = Dispatcher()
    stop = asyncio.Event()
    gone: list[BrokenPipeError] = []
    program = as_json()

    @dispatcher.on(Event)
    async def show(event: Event) -> None:
        try:
            _show_event(event, unmask=unmask, program=program)
        except BrokenPipeError as error:
            gone.append(error)
            stop.set()

    receiver = Receiver(dispatcher, secret=accepted, insecure=insecure, path=path)
    listener = listen(host, port)
    log_to_stderr(receiver)
    url = url_of(listener) + (path or "/")

    def introduce() -> None:
        if program:
            _write_line({"url": url})
        else:
            click.echo(f"Listening at {url}. Ctrl-C stops it.\n")
            sys.stdout.flush()

    serve(receiver.asgi(), listener, around=receiver.lifespan(), on_ready=introduce, stop=stop)
    if gone:
        raise gone[0]


def _show_event(event: Event, *, unmask: bool, program: bool) -> None:
    from pidj_async.cli.masking import event_summary, masked  # noqa: PLC0415
    from pidj_async.cli.output import printable  # noqa: PLC0415

    now = datetime.now(UTC)
    summary = event_summary(event, unmask=unmask)
    if program:
        body = event.raw if unmask else masked(event.raw)
        _write_line({"received_at": now.isoformat(timespec="milliseconds"), **summary, "body": body})
        return
    parts = [printable(value).replace("\n", "\\n") for value in summary.values() if value is not None]
    click.echo(f"{now.astimezone():%H:%M:%S}  " + "  ".join(parts))
    if unmask:
        import json  # noqa: PLC0415

        click.echo(f"          {json.dumps(event.raw)}")  # in ASCII: nothing in it can steer the terminal
    sys.stdout.flush()


def _write_line(data: Mapping[str, Any]) -> None:
    import json  # noqa: PLC0415

    click.echo(json.dumps(data))
    sys.stdout.flush()


listen = click.Command(
    "listen",
    callback=_listen,
    short_help="Print webhooks as they come.",
    help="Print webhooks as they come, until Ctrl-C or SIGTERM.\n\n"
    "Nothing is stored. With --json it is one JSON object a line, the first of them with this server's URL.",
    params=[
        click.Option(["--host"], default="127.0.0.1", show_default=True, help="Where to listen."),
        port_option(),
        secret_option(several=True),
        insecure_option(),
        click.Option(
            ["--path"], metavar="PATH", help="The only path to be answered, such as /webhooks; any if left out."
        ),
        unmask_option("Show whom events are about, and their whole bodies."),
        *shared_options(before_command=False, connection=False),
    ],
)
"""The command."""
