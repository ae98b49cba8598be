"""``pidj campaign report`` and ``export``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from pidj_async.cli.campaign_results import COLUMNS
from pidj_async.sandbox import Sandbox
from tests.cli.conftest import ANN, BO, JO, Campaigns


@pytest.fixture
def done(campaigns: Campaigns, sandbox: Sandbox) -> Campaigns:
    """A campaign with one text sent, one rejected, and one in doubt."""
    sandbox.fail_next("messages.send", status=422)
    sandbox.fail_next("messages.send", drop=True)
    campaigns.send("--concurrency", "1", to=campaigns.people(JO, ANN, BO))
    return campaigns


# --- export -------------------------------------------------------------------------------------------------------


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_results_are_a_csv(done: Campaigns, tmp_path: Path) -> None:
    """A line for each recipient, in the list's order; numbers are masked unless it was asked not to."""
    file = tmp_path / "results.csv"
    result = done("export", "spring", str(file))
    assert (0, "", "3 exported; numbers are masked, --unmask writes them whole.\n") == (
        result.exit_code,
        result.stdout,
        result.stderr,
    )
    rows = rows_of(file.read_text(encoding="utf-8"))
    assert list(COLUMNS) == list(rows[0])
    assert [("+120******01", "rejected", "2"), ("+120******02", "in_doubt", "3"), ("+120******03", "sent", "4")] == [
        (row["phone_number"], row["state"], row["line"]) for row in rows
    ]
    assert ("1", "1", "") == tuple(rows[2][name] for name in ("attempts", "segments", "cause"))
    assert float(rows[2]["seconds"]) > 0
    assert "2025550101" not in file.read_text(encoding="utf-8")


def test_whole_numbers_are_exported_when_asked_for(done: Campaigns) -> None:
    """To standard output, with what is told on standard error."""
    result = done("export", "spring", "-", "--unmask")
    assert "3 exported.\n" == result.stderr
    assert ["+12025550101", "+12025550102", "+12025550103"] == [row["phone_number"] for row in rows_of(result.stdout)]


def test_some_states_are_exported(done: Campaigns) -> None:
    """--state says which, and may be repeated."""
    result = done("export", "spring", "-", "--state", "rejected", "--state", "sent")
    assert ["rejected", "sent"] == [row["state"] for row in rows_of(result.stdout)]
    assert 2 == done("export", "spring", "-", "--state", "lost").exit_code


def test_csv_and_json_do_not_share_standard_output(done: Campaigns, tmp_path: Path) -> None:
    """Into a file both are possible."""
    assert 2 == done("export", "spring", "-", "--json").exit_code
    told = done("export", "spring", str(tmp_path / "x.csv"), "--json").stdout
    assert {"id": "spring", "exported": 3} == json.loads(told)


@pytest.mark.parametrize("command", [("export", "spring"), ("report", "spring", "--html")])
def test_a_file_that_cannot_be_written(command: tuple[str, ...], done: Campaigns, tmp_path: Path) -> None:
    """It ends with 2, and says why."""
    result = done(*command, str(tmp_path / "no" / "such.file"))
    assert (2, "") == (result.exit_code, result.stdout)
    assert "No such file" in result.stderr


@pytest.mark.parametrize("command", [("export", "autumn"), ("report", "autumn", "--html")])
def test_of_a_campaign_that_is_not_there_no_file_is_made(
    command: tuple[str, ...], done: Campaigns, tmp_path: Path
) -> None:
    """It ends with 5."""
    assert 5 == done(*command, str(tmp_path / "x")).exit_code
    assert not (tmp_path / "x").exists()


def test_an_answer_is_no_formula() -> None:
    """What Pidj answered is opened by spreadsheets, which would calculate it."""
    from pidj_async.cli.campaign_results import _harmless  # noqa: PLC0415  most tests look from outside

    assert {"error": "'=1+1", "cause": None} == _harmless({"error": "=1+1", "cause": None})
    assert {"error": "HTTP 422"} == _harmless({"error": "HTTP 422"})
    assert {"error": None} == _harmless({"error": None})


# --- report -------------------------------------------------------------------------------------------------------


def test_a_report_is_one_page(done: Campaigns, tmp_path: Path) -> None:
    """Numbers are masked unless it was asked not to."""
    page = tmp_path / "report.html"
    result = done("report", "spring", "--html", str(page))
    assert (0, "", f"The report is in {page}.\n") == (result.exit_code, result.stdout, result.stderr)
    html = page.read_text(encoding="utf-8")
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert "2025550102" not in html
    done("report", "spring", "--html", str(page), "--unmask")
    assert "2025550102" in page.read_text(encoding="utf-8")


def test_a_report_to_standard_output(done: Campaigns) -> None:
    """The page and nothing else."""
    result = done("report", "spring", "--html", "-")
    assert (0, "") == (result.exit_code, result.stderr)
    assert result.stdout.rstrip().endswith("</html>")


def test_a_reports_figures_are_json_too(done: Campaigns, tmp_path: Path) -> None:
    """With what they cost, if it is known what a segment does."""
    options = ("--price-per-segment", "0.0075", "--currency", "CHF", "--json")
    figures = json.loads(done("report", "spring", "--html", str(tmp_path / "x.html"), *options).stdout)
    assert ("spring", 1, "0.0075", "CHF") == (
        figures["id"],
        figures["counts"]["sent"],
        figures["segments"]["cost_sent"],
        figures["segments"]["currency"],
    )
    assert 2 == done("report", "spring", "--html", "-", "--json").exit_code
