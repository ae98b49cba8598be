"""A server that knows nothing of Pidj: it writes down what it is sent and answers what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from attrs import frozen

__all__ = ["Recorded", "Recorder"]


@frozen
class Recorded:
    """One request, as it stood on the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Recorded], tuple[int, dict[str, str], bytes]]


def _success(_: Recorded) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b'{"code":200,"status":"success"}'


class Recorder:
    """Serves on loopback while its context lasts.

    Args:
        answer: Maps a request to status, headers and body.
    """

    def __init__(self, answer: Answer = _success) -> None:
        self.answer = answer
        self.requests: list[Recorded] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                seen = Recorded(
                    self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length)
                )
                recorder.requests.append(seen)
                status, headers, body = recorder.answer(seen)
                # One write, or Nagle's algorithm makes every reply 40 ms late.
                head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Content-Type: application/json"]
                head += [f"{name}: {value}" for name, value in headers.items()]
                self.wfile.write("\r\n".join([*head, "", ""]).encode() + body)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 256

            def handle_error(self, *_: Any) -> None:
                """A client that hangs up is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """What to give the client."""
        return f"http://127.0.0.1:{self._server.server_port}/api/2020"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def reply(status: int = 200, **fields: Any) -> tuple[int, dict[str, str], bytes]:
    """An answer with an envelope."""
    envelope = {"code": status, "status": "success" if status < 400 else "error", **fields}
    return status, {}, json.dumps(envelope).encode()
