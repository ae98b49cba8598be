"""``pidj webhooks``: receive them, look at them, send them to yourself."""

from __future__ import annotations

from typing import Literal

import click

from pidj_async.cli.options import as_json
from pidj_async.cli.settings import WEBHOOK_SECRET_VARIABLE, shared_options
from pidj_async.cli.webhooks_inbox import inbox, shapes
from pidj_async.cli.webhooks_send import send
from pidj_async.cli.webhooks_serve import listen, serve

__all__ = ["webhooks"]

_WHERE = {
    "basic": "before the host, where access logs leave it out",
    "path": "as the last segment of the path",
    "query": "in the query, where access logs show it",
}


def _secret(*, base: str, style: Literal["basic", "path", "query"]) -> None:
    from pidj_async.webhooks.guard import new_secret, webhook_url  # noqa: PLC0415  `pidj --help` makes none

    made = new_secret()
    url = webhook_url(base, made, style)
    if as_json():
        from pidj_async.cli.output import write_json  # noqa: PLC0415

        write_json({"secret": made, "url": url})
        return
    click.echo(f"{WEBHOOK_SECRET_VARIABLE}={made}\n{url}")
    click.echo(
        "The first line is for the environment of 'pidj webhooks serve', the URL to be pasted at Pidj. It is shown "
        "this once.",
        err=True,
    )


webhooks = click.Group(
    "webhooks",
    short_help="Receive webhooks, look at what came, have it handled again.",
    help="Receive webhooks, look at what came, have it handled again.\n\n"
    "'secret' makes the URL to be pasted at Pidj, 'serve' takes what is posted there, stores it and hands it to your "
    "handlers. Whom and what events are about is masked unless --unmask is given.",
    commands=[
        click.Command(
            "secret",
            callback=_secret,
            short_help="Make a secret, and the URL to paste at Pidj.",
            help="Make a secret, and the URL with it to be pasted at Pidj.\n\nThe secret is 32 letters and digits, 190 "
            "bits of chance. To replace one, let 'serve' take both for a while.",
            params=[
                click.Option(
                    ["--url", "base"],
                    metavar="URL",
                    default="https://example.org/webhooks",
                    show_default=True,
                    help="Where the receiver is reached.",
                ),
                click.Option(
                    ["--style"],
                    type=click.Choice(list(_WHERE)),
                    default="basic",
                    show_default=True,
                    help="Where the secret goes: "
                    + "; ".join(f"{one}: {where}" for one, where in _WHERE.items())
                    + ".",
                ),
                *shared_options(before_command=False, connection=False),
            ],
        ),
        serve,
        listen,
        inbox,
        shapes,
        send,
    ],
)
"""The group."""
