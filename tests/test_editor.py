"""What a user's editor shows of the client: a signature, the documentation of each argument, the type of the result."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pidj_async
from pidj_async._endpoint import Endpoint
from pidj_async.endpoints import TABLE
from tests.editor import CURSOR, Editor, EditorError

# One language server for all of them, when pytest-xdist deals out the tests.
pytestmark = pytest.mark.xdist_group("editor")

SOURCES = [Path(pidj_async.__file__).parents[1]]
SEND = 'await pidj.messages.send(to_number="+18885553333", text_body="Hi", group_id="gr:1")'
TO_NUMBER = "to_number: Whom to text, in E.164."


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    with Editor(tmp_path_factory.mktemp("project"), sources=SOURCES) as editor:
        yield editor


def program(line: str) -> str:
    """A user's program that makes one call."""
    return f"from pidj_async import Pidj\n\n\nasync def main(pidj: Pidj) -> None:\n    {line}\n"


def marked(line: str, before: str) -> str:
    """Put the cursor into the word that begins with ``before``."""
    assert line.count(before) == 1
    return line.replace(before, before[:-1] + CURSOR + before[-1])


def parameter_names(parameters: tuple[str, ...]) -> list[str]:
    return [name for name in (re.split("[:=]", parameter)[0].strip() for parameter in parameters) if name != "*"]


# ------------------------------------------------------------------------------------------------------ messages.send


def test_hovering_over_a_call_shows_its_signature_and_its_arguments(editor: Editor) -> None:
    """One parameter a line with its type, what the call gives back, and the words about each argument."""
    code, _, prose = editor.hover(editor.open(program(marked(SEND, "messages.send")))).partition("\n---\n")

    shown = code.splitlines()
    assert "(method) def send(" in shown
    assert "    to_number: str," in shown
    assert "    text_body: str," in shown
    assert "    from_number: str | Unset = UNSET," in shown
    assert "    group_id: str | Unset = UNSET," in shown
    assert code.endswith(", TextSent]\n```")
    assert TO_NUMBER in prose
    assert "Give either `from_number` or `group_id`." in prose


def test_between_the_parentheses_the_parameters_are_listed(editor: Editor) -> None:
    """The fixed names in their order, the result, and the documentation, before anything is typed."""
    (signature,) = editor.signatures(editor.open(program(f"await pidj.messages.send({CURSOR})")))

    assert ["to_number", "text_body", "from_number", "group_id"] == parameter_names(signature.parameters)[:4]
    assert signature.label.endswith(", TextSent]")
    assert TO_NUMBER in signature.documentation


def test_the_parameter_being_typed_is_highlighted(editor: Editor) -> None:
    """By its name, also out of order."""
    (signature,) = editor.signatures(editor.open(program(f"await pidj.messages.send(group_id={CURSOR})")))

    assert signature.active == "group_id: str | Unset = UNSET"


def test_the_names_of_the_arguments_are_offered(editor: Editor) -> None:
    """Whoever types in the parentheses chooses from the arguments."""
    offered = editor.completions(editor.open(program(f"await pidj.messages.send({CURSOR})")))

    assert {"to_number=", "text_body=", "from_number=", "group_id="} <= set(offered)


def test_after_the_dot_the_calls_are_offered_with_their_documentation(editor: Editor) -> None:
    """Public names come first, and the documentation of each is beside it."""
    spot = editor.open(program(f"await pidj.messages.{CURSOR}"))
    offered = editor.completions(spot)
    send = editor.completion(spot, "send")

    public = [name for name in offered if not name.startswith("_")]
    assert "send" in public
    assert tuple(public) == offered[: len(public)]
    assert send.kind == "method"
    assert TO_NUMBER in send.documentation


def test_go_to_definition_leads_to_a_method_to_read(editor: Editor) -> None:
    """Not to a descriptor or a table."""
    (place,) = editor.definitions(editor.open(program(marked(SEND, "messages.send"))))

    assert place.text == "async def send("
    assert place.path.is_relative_to(Path(pidj_async.__file__).parent)


