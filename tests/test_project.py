"""The habits of this project that no other tool checks."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import pidj_async
from pidj_async._version import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

MODULES = sorted(
    module.name
    for module in walk_packages(pidj_async.__path__, "pidj_async.")
    if not any(part.startswith("_") for part in module.name.split("."))
)


@pytest.mark.parametrize("name", ["pidj_async", *MODULES])
def test_every_public_module_exports_what_it_says(name: str) -> None:
    """A public module has an ``__all__`` and a docstring, and everything named there exists, once."""
    module = import_module(name)
    assert module.__doc__
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    assert [export for export in module.__all__ if not hasattr(module, export)] == []


@pytest.mark.parametrize("name", ["pidj_async", "pidj_async.webhooks", "pidj_async.sandbox"])
def test_a_package_that_imports_late_still_lists_its_names(name: str) -> None:
    """``dir`` of a package shows its exports before they are used, and any other name is an `AttributeError`."""
    module = import_module(name)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = module.nonsense


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.name)
def test_every_test_states_its_claim(path: Path) -> None:
    """A test has a docstring."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, FUNCTION))
    tests = [function for function in functions if function.name.startswith("test_")]
    assert [test.name for test in tests if not ast.get_docstring(test)] == []


FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_the_package_says_that_it_is_typed() -> None:
    """``py.typed`` (PEP 561) lies in the package, or no type checker would look at it."""
    assert Path(pidj_async.__path__[0], "py.typed").is_file()


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import pidj_async", {"anyio", "attrs", "cattrs", "httpx"}),
        ("from pidj_async.webhooks import Dispatcher, Receiver, parse_event", {"cattrs", "httpcore", "httpx"}),
        ("from pidj_async import Pidj", {"click", "rich", "starlette", "uvicorn"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(code: str, unwanted: set[str]) -> None:
    """Nobody pays for, or has to install, what they do not use."""
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert unwanted & set(loaded.stdout.split()) == set()


def test_the_changelog_knows_this_version() -> None:
    """The version of the distribution has a section in the changelog."""
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_nox_runs_every_python_that_is_promised() -> None:
    """The Pythons of nox are those of the classifiers, and the first of them is the least that is required."""
    prefix = "Programming Language :: Python :: 3."
    promised = [f"3.{one.removeprefix(prefix)}" for one in PROJECT["project"]["classifiers"] if one.startswith(prefix)]
    assignments = (node for node in ast.parse((ROOT / "noxfile.py").read_text()).body if isinstance(node, ast.Assign))
    pythons = next(ast.literal_eval(node.value) for node in assignments if ast.unparse(node.targets[0]) == "PYTHONS")
    assert promised == pythons
    assert PROJECT["project"]["requires-python"] == f">={pythons[0]}"


def test_every_extra_is_in_the_documentation() -> None:
    """The extras that a user may want are explained where the installation is."""
    extras = PROJECT["project"]["optional-dependencies"].keys() - {"benchmark", "dev"}
    told = (ROOT / "docs" / "getting-started.md").read_text()
    assert {extra for extra in extras if f"| `{extra}` |" not in told} == set()
