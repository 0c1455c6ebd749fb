"""Changes to mapping files made by a tool: one word at one place, so that comments, order and layout stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .compile import load
from .files import MappingErrors

_PLAIN = re.compile(r"[A-Za-z_][\w./ -]*\w|[A-Za-z_]|\d+")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``old``, which stands at this place, by ``new``; or, with ``key``, put the option ``key: new`` beside it.
    ``short`` names the option that ``old`` stands for where it stands alone (``name: Title`` for ``field``)."""

    file: str
    line: int
    column: int
    old: str
    new: str
    key: str = ""
    short: str = "field"

    def __str__(self) -> str:
        what = f"add `{self.key}: {self.new}`" if self.key else f"write {self.new!r} instead of {self.old!r}"
        return f"{self.file}:{self.line}: {what}"


class NotApplied(Exception):
    """The files are as they were; the message says why."""


def apply(folder: Path, edits: Iterable[Edit], values: Mapping[str, Any] | None = None) -> list[Path]:
    """Make the edits, the last place first. Raises NotApplied where a place holds something else by now, or where the
    files would not load."""
    by_file: dict[str, list[Edit]] = {}
    for edit in edits:
        by_file.setdefault(edit.file, []).append(edit)
    before = {folder.parent / file if file.startswith(f"{folder.name}/") else folder / file: told
              for file, told in by_file.items()}
    texts = {path: path.read_text(encoding="utf-8") for path in before}
    wanted = {path: _edited(texts[path], told) for path, told in before.items()}
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    try:
        load(folder, values)
    except MappingErrors as error:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        raise NotApplied(f"the edits do not fit, and the files are as they were: {error}") from None
    return list(wanted)


def _edited(text: str, edits: list[Edit]) -> str:
    lines = text.split("\n")
    for edit in sorted(edits, key=lambda each: (each.line, each.column, not each.key), reverse=True):
        lines[edit.line - 1:edit.line] = _line(lines[edit.line - 1], edit)
    return "\n".join(lines)


def _line(line: str, edit: Edit) -> list[str]:
    at = edit.column - 1
    token = next((form for form in _forms(edit.old) if line.startswith(form, at)), None)
    if token is None:
        raise NotApplied(f"{edit.file}:{edit.line} does not hold {edit.old!r} any more; nothing was changed.")
    head, tail = line[:at], line[at + len(token):]
    if not edit.key:
        return [f"{head}{scalar(edit.new)}{tail}"]
    option = f"{edit.key}: {scalar(edit.new)}"
    alone = re.fullmatch(r"(\s*)([\w.]+|\"[^\"]*\"):\s+", head)
    if alone is None:
        return [f"{head}{token}, {option}{tail}"]
    if alone[2] == edit.short:
        return [line, f"{alone[1]}{option}"]
    return [f"{head}{{{edit.short}: {token}, {option}}}{tail}"]


def _forms(old: str) -> tuple[str, ...]:
    return (f'"{old}"', f"'{old}'", old)


def scalar(word: str) -> str:
    """A word as YAML takes it anywhere."""
    if _PLAIN.fullmatch(word) and (word.lower() not in _WORDS or word in ("true", "false")):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
