"""How long and how much: options that mean the same to every transport, with the same values left to themselves."""

from __future__ import annotations

from typing import Any

import attrs

from pidj_async.errors import ConfigurationError

__all__ = ["Limits"]


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        msg = f"{attribute.name} must be greater than 0; got {value!r}"
        raise ConfigurationError(msg)


@attrs.frozen(kw_only=True)
class Limits:
    """See `HttpxTransport` for what each of them is.

    Raises:
        ConfigurationError: If one is not greater than 0.
    """

    max_connections: int = attrs.field(default=1_000, validator=_positive)
    connect_timeout: float = attrs.field(default=5.0, validator=_positive)
    read_timeout: float = attrs.field(default=30.0, validator=_positive)
    write_timeout: float = attrs.field(default=30.0, validator=_positive)
    pool_timeout: float = attrs.field(default=30.0, validator=_positive)
    idle_timeout: float = attrs.field(default=5.0, validator=_positive)
    max_response_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=_positive)
