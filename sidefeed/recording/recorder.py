"""Writes a recording: one line of JSON for each request that a connector sends."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlsplit

import orjson

from sidefeed.calendars.redact import secret_raw
from sidefeed.connector import Call, Recordable

from .bodies import Redaction
from .strip import Secrets, secret_settings

if TYPE_CHECKING:
    from sidefeed.connector import Connector
    from sidefeed.mapping import Mapping as Mappings
    from sidefeed.workspace import Store

FORMAT = 1

ERRORS = {400: "invalid", 401: "authentication-failed", 403: "permission-denied", 404: "gone", 409: "conflict",
          410: "gone", 412: "conflict", 422: "invalid", 423: "locked", 429: "rate-limited"}
"""The contract's class of error that a status usually means; what the connector made of it is in the run's report."""
_NEVER_SENT = ("ConnectError", "ConnectTimeout", "ConnectTimeoutError", "NewConnectionError", "NameResolutionError")
_UNTRUSTED = ("SSLError", "SSLCertVerificationError")
_SIGNING_IN = ("ntlm", "negotiate")
_REQUEST_IDS = ("request-id", "x-request-id", "x-correlation-id")


class RecordingError(Exception):
    """A recording cannot be made or read; the message says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class _System:
    name: str
    told: Recordable
    headers: frozenset[str]
    redaction: Redaction | None


