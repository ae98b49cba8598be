"""What is public is said to be, and importing it costs nothing."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pidj_async

ROOT = Path(pidj_async.__file__).parent

# These import what an extra brings, or begin to work when they are imported.
NOT_IMPORTED = {"pidj_async.__main__"}


def module_names() -> list[str]:
    found = [info.name for info in pkgutil.walk_packages(pidj_async.__path__, "pidj_async.")]
    return ["pidj_async", *sorted(set(found) - NOT_IMPORTED)]


PUBLIC = [name for name in module_names() if not any(part.startswith("_") for part in name.split("."))]


def source_of(module: ModuleType) -> ast.Module:
    return ast.parse(Path(module.__file__ or "").read_text("utf-8"))


def defined_in(module: ModuleType) -> set[str]:
    """The classes and functions without an underscore that a module defines."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {one.name for one in source_of(module).body if isinstance(one, kinds) and not one.name.startswith("_")}


def shared_in_its_room(name: str) -> set[str]:
    """What the modules of the same folder import from a module."""
    room = name.rpartition(".")[0]
    files = (ROOT.parent / room.replace(".", "/")).glob("*.py") if room != "pidj_async" else ()
    return {
        alias.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == name
        for alias in node.names
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_there_and_sorted(name: str) -> None:
    """Constants first, then classes, then functions, as the linter sorts them."""
    module = importlib.import_module(name)
    exported = module.__all__

    def rank(one: str) -> tuple[int, str]:
        return (0 if one.isupper() else 1 if one[0].isupper() else 2, one)

    assert sorted(set(exported), key=rank) == list(exported)


@pytest.mark.parametrize("name", PUBLIC)
def test_all_names_what_exists(name: str) -> None:
    """Nothing is promised that is not there."""
    module = importlib.import_module(name)

    assert [] == [one for one in module.__all__ if not hasattr(module, one)]
    assert [] == [one for one in module.__all__ if one.startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_all_names_everything_public(name: str) -> None:
    """What a module defines without an underscore is exported, unless only the modules beside it share it."""
    module = importlib.import_module(name)

    assert [] == sorted(defined_in(module) - set(module.__all__) - shared_in_its_room(name))


# ------------------------------------------------------------------------------------------------------ the package


def homes_for_type_checkers() -> dict[str, str]:
    """The imports under ``if TYPE_CHECKING:``: each name with the module that it comes from."""
    found: dict[str, str] = {}
    for node in ast.walk(source_of(pidj_async)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                assert isinstance(line, ast.ImportFrom)
                found |= {alias.name: (line.module or "").removeprefix("pidj_async.") for alias in line.names}
    return found


def test_every_lazy_name_has_a_home() -> None:
    """What is exported is what can be fetched, and dir() shows it."""
    assert set(pidj_async.__all__) == set(pidj_async._HOMES)
    assert sorted(pidj_async.__all__) == dir(pidj_async)


def test_type_checkers_see_the_same_homes() -> None:
    """The imports that only they read are in step with the table that Python reads."""
    assert pidj_async._HOMES == homes_for_type_checkers()


@pytest.mark.parametrize("name", pidj_async.__all__)
def test_a_name_is_what_its_home_has(name: str) -> None:
    """And fetching it a second time gives the same."""
    home = importlib.import_module(f"pidj_async.{pidj_async._HOMES[name]}")

    assert getattr(home, name) is getattr(pidj_async, name) is getattr(pidj_async, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match=r"^module 'pidj_async' has no attribute 'Pigeon'$"):
        _ = pidj_async.Pigeon


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running some code."""
    path = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r})"
    program = f"{path}\n{code}\nimport json; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True, check=True, timeout=60, text=True,
    )  # fmt: skip
    return set(json.loads(shown.stdout))


def loaded_by(code: str) -> set[str]:
    return modules_after(code) - modules_after("pass")


def test_importing_the_package_loads_nothing() -> None:
    """Not httpx, attrs, cattrs, nor any module of ours: whoever only imports pays for nothing."""
    loaded = loaded_by("import pidj_async")

    assert {"pidj_async"} == {name for name in loaded if name.startswith("pidj_async")}
    assert set() == {name.partition(".")[0] for name in loaded} & {"httpx", "attr", "attrs", "cattrs", "anyio"}


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("from pidj_async import PidjError", {"attr", "cattrs", "httpx", "anyio"}),
        ("from pidj_async import SendText", {"cattrs", "httpx", "anyio", "iso3166", "zoneinfo"}),
        ("import pidj_async.endpoints", {"cattrs", "httpx", "anyio"}),
        ("import pidj_async.sansio", {"cattrs", "httpx", "anyio"}),
        ("import pidj_async.webhooks", {"httpx", "httpcore", "starlette", "uvicorn"}),
    ],
)
def test_a_part_loads_only_what_it_needs(code: str, forbidden: set[str]) -> None:
    """Each room brings its own furniture only."""
    assert set() == {name.partition(".")[0] for name in loaded_by(code)} & forbidden
