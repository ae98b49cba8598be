"""How each service wants the same text: where it is posted, in which form, and what is answered.

The contenders that are other services' SDKs talk to the same server as ours. It tells them apart by the request line,
and reads what each has written.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import attrs

from benchmarks.texts import AUTHORIZATION, GROUP_ID, NUMBERS, PATH, SENDER, TEXT, TOKEN, form

__all__ = ["DIALECTS", "PIDJ", "SLACK", "SLACK_TOKEN", "TELNYX", "TWILIO", "TWILIO_ACCOUNT", "Dialect"]

TWILIO_ACCOUNT: Final = "AC" + "0" * 32
SLACK_TOKEN: Final = "xoxb-" + TOKEN

_FORM: Final = "application/x-www-form-urlencoded"
_NUMBERS: Final = frozenset(NUMBERS)
_BEFORE, _, _AFTER = form("whom").partition(b"whom")


@attrs.frozen(kw_only=True)
class Dialect:
    """One service.

    Attributes:
        path: Where a text is posted.
        authorization: The value of that header.
        content_type: The value of that one, in lower case.
        recipient: Whom a body texts, if it says what is meant to be said.
        reply: What the service answers, as its document shows it.
        status: With which status.
    """

    path: str
    authorization: str
    content_type: str
    recipient: Callable[[bytes], str | None]
    reply: Mapping[str, Any]
    status: str = "200 OK"

    def is_right(self, body: bytes) -> bool:
        """Whether a body is a text to one of the thousand who are texted in turn."""
        return self.recipient(body) in _NUMBERS


def _pidj(body: bytes) -> str | None:
    # Fast, because here the server must not be what is measured.
    if not (body.startswith(_BEFORE + b"%2B") and body.endswith(_AFTER)):
        return None
    return "+" + body[len(_BEFORE) + 3 : -len(_AFTER)].decode()


def _twilio(body: bytes) -> str | None:
    fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    to = fields.get("To")
    return to if fields == {"To": to, "From": SENDER, "Body": TEXT} else None


def _telnyx(body: bytes) -> str | None:
    fields = json.loads(body)
    to: str | None = fields.get("to")
    return to if fields == {"to": to, "from": SENDER, "text": TEXT} else None


def _slack(body: bytes) -> str | None:
    fields = json.loads(body)
    to: str | None = fields.get("channel")
    return to if fields == {"channel": to, "text": TEXT} else None


PIDJ: Final = Dialect(
    path=PATH,
    authorization=AUTHORIZATION,
    content_type=_FORM,
    recipient=_pidj,
    reply={"code": 200, "status": "success", "message": "Message sent."},
)
TWILIO: Final = Dialect(
    path=f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Messages.json",
    authorization="Basic " + base64.b64encode(f"{TWILIO_ACCOUNT}:{TOKEN}".encode()).decode(),
    content_type=_FORM,
    recipient=_twilio,
    reply={
        "account_sid": TWILIO_ACCOUNT,
        "api_version": "2010-04-01",
        "body": TEXT,
        "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
        "date_sent": None,
        "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": SENDER,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": "SM" + "0" * 32,
        "status": "queued",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Messages/SM{'0' * 32}/Media.json"},
        "to": NUMBERS[0],
        "uri": f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Messages/SM{'0' * 32}.json",
    },
    status="201 Created",
)
TELNYX: Final = Dialect(
    path="/v2/messages",
    authorization=f"Bearer {TOKEN}",
    content_type="application/json",
    recipient=_telnyx,
    reply={
        "data": {
            "direction": "outbound",
            "encoding": "GSM-7",
            "errors": [],
            "from": {"carrier": "TELNYX LLC", "line_type": "Wireless", "phone_number": SENDER},
            "id": "40385f64-5717-4562-b3fc-2c963f66afa6",
            "messaging_profile_id": GROUP_ID.removeprefix("gr:"),
            "organization_id": GROUP_ID.removeprefix("gr:"),
            "parts": 1,
            "received_at": "2023-08-24T05:01:45.437Z",
            "record_type": "message",
            "tags": [],
            "text": TEXT,
            "to": [{"carrier": "T-MOBILE USA, INC.", "phone_number": NUMBERS[0], "status": "queued"}],
            "type": "SMS",
            "valid_until": "2023-08-24T05:01:45.437Z",
            "webhook_url": "https://www.example.com/hooks",
        }
    },
)
SLACK: Final = Dialect(
    path="/api/chat.postMessage",
    authorization=f"Bearer {SLACK_TOKEN}",
    content_type="application/json;charset=utf-8",
    recipient=_slack,
    reply={
        "ok": True,
        "channel": "C123456",
        "ts": "1503435956.000247",
        "message": {"text": TEXT, "username": "benchmark", "bot_id": "B123456", "type": "message", "subtype": "bot"},
    },
)

DIALECTS: Final = (PIDJ, TWILIO, TELNYX, SLACK)
