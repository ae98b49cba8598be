"""Whom the command talks to, and how it answers: the options that every command has.

They may stand before the command or after it; what stands later wins, and both win over the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import click

from pidj_async.errors import ConfigurationError

__all__ = [
    "ENVIRONMENT",
    "PASSWORD_VARIABLE",
    "STORE_VARIABLE",
    "WEBHOOK_SECRET_VARIABLE",
    "Settings",
    "secrets_in",
    "shared_options",
]

ENVIRONMENT = {"account_key": "PIDJ_ACCOUNT_KEY", "token": "PIDJ_TOKEN", "base_url": "PIDJ_BASE_URL"}
"""The options that the environment can stand in for, and its variables."""

PASSWORD_VARIABLE = "PIDJ_USER_PASSWORD"  # noqa: S105  the name of one
"""Where a new user's password may be instead of on the command line."""

WEBHOOK_SECRET_VARIABLE = "PIDJ_WEBHOOK_SECRET"  # noqa: S105  the name of one
"""Where the secret of the webhook URL may be, or several, separated by blanks."""

STORE_VARIABLE = "PIDJ_STORE"
"""Where the store's URL may be."""

_SECRET_OPTIONS = frozenset({"--token", "--password", "--secret"})
_LIKELY_SECRET = 16  # a shorter part of a path is a word

_HELP = {
    "account_key": "Account Key, from Pidj's API page.",
    "token": "Token, from the same page. Options are visible to everybody on this machine: prefer the environment.",
    "base_url": "Another address of the API; https, except on this machine.",
    "as_json": "Print JSON: one document with the result, or one object with the error on standard error.",
}


@attrs.define
class Settings:
    """What was set by options and environment.

    Attributes:
        account_key: The account key, if any.
        token: The token, if any.
        base_url: The address, if it is another one.
        as_json: Whether the reader is a program.
        secrets: What must not be shown.
        given: The settings that stood on the command line, as opposed to the environment.
    """

    account_key: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    base_url: str | None = None
    as_json: bool = False
    secrets: set[str] = attrs.field(factory=set, repr=False)
    given: set[str] = attrs.field(factory=set)

    def credentials(self) -> tuple[str, str, str]:
        """Return account key, token and base URL.

        Raises:
            ConfigurationError: If the account key or the token is missing; it says how to give them.
        """
        if not self.account_key or not self.token:
            missing = [name for name in ("account_key", "token") if not getattr(self, name)]
            variables = " and ".join(ENVIRONMENT[name] for name in missing)
            options = " and ".join("--" + name.replace("_", "-") for name in missing)
            msg = f"no credentials: set {variables} in the environment, or pass {options}"
            raise ConfigurationError(msg)

        from pidj_async.sansio import DEFAULT_BASE_URL  # noqa: PLC0415  `pidj --help` calls nobody

        return self.account_key, self.token, self.base_url or DEFAULT_BASE_URL


def shared_options(*, before_command: bool, connection: bool = True) -> list[click.Parameter]:
    """Make the options that every command has.

    Args:
        before_command: These stand before the command, so they alone read the environment: otherwise it would win
            over what was said there.
        connection: Whether the command talks to Pidj.
    """
    options: list[click.Parameter] = []
    for name, variable in ENVIRONMENT.items() if connection else ():
        options.append(
            click.Option(
                ["--" + name.replace("_", "-"), name],
                help=_HELP[name] if before_command else f"Instead of {variable}.",
                metavar="URL" if name == "base_url" else "TEXT",
                envvar=variable if before_command else None,
                show_envvar=before_command,
                expose_value=False,
                callback=_remember,
            )
        )
    options.append(
        click.Option(["--json", "as_json"], is_flag=True, help=_HELP["as_json"], expose_value=False, callback=_remember)
    )
    return options


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if not value or parameter.name is None:
        return
    settings = context.ensure_object(Settings)
    setattr(settings, parameter.name, value)
    if context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE:
        settings.given.add(parameter.name)
    if parameter.name == "token":
        settings.secrets.add(value)


def secrets_in(arguments: Sequence[str]) -> set[str]:
    """Find secrets before anything has been parsed, because parsing may fail and quote what it failed on."""
    found = {os.environ.get(ENVIRONMENT["token"], ""), os.environ.get(PASSWORD_VARIABLE, "")}
    found.update(os.environ.get(WEBHOOK_SECRET_VARIABLE, "").split())
    found.update(_secrets_in_url(os.environ.get(STORE_VARIABLE, "")))
    for place, option in enumerate(arguments):
        name, equals, attached = option.partition("=")
        if name in _SECRET_OPTIONS:
            found.update([attached] if equals else arguments[place + 1 : place + 2])
        found.update(_secrets_in_url(attached if equals and name.startswith("--") else option))
    return found - {"", "-"}


def _secrets_in_url(url: str) -> Iterator[str]:
    """Find what may be a secret: the password, and of a webhook's address the end of the path and the query."""
    try:
        parts = urlsplit(url)
        found = [parts.password or ""]
    except ValueError:
        return
    if not parts.scheme or "://" not in url:
        return
    if parts.scheme in {"http", "https"}:
        if not parts.password:
            found.append(parts.username or "")
        found += [each for each in parts.path.split("/") if len(each) >= _LIKELY_SECRET]
        found += [value for name, value in parse_qsl(parts.query) if name in {"secret", "token"}]
    for each in found:
        yield each
        yield unquote(each)
