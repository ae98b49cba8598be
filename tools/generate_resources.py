"""Write `pidj_async/_resources.py`, the client's methods, from the endpoint table.

    python tools/generate_resources.py [--check]

Why a generated module and not a descriptor: both were tried in pyright's language server. See "How the methods are
made" in docs/architecture.md.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from itertools import groupby
from pathlib import Path
from typing import Any

from docstring_parser import parse

from pidj_async._endpoint import Endpoint
from pidj_async._fields import FieldInfo, FlagKind, ListKind
from pidj_async.endpoints import TABLE

TARGET = Path(__file__).parent.parent / "pidj_async" / "_resources.py"

CLASSES = {
    None: ("RootCalls", "_Calls", "The calls that stand on the client itself."),
    "messages": ("Messages", "SendsMany", "The calls under ``pidj.messages``."),
    "tasks": ("Tasks", "_Calls", "The calls under ``pidj.tasks``."),
    "users": ("Users", "_Calls", "The calls under ``pidj.users``."),
    "sso": ("Sso", "_Calls", "The calls under ``pidj.sso``."),
    "contacts": ("Contacts", "_Calls", "The calls under ``pidj.contacts``."),
    "groups": ("Groups", "_Calls", "The calls under ``pidj.groups``."),
    "series": ("SeriesCalls", "_Calls", "The calls under ``pidj.series``."),
    "surveys": ("Surveys", "_Calls", "The calls under ``pidj.surveys``."),
}


STREAM_DOC = """Iterate over what `{row.method_name}` returns, while the reply is still arriving.

::

    async for one in pidj.{row.namespace}.stream():
        print(one.id)

However many there are, only some are in memory at a time. It raises what `{row.method_name}` raises, while it is
iterated over. What fails before the first result is tried again, as with every call; what fails after it is
raised, so that nothing is handed over twice. A reply that ends too early is an error, never a short list. The
client's ``deadline`` bounds the wait for each result.

Returns:
    What to iterate over. Left before its end it closes its connection: at once, if used as ``async with``.

Raises:
    ConfigurationError: If the client's transport cannot stream.
"""


def annotation(field: FieldInfo) -> str:
    """The plain type of a field, as a reader of the signature wants to see it."""
    kind = field.kind
    if isinstance(kind, FlagKind):
        text = "bool"
    elif isinstance(kind, ListKind):
        text = "Sequence[Role]" if field.name == "roles" else "Sequence[str]"
    elif field.name == "channel":
        text = 'Literal["ticket"]'
    else:
        text = "str"
    if field.clearable:
        text += " | None"
    if not field.required and field.on_wire:
        text += " | Unset"
    return text


def parameter(field: FieldInfo) -> str:
    default = "" if field.required else " = UNSET" if field.on_wire else " = False"
    return f"{field.name}: {annotation(field)}{default}"


def result(row: Endpoint[Any]) -> str:
    return f"tuple[{row.model.__name__}, ...]" if row.many else row.model.__name__


def docstring(row: Endpoint[Any]) -> str:
    parsed = parse(inspect.getdoc(row.request) or "")
    parts = [parsed.short_description or ""]
    if parsed.long_description:
        parts += ["", parsed.long_description]
    if parsed.params:
        parts += ["", "Args:"]
        for param in parsed.params:
            description = " ".join((param.description or "").split())
            parts.append(
                textwrap.fill(
                    f"{param.arg_name}: {description}",
                    width=108,
                    initial_indent="    ",
                    subsequent_indent="        ",
                    break_on_hyphens=False,
                    break_long_words=False,
                )
            )
    parts += ["", "Raises:"]
    if row.fields():
        parts.append("    InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.")
    parts.append("    APIError: Pidj said no; see the subclasses.")
    if row.safe_to_repeat:
        parts.append("    TransportError: No usable reply, also after trying again.")
    else:
        parts.append("    NotSentError: Proven: nothing left this machine.")
        parts.append(
            "    OutcomeUnknownError: It may have been acted on. It is not tried again: it is not safe to repeat."
        )
    parts.append("    ResponseError: The reply is not what the API promises.")
    return "\n".join(parts)


def method(row: Endpoint[Any], positional: set[str]) -> str:
    fields = row.fields()
    first = [parameter(field) for field in fields if field.name in positional]
    rest = [parameter(field) for field in fields if field.name not in positional]
    signature = ["self", *first, *(["*"] if rest else []), *rest]
    arguments = [field.name if field.name in positional else f"{field.name}={field.name}" for field in fields]
    doc = textwrap.indent(f'"""{docstring(row)}\n"""', "        ").replace("        \n", "\n")
    trailing = "," if len(signature) > 3 else ""
    return (
        f"    async def {row.method_name}({', '.join(signature)}{trailing}) -> {result(row)}:\n"
        f"{doc}\n"
        f"        return await self._client.execute(requests.{row.request.__name__}({', '.join(arguments)}))\n"
    )


def stream(row: Endpoint[Any]) -> str:
    doc = textwrap.indent(f'"""{STREAM_DOC.format(row=row, model=row.model.__name__)}"""', "        ")
    doc = doc.replace("        \n", "\n")
    return (
        f"    def stream(self) -> Stream[{row.model.__name__}]:\n"
        f"{doc}\n"
        f"        return self._client.stream(requests.{row.request.__name__}())\n"
    )


def positional_fields(row: Endpoint[Any]) -> set[str]:
    parameters = inspect.signature(row.request).parameters.values()
    return {one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}


def module() -> str:
    models = sorted({row.model.__name__ for row in TABLE})
    names = sorted(name for name, *_ in CLASSES.values())
    lines = [
        '"""The client\'s methods, made from the endpoint table by ``tools/generate_resources.py``: do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Sequence",
        "from typing import TYPE_CHECKING, Literal",
        "",
        "from pidj_async import requests",
        "from pidj_async._unset import UNSET, Unset",
        "from pidj_async.bulk import SendsMany",
        "from pidj_async.streaming import Stream",
        "",
        "if TYPE_CHECKING:",
        "    from pidj_async._fields import Role",
        "    from pidj_async.client import Pidj",
        f"    from pidj_async.models import {', '.join(models)}",
        "",
        f"__all__ = {names!r}",
        "",
        "",
        "class _Calls:",
        "    # No __slots__: people replace a method with a mock in their tests.",
        "",
        '    def __init__(self, client: "Pidj") -> None:',
        "        self._client = client",
        "",
        "    def __repr__(self) -> str:",
        '        return f"<{type(self).__name__} of {self._client!r}>"',
        "",
    ]

    def place(row: Endpoint[Any]) -> int:
        return list(CLASSES).index(row.namespace)

    for namespace, rows in groupby(sorted(TABLE, key=place), key=lambda row: row.namespace):
        name, base, doc = CLASSES[namespace]
        bases = base if base == "_Calls" else f"{base}, _Calls"
        lines += ["", f"class {name}({bases}):", f'    """{doc}"""', ""]
        for row in rows:
            lines.append(method(row, positional_fields(row)))
            if row.streamed:
                lines.append(stream(row))
    return "\n".join(lines)


def formatted(source: str) -> str:
    for command in (["check", "--fix", "--quiet", "--exit-zero"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"],
            input=source,
            capture_output=True,
            text=True,
            check=True,
        )
        source = done.stdout
    return source


def main() -> int:
    source = formatted(module())
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() == source:
            return 0
        print(f"{TARGET.name} is not what the table says; run: python tools/generate_resources.py", file=sys.stderr)
        return 1
    TARGET.write_text(source)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
