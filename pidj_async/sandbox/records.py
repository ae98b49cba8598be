"""What a sandbox remembers for whoever asks: the texts it sent, the webhooks it delivered. Frozen, and safe to log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from pidj_async._masking import mask_phone_number, mask_text

__all__ = ["Attempt", "Delivery", "DeliveryStatus", "SentText", "TextKind"]

TextKind = Literal["text", "consent", "survey", "auto-reply"]
"""Why a text went out."""

DeliveryStatus = Literal["pending", "delivered", "failed", "skipped"]
"""How far a webhook has come; ``skipped``: there was no webhook URL when it happened."""


@attrs.frozen(kw_only=True)
class SentText:
    """A text that the sandbox sent.

    Attributes:
        from_number: The group's number, E.164.
        to_number: Whom it went to, E.164.
        text_body: What it said, cut off as Pidj would.
        group_id: The group it came from (``gr:…``).
        kind: Why it went out: ``"text"`` for ``messages.send``.
    """

    from_number: str = attrs.field(repr=mask_phone_number)
    to_number: str = attrs.field(repr=mask_phone_number)
    text_body: str = attrs.field(repr=mask_text)
    group_id: str
    kind: TextKind = "text"


@attrs.frozen(kw_only=True)
class Attempt:
    """One try to deliver a webhook.

    Attributes:
        status_code: What the receiver answered; ``None`` if no answer came.
        error: The kind of failure if no answer came, such as ``"ConnectError"``.
    """

    status_code: int | None = None
    error: str | None = None


@attrs.frozen(kw_only=True)
class Delivery:
    """A webhook and what became of it.

    Attributes:
        event: The event's name, such as ``"text-received"``.
        body: The whole body, as it is sent.
        status: How far it has come.
        attempts: The tries so far.
    """

    event: str
    body: Mapping[str, Any] = attrs.field(repr=lambda body: f"<{', '.join(body)}>", hash=False)
    status: DeliveryStatus
    attempts: tuple[Attempt, ...] = ()
