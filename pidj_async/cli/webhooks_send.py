"""``pidj webhooks send``: what Pidj would post, posted by yourself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import click

from pidj_async import errors
from pidj_async._masking import mask_phone_numbers_in
from pidj_async.cli.options import as_json, secret_option, secrets_of_variable
from pidj_async.cli.settings import WEBHOOK_SECRET_VARIABLE, shared_options

if TYPE_CHECKING:
    import httpx

__all__ = ["send"]

_EVENTS: Final = (
    "contact-created",
    "contact-updated",
    "contact-deleted",
    "contact-restored",
    "text-received",
    "interaction-closed",
    "consent-given",
    "opt-out",
    "opt-in",
)
_TIMEOUT: Final = 30.0
_MAX_SHOWN: Final = 300
_CALL: Final = "webhooks send"


def _send(*, event: str, url: str, secrets: str | None, fields: Sequence[str]) -> None:
    from pidj_async.webhooks.samples import sample  # noqa: PLC0415  `pidj --help` sends nothing

    body = sample(event, **_overrides(fields))
    address, credentials = _address(url, secrets)
    reply = _post(address, body, credentials)
    shown = _shown(reply)
    error = _error(reply, shown)
    if error is not None:
        error.endpoint = _CALL
        raise error
    if as_json():
        from pidj_async.cli.output import write_json  # noqa: PLC0415

        write_json({"status_code": reply.status_code, "reply": shown, "body": body})
    else:
        click.echo(f"HTTP {reply.status_code}: {shown}")


def _overrides(fields: Sequence[str]) -> dict[str, Any]:
    """Read ``text.message=STOP`` and ``text.contact:=null``."""
    overrides: dict[str, Any] = {}
    for field in fields:
        path, equals, text = field.partition("=")
        value: Any = text
        if path.endswith(":"):
            path = path[:-1]
            try:
                value = json.loads(text)
            except ValueError:
                msg = f"--field {path}:=… takes JSON, such as null or [1, 2]; for a text, write {path}=…"
                raise click.UsageError(msg) from None
        *parents, last = path.split(".")
        if not equals or not all((*parents, last)):
            msg = "--field is written NAME=TEXT or NAME:=JSON, such as text.message=STOP or text.contact:=null"
            raise click.UsageError(msg)
        inner = overrides
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                msg = f"--field sets both {parent} and a part of it"
                raise click.UsageError(msg)
        inner[last] = value
    return overrides


def _address(url: str, secret: str | None) -> tuple[str, tuple[str, str] | None]:
    """Split the credentials off the URL, so that nothing that shows the URL shows them.

    Raises:
        ConfigurationError: It is no URL, or there are two secrets.
    """
    problem = "URL must be the http or https address of a receiver, such as http://127.0.0.1:8030/webhooks"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        raise errors.ConfigurationError(problem) from None
    if not usable:
        raise errors.ConfigurationError(problem)
    host = parts.netloc.rpartition("@")[2]
    credentials: tuple[str, str] | None
    if parts.username is not None:
        if secret is not None:
            msg = "there is a secret in the URL, and --secret is another one; leave one of them out"
            raise errors.ConfigurationError(msg)
        credentials = unquote(parts.username), unquote(parts.password or "")
    else:
        found = (secret,) if secret else secrets_of_variable(os.environ.get(WEBHOOK_SECRET_VARIABLE, ""))
        credentials = ("pidj", found[0]) if found else None
    return parts._replace(netloc=host).geturl(), credentials


def _post(url: str, body: Any, credentials: tuple[str, str] | None) -> httpx.Response:
    import httpx  # noqa: PLC0415  `pidj --help` sends nothing

    from pidj_async.sansio import is_loopback  # noqa: PLC0415

    host = urlsplit(url).hostname or ""
    try:
        # A proxy from the environment would be asked to reach its own machine.
        with httpx.Client(
            timeout=_TIMEOUT, trust_env=not is_loopback(host), headers={"user-agent": "pidj-cli"}
        ) as client:
            return client.post(url, json=body, auth=credentials or httpx.USE_CLIENT_DEFAULT)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.InvalidURL) as error:
        failed: errors.PidjError = errors.NotSentError(
            f"{_CALL}: could not connect to {host} ({error}); nothing was sent"
        )
    except httpx.HTTPError as error:
        reason = type(error).__name__
        failed = errors.OutcomeUnknownError(f"{_CALL}: no reply from {host} ({reason}); it may have taken the event")
    failed.endpoint, failed.attempts = _CALL, 1
    raise failed


def _shown(reply: httpx.Response) -> str:
    text = mask_phone_numbers_in(reply.text[: _MAX_SHOWN * 2].strip())
    return repr(text[:_MAX_SHOWN])[1:-1] if not text[:_MAX_SHOWN].isprintable() else text[:_MAX_SHOWN]


def _error(reply: httpx.Response, shown: str) -> errors.PidjError | None:
    status = reply.status_code
    if 200 <= status < 300:
        return None
    summary = f"{_CALL}: HTTP {status}: {shown}"
    if status < 400:
        return errors.ResponseError(summary, status_code=status)
    kinds: dict[int, type[errors.APIError]] = {
        401: errors.AuthenticationError,
        403: errors.PermissionDeniedError,
        404: errors.NotFoundError,
        429: errors.RateLimitError,
    }
    kind = kinds.get(status, errors.ServerError if status >= 500 else errors.RefusedError)
    return kind(summary, status_code=status)


send = click.Command(
    "send",
    callback=_send,
    short_help="Post a sample of an event to a receiver.",
    help="Post a sample of an event to a receiver, as Pidj would.\n\n"
    "The secret goes as HTTP Basic. It is taken from the URL if that has one, as in https://pidj:SECRET@example.org/; "
    f"else from --secret or {WEBHOOK_SECRET_VARIABLE}, the first of several. The exit codes are those of a call; Pidj "
    "has no part in it.\n\nEvents: " + ", ".join(_EVENTS) + ".",
    params=[
        click.Argument(["event"], type=click.Choice(_EVENTS), metavar="EVENT"),
        click.Argument(["url"], metavar="URL"),
        secret_option(several=False),
        click.Option(
            ["--field", "fields"],
            multiple=True,
            metavar="NAME=TEXT",
            help="Another value for a field, by the wire's names: text.message=STOP. NAME:=JSON sets what is no text: "
            "text.contact:=null. May be repeated.",
        ),
        *shared_options(before_command=False, connection=False),
    ],
)
"""The command."""
