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
_BODIES: Final = frozenset(form(number) for number in NUMBERS)


@attrs.frozen(kw_only=True)
class Dialect:
    """One service.

    Attributes:
        path: Where a text is posted.
        authorization: The value of that header.
        content_type: The value of that one, in lower case.
        is_right: Whether a body is one of the texts that are meant to be sent.
        reply: What the service answers, as its document shows it.
        status: With which status.
    """

    path: str
    authorization: str
    content_type: str
    is_right: Callable[[bytes], bool]
    reply: Mapping[str, Any]
    status: str = "200 OK"


def _twilio(body: bytes) -> bool:
    fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return fields.keys() == {"To", "From", "Body"} and _is_text(fields["To"], fields["From"], fields["Body"])


def _telnyx(body: bytes) -> bool:
    fields = json.loads(body)
    return fields.keys() == {"to", "from", "text"} and _is_text(fields["to"], fields["from"], fields["text"])


def _slack(body: bytes) -> bool:
    fields = json.loads(body)
    return fields == {"channel": fields.get("channel"), "text": TEXT} and fields["channel"] in _NUMBERS


def _is_text(to: str, sender: str, text: str) -> bool:
    return to in _NUMBERS and sender == SENDER and text == TEXT


PIDJ: Final = Dialect(
    path=PATH,
    authorization=AUTHORIZATION,
    content_type=_FORM,
    is_right=_BODIES.__contains__,
    reply={"code": 200, "status": "success", "message": "Message sent."},
)
TWILIO: Final = Dialect(
    path=f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Messages.json",
    authorization="Basic " + base64.b64encode(f"{TWILIO_ACCOUNT}:{TOKEN}".encode()).decode(),
    content_type=_FORM,
    is_right=_twilio,
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
    is_right=_telnyx,
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
    is_right=_slack,
    reply={
        "ok": True,
        "channel": "C123456",
        "ts": "1503435956.000247",
        "message": {"text": TEXT, "username": "benchmark", "bot_id": "B123456", "type": "message", "subtype": "bot"},
    },
)

DIALECTS: Final = (PIDJ, TWILIO, TELNYX, SLACK)
