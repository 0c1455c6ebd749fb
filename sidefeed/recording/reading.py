"""Reads a recording: the lines that are looked for, and what they come to by endpoint."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from .recorder import FORMAT, RecordingError

Line = dict[str, Any]

_ID = re.compile(
    r"\d+|[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{20,}|[0-9A-Fa-f]{16,}\S*|(?=.*\d)[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?|[\w=+-]{40,}")
"""A segment of a path that names one object: a number, a UUID, an id of Salesforce, Notes or Graph."""
_FILE = re.compile(r".+(\.(?:ics|vcf))", re.IGNORECASE)
_STATUS = re.compile(r"[1-5](?:\d\d|xx)", re.IGNORECASE)


def read(file: Path) -> list[Line]:
    """The lines of a recording, in the order in which the answers came. Raises RecordingError, naming a line that is
    none; an unfinished last line, of a run that was killed, is left out."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RecordingError(f"{file} cannot be read ({error.strerror}).") from None
    lines: list[Line] = []
    for number, text in enumerate(content.splitlines(keepends=True), 1):
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            if lines and not text.endswith(b"\n"):
                break
            line = None
        if not isinstance(line, dict) or line.get("format") != FORMAT:
            raise RecordingError(f"{file}, line {number}: not a recorded call. `sidefeed sync --record-calls FILE` "
                                 f"makes a recording.")
        lines.append(line)
    return lines


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are looked for; what is empty allows all. ``status`` is a number, ``4xx``, ``none`` (no answer) or
    ``failed``; ``slow`` milliseconds; ``about`` a part of the URL, the operation, an error, a run or a request id."""

    systems: Sequence[str] = ()
    status: str = ""
    slow: float = 0.0
    about: str = ""

    def __post_init__(self) -> None:
        if self.status and self.status not in ("failed", "none") and not _STATUS.fullmatch(self.status):
            raise RecordingError(f"--status is a number such as 429, a class such as 4xx, `none` for calls without an "
                                 f"answer, or `failed`; not {self.status!r}.")

    def has(self, line: Line) -> bool:
        if self.systems and line["system"] not in self.systems:
            return False
        if line["ms"] < self.slow or not self._status(line):
            return False
        texts = (unquote(line["url"]), line["operation"], line["error"], line["request_id"], line["run"] or "",
                 *line["codes"])
        return not self.about or any(self.about.lower() in text.lower() for text in texts)

    def _status(self, line: Line) -> bool:
        match self.status.lower():
            case "":
                return True
            case "failed":
                return failed(line)
            case "none":
                return line["status"] is None
        digits = self.status.lower().rstrip("x")
        return line["status"] is not None and str(line["status"]).startswith(digits)


def failed(line: Line) -> bool:
    """Whether a call failed as a whole, or something in it did. A step of signing in has not."""
    return bool((line["error"] and line["error"] != "sign-in") or line["codes"])


def endpoint(line: Line) -> str:
    """The method and path with ids taken out, and what the request was about."""
    path = "/".join(_segment(unquote(each)) for each in urlsplit(line["url"]).path.split("/"))
    return " ".join(each for each in (line["method"], path or "/", line["operation"]) if each)


def _segment(text: str) -> str:
    if "@" in text:
        return "{address}"
    found = _FILE.fullmatch(text)
    if found:
        return "{id}" + found[1]
    return "{id}" if _ID.fullmatch(text) else text


@dataclass(slots=True)
class Total:
    """What the calls to one endpoint of a system come to; times in milliseconds, ``bytes`` of both directions."""

    system: str
    endpoint: str
    calls: int = 0
    failed: int = 0
    retries: int = 0
    bytes: int = 0
    times: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"system": self.system, "endpoint": self.endpoint, "calls": self.calls, "failed": self.failed,
                "retries": self.retries, "bytes": self.bytes, "median_ms": round(statistics.median(self.times), 1),
                "slowest_ms": max(self.times), "total_ms": round(sum(self.times), 1)}


def totals(lines: Iterable[Line]) -> list[Total]:
    """By system and endpoint, those that took longest in all first."""
    found: dict[tuple[str, str], Total] = {}
    for line in lines:
        one = found.setdefault((line["system"], endpoint(line)), Total(line["system"], endpoint(line)))
        one.calls += 1
        one.failed += failed(line)
        one.retries += line["retry"] > 0
        one.bytes += line["bytes_out"] + line["bytes_in"]
        one.times.append(line["ms"])
    return sorted(found.values(), key=lambda one: -sum(one.times))


def sizes(number: int) -> str:
    """Bytes as people read them."""
    return f"{number:,}" if number < 10_000 else f"{number / 1000:,.0f}k"


def headers(line: Line) -> Iterator[tuple[str, str, str]]:
    for way in ("sent", "got"):
        for name, value in line[way].items():
            yield way, name, value
