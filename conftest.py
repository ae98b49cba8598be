"""Runs the Python examples of README.md and docs/, each document against a sandbox of its own.

An example may use ``await`` at its top level, as one would inside a function. The variables that `Pidj.from_env` reads
are set, so an example opens its client the way a program does. The examples of a document share one namespace and one
event loop, in the order in which they stand there.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
from typing import TYPE_CHECKING, Any
from unittest import mock

from sybil import Sybil
from sybil.evaluators.python import pad
from sybil.parsers.myst import CodeBlockParser

if TYPE_CHECKING:
    from sybil import Example

FILES = ("README.md", "docs/*.md")

_STAGE = "__stage__"


class Stage:
    """What the examples of one document stand on."""

    def __init__(self) -> None:
        from pidj_async import Sandbox  # noqa: PLC0415  only these examples need it

        self._cleanup = contextlib.ExitStack()
        sandbox = self._cleanup.enter_context(Sandbox())
        self._runner = self._cleanup.enter_context(asyncio.Runner())
        self._environ = {
            "PIDJ_ACCOUNT_KEY": sandbox.account_key,
            "PIDJ_TOKEN": sandbox.token,
            "PIDJ_BASE_URL": sandbox.base_url,
        }

    def run(self, code: Any, namespace: dict[str, Any]) -> None:
        with mock.patch.dict(os.environ, self._environ):
            result = eval(code, namespace)  # noqa: S307  our own documents
            if code.co_flags & inspect.CO_COROUTINE:
                self._runner.run(result)

    def close(self) -> None:
        self._cleanup.close()


def set_up(namespace: dict[str, Any]) -> None:
    namespace[_STAGE] = Stage()


def tear_down(namespace: dict[str, Any]) -> None:
    namespace[_STAGE].close()
    namespace.clear()


def evaluate(example: Example) -> None:
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    example.namespace[_STAGE].run(code, example.namespace)


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser(language="python", evaluator=evaluate)],
    patterns=FILES,
    setup=set_up,
    teardown=tear_down,
).pytest()