class Recorder:
    """One file, made new and readable by its owner alone, that connectors fill while they work.

    A recording never disturbs what it records: a line that cannot be written is counted in ``lost``, with the reason in
    ``trouble``. Lines are written whole and at once, so that a killed run leaves what it had sent.
    """

    def __init__(self, file: Path, *, bodies: bool = False, command: str = "") -> None:
        self.file = file
        self.bodies = bodies
        self.written = 0
        self.lost = 0
        self.trouble = ""
        self._store: Store | None = None
        self._mappings: Mappings | None = None
        self._command = command
        self._secrets = Secrets()
        self._key = secrets.token_bytes(16)
        self._failed: dict[bytes, int] = {}
        self._lock = Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        try:
            self._descriptor: int | None = os.open(file, flags, 0o600)
        except FileExistsError:
            raise RecordingError(
                f"{file} exists already and is left as it is. Name another file, or remove it.") from None
        except OSError as error:
            raise RecordingError(f"{file} cannot be written ({error.strerror}). Name a file in a folder that you may "
                                 f"write to.") from None

    def follow(self, store: Store, mappings: Mappings) -> None:
        """From now on each line tells the run that this workspace is in (a plan and a census are none), and fields that
        these mappings take for the words of a meeting are withheld. Before that no CRM's bodies are kept."""
        self._store, self._mappings = store, mappings

    def listen(self, system: str, connector: Connector, settings: Mapping[str, Any]) -> None:
        """Record what this connector sends from now on. What stands in its settings as a secret is stripped."""
        told: Recordable = getattr(connector, "recordable", Recordable())
        self._secrets.learn(secret_settings(settings))
        known = self._mappings.for_system(system) if self._mappings is not None else ()
        how = told.bodies if told.bodies == "shape" or self._mappings is not None else "none"
        names = frozenset(raw for om in known for raw in secret_raw(om))
        redaction = Redaction(how, told.plain, names, self._secrets, self._key) if self.bodies else None
        headers = frozenset(name.lower() for name in (*told.headers, *told.request_ids))
        connector.calls.listener = partial(self._heard, _System(system, told, headers, redaction))

    def close(self) -> None:
        """Close the file, and remove it where nothing was heard; what is heard afterwards is not written."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                if not self.written and not self.lost:
                    self.file.unlink(missing_ok=True)
            self._descriptor = None

    def _heard(self, system: _System, call: Call) -> None:
        with self._lock:
            if self._descriptor is None:
                return
            try:
                line = orjson.dumps(self._line(system, call)) + b"\n"
                os.write(self._descriptor, line)
                self.written += 1
            except Exception as error:  # the answer must reach the connector, whatever becomes of its record
                self.lost += 1
                self.trouble = getattr(error, "strerror", None) or type(error).__name__

    def _line(self, system: _System, call: Call) -> dict[str, Any]:
        sent, got = _lower(call.sent), _lower(call.got)
        self._secrets.learn_headers(sent)
        self._secrets.learn_headers(got)
        error = error_of(call, sent, got)
        line = {
            "format": FORMAT, "number": self.written + self.lost + 1, "command": self._command,
            "run": self._store.run if self._store is not None else None, "system": system.name,
            "at": datetime.fromtimestamp(call.at, UTC).isoformat(timespec="milliseconds"),
            "ms": round(call.seconds * 1000, 1), "method": call.method, "operation": _operation(system.told, call),
            "sent": self._secrets.headers(call.sent, system.headers), "bytes_out": len(call.sent_body),
            "status": call.status, "got": self._secrets.headers(call.got, system.headers),
            "bytes_in": len(call.got_body), "retry": self._retry(system.name, call, error),
            "request_id": _first(got, (*system.told.request_ids, *_REQUEST_IDS)), "error": error,
            "codes": _codes(system.told, call),
        }  # fmt: skip
        if system.redaction is not None:
            kinds = sent.get("content-type", "").lower(), got.get("content-type", "").lower()
            failed = bool(error) or call.status == 207
            line["body_out"], line["body_in"], line["left_out"] = system.redaction.pair(
                (call.sent_body, kinds[0]), (call.got_body, kinds[1]), failed=failed)
        line["url"] = self._secrets.url(call.url)
        return line

    def _retry(self, system: str, call: Call, error: str) -> int:
        """How often this very request had failed in a row before."""
        digest = blake2b(f"{system} {call.method} {call.url} ".encode() + call.sent_body, digest_size=16).digest()
        before = self._failed.pop(digest, 0)
        if error == "sign-in":
            self._failed[digest] = before
        elif error:
            self._failed[digest] = before + 1
        return before


def error_of(call: Call, sent: Mapping[str, str], got: Mapping[str, str]) -> str:
    """What went wrong, as a word: empty where nothing did, ``sign-in`` for a step of NTLM that is no refusal."""
    if call.status is None:
        names = [type(each).__name__ for each in _causes(call.failure)]
        if any(name in _UNTRUSTED for name in names):
            return "tls-failed"
        return "no-connection" if any(name in _NEVER_SENT for name in names) else "no-answer"
    if call.status == 401:
        scheme, _, challenge = got.get("www-authenticate", "").lower().partition(" ")
        if scheme.strip(",") in _SIGNING_IN and ("authorization" not in sent or challenge.strip()):
            return "sign-in"
    if call.status == 503 and "retry-after" in got:
        return "rate-limited"
    return ERRORS.get(call.status) or ("unavailable" if call.status >= 500 else "invalid" if call.status >= 400 else "")


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    """An error and what stands behind it: requests and urllib3 keep that in arguments, in ``reason`` or as causes."""
    left, seen = [error], 0
    while left and seen < 20:
        each, seen = left.pop(), seen + 1
        if isinstance(each, BaseException):
            yield each
            left += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]


def _operation(told: Recordable, call: Call) -> str:
    """What the request was about, where the connector says how to find it: an object, an operation."""
    if told.asked and (found := re.search(told.asked, unquote_plus(urlsplit(call.url).query))):
        return found[1]
    if told.sent and (found := re.search(told.sent, call.sent_body[:20_000].decode("utf-8", "replace"))):
        return found[1]
    return ""


def _codes(told: Recordable, call: Call) -> list[str]:
    """The system's own error codes in the answer, each once."""
    if not told.codes or call.status is None:
        return []
    with contextlib.suppress(UnicodeDecodeError):
        return list(dict.fromkeys(re.findall(told.codes, call.got_body.decode())))[:20]
    return []


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in headers.items()}


def _first(headers: Mapping[str, str], names: Iterable[str]) -> str:
    return next((headers[name.lower()] for name in names if name.lower() in headers), "")
