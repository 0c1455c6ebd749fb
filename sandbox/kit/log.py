"""The request log: what clients asked, with every secret taken out before it is kept, and its replay.

A log in memory keeps the last requests without their bodies. A record file keeps all of them with their bodies, one
JSON object per line, and can be played again against any server of the same kind.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote_plus, urlencode

from .http import Request

HIDDEN = "[redacted]"

_SECRET_NAMES = (
    "access_token|refresh_token|id_token|token|auth_token|session_?id|sid|client_secret|secret|password|passwd|pwd|"
    "pw|assertion|client_assertion|code_verifier|hapikey|api_?key|private_?key|token_?key|new_?password|authorization"
)
_SECRET_PARAMETER = re.compile(rf"(?:{_SECRET_NAMES}|code)", re.IGNORECASE)  # `code` in a record is data
_TOKEN_IN_PATH = re.compile(r"(/(?:access|refresh)-tokens/)[^/]+")
_SECRET_HEADER = re.compile(
    r"authorization|proxy-authorization|cookie|set-cookie|.*token.*|.*secret.*|.*password.*|.*api-?key.*|.*signature.*|"
    r".*session.*",
    re.IGNORECASE,
)
_IN_JSON = re.compile(rf'("(?:{_SECRET_NAMES})"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_IN_XML = re.compile(rf"(<((?:[\w.-]+:)?(?:{_SECRET_NAMES}))(?:\s[^>]*)?>)[^<]*(</\2\s*>)", re.IGNORECASE)
_IN_FORM = re.compile(rf"(^|[&?;])((?:{_SECRET_NAMES}|code)=)[^&\s]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request and what came of it. `status` 0: no reply was sent. `ms` is time spent in the server."""

    ordinal: int
    at: str
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    endpoint: str
    status: int
    ms: float
    bytes_in: int
    bytes_out: int
    fault: str | None = None


class RequestLog:
    """The last `keep` requests in memory and, where a file was given, all of them with their bodies in it."""

    def __init__(self, record: Path | None = None, keep: int = 10_000) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=keep)
        self._record = record
        self._file: TextIO | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[LogEntry]:
        return iter(list(self._entries))

    def add(
        self, request: Request, *, ordinal: int, at: str, status: int, ms: float, bytes_out: int, fault: str | None
    ) -> None:
        """Keep one request, redacted."""
        secrets = _credentials(request)
        entry = LogEntry(
            ordinal=ordinal,
            at=at,
            method=request.method,
            path=_TOKEN_IN_PATH.sub(rf"\1{HIDDEN}", _without(request.path, secrets)),
            query=[
                (name, HIDDEN if _SECRET_PARAMETER.fullmatch(name) else _without(value, secrets))
                for name, value in request.query
            ],
            headers=[(name, HIDDEN if _is_secret_header(name) else value) for name, value in request.headers.items()],
            endpoint=_TOKEN_IN_PATH.sub(rf"\1{HIDDEN}", _without(str(request.state.get("endpoint", "")), secrets)),
            status=status,
            ms=round(ms, 3),
            bytes_in=len(request.body),
            bytes_out=bytes_out,
            fault=fault,
        )
        self._entries.append(entry)
        if self._record is not None:
            self._write(entry, redact_body(request.body, secrets))

    def clear(self) -> None:
        """Forget the requests kept in memory; a record file stays."""
        self._entries.clear()

    def close(self) -> None:
        """Close the record file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, entry: LogEntry, body: bytes) -> None:
        if self._file is None:
            assert self._record is not None
            self._record.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._record.open("a", encoding="utf-8")
        line = asdict(entry)
        try:
            line["body"] = body.decode("utf-8")
        except UnicodeDecodeError:
            line["body_base64"] = base64.b64encode(body).decode("ascii")
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def redact_body(body: bytes, secrets: tuple[str, ...] = ()) -> bytes:
    """A JSON, XML or form body without passwords, tokens and codes, nor any of the given texts."""
    if not body:
        return body
    text = body.decode("utf-8", "surrogateescape")
    if text.lstrip()[:1] in ("{", "["):
        text = _IN_JSON.sub(rf'\1"{HIDDEN}"', text)
    elif text.lstrip()[:1] == "<":
        text = _IN_XML.sub(rf"\1{HIDDEN}\3", text)
    else:
        text = _IN_FORM.sub(rf"\1\2{HIDDEN}", text)
    return _without(text, secrets).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Replayed:
    """One request played again: what it got then and now."""

    ordinal: int
    method: str
    path: str
    status_then: int
    status_now: int


def replay(file: Path, url: str, *, headers: dict[str, str] | None = None, verify: Any = True) -> list[Replayed]:
    """Send the requests of a record file, in order, to the server at `url`.

    Credentials are never recorded: pass today's in `headers`. Requests that were dropped without a reply are sent too.
    Raises `ValueError` naming the line that is no record.
    """
    import httpx  # servers themselves never need an HTTP client

    results: list[Replayed] = []
    with httpx.Client(base_url=url, verify=verify, timeout=60) as client, file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                method, path, query = entry["method"], entry["path"], entry["query"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{file}, line {number}: not a record of a request ({error})") from error
            target = path + ("?" + urlencode([tuple(pair) for pair in query]) if query else "")
            answer = client.request(
                method, target, content=_recorded_body(entry), headers=_replay_headers(entry["headers"], headers or {})
            )
            results.append(Replayed(entry["ordinal"], method, path, entry["status"], answer.status_code))
    return results


_HOP_HEADERS = {"host", "content-length", "transfer-encoding", "content-encoding", "connection", "expect"}


def _replay_headers(recorded: list[tuple[str, str]], given: dict[str, str]) -> list[tuple[str, str]]:
    """The recorded headers that mean something elsewhere, under those given for today."""
    replaced = {name.lower() for name in given} | _HOP_HEADERS
    kept = [(name, value) for name, value in recorded if value != HIDDEN and name.lower() not in replaced]
    return [*kept, *given.items()]


def _recorded_body(entry: dict[str, Any]) -> bytes:
    if "body_base64" in entry:
        return base64.b64decode(entry["body_base64"])
    return str(entry.get("body", "")).encode()


def _is_secret_header(name: str) -> bool:
    known = _HEADER_VERDICTS.get(name)
    if known is None:
        known = _SECRET_HEADER.fullmatch(name) is not None
        if len(_HEADER_VERDICTS) < 1000:
            _HEADER_VERDICTS[name] = known
    return known


_HEADER_VERDICTS: dict[str, bool] = {}


def _credentials(request: Request) -> tuple[str, ...]:
    """The credential itself, so that it is removed wherever else it occurs (a session id in a SOAP header, a path)."""
    value = request.headers.get("Authorization")
    if not value:
        return ()
    credential = value.rpartition(" ")[2]
    return (credential,) if len(credential) >= 8 else ()


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
        elif "%" in text and secret in unquote_plus(text):
            return HIDDEN
    return text
