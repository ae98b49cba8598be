"""Directives that read the reference from the code's own tables, so that it cannot say anything else.

``endpoint-table`` is the overview of the calls and ``endpoint-details`` explains each call's arguments; ``exit-codes``
lists how the command ends, and ``sandbox-controls`` what a test can ask of a sandbox over HTTP.
"""

from __future__ import annotations

import inspect
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from docstring_parser import parse
from sphinx.util.docutils import SphinxDirective

from pidj_async.cli.exits import EXIT_CODES
from pidj_async.cli.sandbox import CONTROLS
from pidj_async.endpoints import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata, OptionSpec

    from pidj_async._endpoint import Endpoint
    from pidj_async._fields import FieldInfo


def call(row: Endpoint[Any]) -> str:
    return f"pidj.{row.name}"


def anchor(row: Endpoint[Any]) -> str:
    return "call-" + row.name.replace(".", "-").replace("_", "-")


def result(row: Endpoint[Any]) -> str:
    model = f"{{py:class}}`~pidj_async.models.{row.model.__name__}`"
    return f"tuple of {model}" if row.many else model


def repeatable(row: Endpoint[Any]) -> str:
    return "yes" if row.safe_to_repeat else "**no**"


def presence(field: FieldInfo) -> str:
    if field.required:
        return "required"
    return "optional; `None` clears it" if field.clearable else "optional"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def overview() -> Iterator[str]:
    yield "| call | HTTP | returns | safe to repeat |"
    yield "|---|---|---|---|"
    for row in TABLE:
        yield f"| [`{call(row)}`](#{anchor(row)}) | `{row.method} {row.path}` | {result(row)} | {repeatable(row)} |"


def details() -> Iterator[str]:
    by_namespace = sorted(TABLE, key=lambda row: NAMESPACES.index(row.namespace))
    for namespace, rows in groupby(by_namespace, key=lambda row: row.namespace):
        yield from ("", f"## {namespace or 'The account'}")
        for row in rows:
            yield from _details(row)


def _details(row: Endpoint[Any]) -> Iterator[str]:
    said = parse(inspect.getdoc(row.request) or "")
    explained = {param.arg_name: param.description or "" for param in said.params}
    yield from ("", f"({anchor(row)})=", f"### `{call(row)}`", "")
    yield from (said.short_description or "", "")
    if said.long_description:
        yield from (said.long_description, "")
    verbs = " or ".join(f"`{verb}`" for verb in (row.method, *row.also))
    request = f"{{py:class}}`~pidj_async.requests.{row.request.__name__}`"
    yield f"{verbs} `{row.path}` · returns {result(row)} · safe to repeat: {repeatable(row)} · as a value: {request}"
    yield ""
    if row.streamed:
        yield f"`pidj.{row.namespace}.stream()` hands over the same one by one, while the reply is still arriving."
        yield ""
    if fields := row.fields():
        yield "| argument | | what it is |"
        yield "|---|---|---|"
        for field in fields:
            yield f"| `{field.name}` | {presence(field)} | {cell(explained[field.name])} |"
    else:
        yield "It takes no arguments."


def exit_codes() -> Iterator[str]:
    yield "| code | what it means |"
    yield "|---|---|"
    for one in sorted(EXIT_CODES, key=lambda one: one.code):
        yield f"| {one.code} | {cell(one.meaning)} |"


def sandbox_controls() -> Iterator[str]:
    yield "| address | body | what it does |"
    yield "|---|---|---|"
    for verb, name, body, does in CONTROLS:
        yield f"| `{verb} /_sandbox/{name}` | {f'`{body}`' if body else ''} | {cell(does)} |"


NAMESPACES = list(dict.fromkeys(row.namespace for row in TABLE))


class EndpointTable(SphinxDirective):
    """The calls, one line for each."""

    option_spec: ClassVar[OptionSpec] = {}

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(overview()))


class EndpointDetails(SphinxDirective):
    """The calls with their arguments, under a heading for each."""

    option_spec: ClassVar[OptionSpec] = {}

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(details()), allow_section_headings=True)


class ExitCodes(SphinxDirective):
    """What the command's exit codes mean."""

    option_spec: ClassVar[OptionSpec] = {}

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(exit_codes()))


class SandboxControls(SphinxDirective):
    """What stands below ``/_sandbox/``."""

    option_spec: ClassVar[OptionSpec] = {}

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(sandbox_controls()))


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("endpoint-table", EndpointTable)
    app.add_directive("endpoint-details", EndpointDetails)
    app.add_directive("exit-codes", ExitCodes)
    app.add_directive("sandbox-controls", SandboxControls)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
