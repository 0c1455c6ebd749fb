"""One thing wrong with a mapping, with the place to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """An ``error`` will lose or refuse data; a ``warning`` may; a ``note`` is worth knowing and no fault."""

    severity: Severity
    code: str
    system: str
    object: str
    field: str
    file: str
    line: int
    column: int
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message} {self.remedy} [{self.code}]"

    def annotation(self) -> str:
        """The line by which a GitHub workflow marks the place ("Workflow commands", GitHub documentation)."""
        level = {"error": "error", "warning": "warning", "note": "notice"}[self.severity]
        place = f"file={_escaped(self.file, ':,')},line={self.line},col={self.column},title={self.code}"
        return f"::{level} {place}::{_escaped(f'{self.message} {self.remedy}')}"


def _escaped(text: str, more: str = "") -> str:
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text
