"""Calls a sandbox as curl would: no client of ours between the test and the wire."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from pidj_async.sandbox import GROUP_ID, Sandbox

__all__ = ["MARIA", "Api"]

MARIA = "+18885553333"


class Api:
    """Speaks to one sandbox. Every reply is checked for what the vendor promises of all of them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.client = httpx.Client(auth=(sandbox.account_key, sandbox.token), timeout=30, trust_env=False)
        self.base_url = sandbox.base_url
        self.url = sandbox.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()

    def __call__(self, method: str, path: str, **form: str) -> dict[str, Any]:
        """Call the API with a form, and return the envelope."""
        response = self.client.request(method, self.base_url + path, data=form or None)
        envelope: dict[str, Any] = response.json()
        assert response.status_code == envelope["code"]
        assert response.headers["content-type"] == "application/json"
        assert (envelope["code"] == 200) == (envelope["status"] == "success")
        return envelope

    def refused(self, method: str, path: str, **form: str) -> tuple[int, str, str]:
        """Call the API, and return code, status and message, of which a refusal consists."""
        envelope = self(method, path, **form)
        assert {"code", "status", "message"} == envelope.keys()
        return envelope["code"], envelope["status"], envelope["message"]

    def control(self, method: str, name: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        """Call a control."""
        response = self.client.request(method, f"{self.url}/_sandbox/{name}", json=arguments or None)
        return response.status_code, response.json()

    def create_contact(self, phone_number: str = MARIA, **fields: str) -> str:
        contact_id: str = self("POST", "/contact", phone_number=phone_number, **fields)["id"]
        return contact_id

    def create_user(self, username: str = "maria", **fields: str) -> str:
        user_id: str = self("POST", "/user", username=username, password="pass word", **fields)["id"]
        return user_id

    def contact(self, contact_id: str) -> dict[str, Any]:
        contact: dict[str, Any] = self("GET", f"/contact/{contact_id}")["contact"]
        return contact

    def send(self, to_number: str = MARIA, **fields: str) -> dict[str, Any]:
        fields = {"text_body": "Hello", "group_id": GROUP_ID, **fields}
        return self("POST", "/send", to_number=to_number, **fields)

    @staticmethod
    def by_phone(phone_number: str) -> str:
        return f"/contact/by-phone/{quote(phone_number, safe='')}"