def test_what_is_awaited_has_its_type(editor: Editor) -> None:
    """The result is a `TextSent`, not something unknown."""
    assert "(variable) result: TextSent" in editor.hover(editor.open(program(marked(f"result = {SEND}", "result"))))


# ---------------------------------------------------------------------------------------------------- the other calls


def test_an_update_shows_what_can_be_cleared(editor: Editor) -> None:
    """The id comes first, by position; ``None`` is allowed for a field that can be removed."""
    (signature,) = editor.signatures(editor.open(program(f"await pidj.contacts.update({CURSOR})")))

    assert ("contact_id: str", "*") == signature.parameters[:2]
    assert signature.active == "contact_id: str"
    assert "email_address: str | Unset | None = UNSET" in signature.parameters  # pyright puts None last


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_call_of_the_table_is_explained(editor: Editor, row: Endpoint[Any]) -> None:
    """Its parameters are the fields of its request, in their order, and each has its words."""
    (signature,) = editor.signatures(editor.open(program(f"await pidj.{row.name}({CURSOR})")))

    names = [field.name for field in row.fields()]
    assert names == parameter_names(signature.parameters)
    documented = re.findall(r"^    (\w+): \S", signature.documentation.partition("\nRaises:")[0], re.MULTILINE)
    assert names == documented
    assert "Unknown" not in signature.label
    assert "Any]" not in signature.label


# --------------------------------------------------------------------------------------------------- the editor itself


def test_columns_count_utf_16_units(editor: Editor) -> None:
    """A character outside the basic plane before the cursor counts twice, as the protocol has it."""
    assert "(function) def len" in editor.hover(editor.open(f'x = "😀" * le{CURSOR}n("abc")'))


def test_a_document_needs_one_cursor(editor: Editor) -> None:
    """None, or two, is a mistake in the test."""
    with pytest.raises(ValueError, match="once"):
        editor.open("x = 1")
    with pytest.raises(ValueError, match="once"):
        editor.open(f"{CURSOR}x = {CURSOR}1")


def test_a_name_that_is_not_offered_is_said_to_be_so(editor: Editor) -> None:
    """An unknown name is an error, not an empty documentation."""
    with pytest.raises(EditorError, match="'sned' is not offered"):
        editor.completion(editor.open(program(f"await pidj.messages.{CURSOR}")), "sned")


def test_the_server_has_ended_when_the_editor_is_closed(tmp_path: Path) -> None:
    """By itself and in peace: it was asked to."""
    with Editor(tmp_path) as editor:
        process = editor._process
        assert process.poll() is None

    assert process.returncode == 0


def test_the_server_has_ended_when_the_test_fails(tmp_path: Path) -> None:
    """An exception inside the block leaves no process behind, and comes out unchanged."""
    editor = Editor(tmp_path)
    with pytest.raises(KeyError), editor:
        raise KeyError

    assert editor._process.returncode == 0


def test_a_server_that_dies_is_reported(tmp_path: Path) -> None:
    """Whoever asks it gets an error at once, and closing the editor still works."""
    with Editor(tmp_path) as editor:
        spot = editor.open(f"x{CURSOR} = 1")
        editor._process.kill()
        editor._process.wait()
        for _ in range(2):
            with pytest.raises(EditorError, match="ended"):
                editor.hover(spot)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be suspended by a signal there")
def test_a_server_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come in time is an error, and the process is ended all the same."""
    monkeypatch.setattr("tests.editor._TO_END", 0.1)
    with Editor(tmp_path) as editor:
        spot = editor.open(f"x{CURSOR} = 1")
        os.kill(editor._process.pid, signal.SIGSTOP)
        editor._timeout = 0.1
        with pytest.raises(EditorError, match="no answer to textDocument/hover in time"):
            editor.hover(spot)

    assert editor._process.returncode == -signal.SIGKILL


def test_without_node_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra that brings it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EditorError, match=r"pip install \"pyright\[nodejs\]\""), Editor(tmp_path):
        pass
