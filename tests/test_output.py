"""What the command line prints for people."""

from __future__ import annotations

import pytest

from sidefeed.cli import output


def test_in_a_pipe_each_row_keeps_its_line_whatever_width_was_inherited(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output.table("Long", ["name", "value"], [["n" * 70, "v" * 70], ["short", "2"]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["Long", f"{'name':70}  value", f"{'n' * 70}  {'v' * 70}", f"{'short':70}  2"]
