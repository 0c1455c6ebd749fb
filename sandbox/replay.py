"""A recording of calls, answered again: what a system said on a bad day becomes a test.

A recording is a file with one JSON object per line for each call that a client made, bodies included (in Sidefeed
`--record-calls FILE --record-bodies`). Each system in it gets a server that gives the recorded answers in their order.
Nothing is computed: a request that nobody made when the recording was made is refused, and kept in `missed`.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from .kit import CertificateAuthority, DropConnection, PracticeServer, Request, Response
from .launch import CONTROL_PORT_OFFSET, LaunchError, stopped_by_signals

Line = Mapping[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_SENT = {"content-length", "content-encoding", "transfer-encoding", "connection"}
_SIGNING_IN = "sign-in"


class ReplayServer(PracticeServer):
    """Gives the answers of one system's recorded calls.

    A request gets the first answer, of those not given yet, to the same method, path and query; else to the same method
    and path, where what the call was about (`operation`) occurs in the request: times in a query differ from day to
    day. A GET that comes again gets its answer again. Where a recorded body and that of this request hold as
    many UUIDs, those of today take the place of the recorded ones in every answer, so that keys made anew are found
    again. Calls that got no answer are hung up on. Any credentials will do, and no step of a sign-in is asked for.
    """

    name: ClassVar[str] = "replay"
    head_as_get: ClassVar[bool] = False

    def __init__(self, lines: Sequence[Line], **options: Any) -> None:
        super().__init__(**options)
        self._lines = [line for line in lines if line["error"] != _SIGNING_IN]
        self._origins = sorted({_origin(line["url"]) for line in lines}, key=len, reverse=True)
        self._given: set[int] = set()
        self._today: dict[str, str] = {}
        self.missed: list[str] = []

    @property
    def left(self) -> list[str]:
        """The calls whose answers nobody asked for yet, as method and path."""
        return [_label(line) for number, line in enumerate(self._lines) if number not in self._given]

    def handle(self, request: Request) -> Response:
        found = self._find(request)
        if found is None:
            self.missed.append(f"{request.method} {request.path}")
            return Response.of_text(f"The recording has no answer left to {request.method} {request.path}.\n", 501)
        self._given.add(found)
        line = self._lines[found]
        self._note_uuids(line.get("body_out") or "", request.body.decode("utf-8", "replace"))
        if line["status"] is None:
            raise DropConnection
        if line.get("body_in") is None and line["bytes_in"]:
            return Response.of_text(f"The answer to call {line['number']} was left out: {line.get('left_out')}\n", 501)
        headers = [(name, self._ours(value)) for name, value in line["got"].items() if name.lower() not in _NOT_SENT]
        return Response(line["status"], self._ours(line.get("body_in") or "").encode(), headers)

    def _find(self, request: Request) -> int | None:
        path, query = _plain(request.path), sorted((name, _plain(value)) for name, value in request.query)
        there = [number for number, line in enumerate(self._lines)
                 if line["method"] == request.method and _path(line) == path]
        exact = [number for number in there if _query(self._lines[number]) == query]
        text = unquote(request.body.decode("utf-8", "replace")) + " ".join(value for _name, value in query)
        alike = [number for number in there if self._lines[number]["operation"] in text]
        for choice in (exact if request.method == "GET" else [one for one in exact if one in alike], alike):
            for number in choice:
                if number not in self._given:
                    return number
        return exact[-1] if exact and request.method == "GET" else None

    def _note_uuids(self, recorded: str, today: str) -> None:
        old, new = _UUID.findall(recorded), _UUID.findall(today)
        if len(old) == len(new):
            self._today |= dict(zip(old, new, strict=True))

    def _ours(self, text: str) -> str:
        """An answer that leads back here, with the UUIDs of today."""
        for origin in self._origins:
            text = text.replace(origin, self.url)
        return _UUID.sub(lambda found: self._today.get(found[0], found[0]), text)


def read(file: Path) -> dict[str, list[Line]]:
    """The calls of a recording, by system. Raises `LaunchError` for a file that is none, or has no bodies."""
    found: dict[str, list[Line]] = {}
    try:
        for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            line = json.loads(text)
            if "body_in" not in line:
                raise LaunchError(f"{file}, line {number}: without bodies nothing can be answered; record them too")
            found.setdefault(line["system"], []).append(line)
    except OSError as error:
        raise LaunchError(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise LaunchError(f"{file}, line {number}: not a recorded call") from None
    if not found:
        raise LaunchError(f"{file} holds no calls")
    return found


def up(
    file: Path, *, host: str = "127.0.0.1", port: int = 0, tls: bool = False, json_output: bool = False,
    write: Callable[[str], object] | None = None, until: threading.Event | None = None,
) -> dict[str, ReplayServer]:
    """Answer from a recording until SIGINT or SIGTERM (or `until` is set); the servers, which have stopped by then.

    What was missed, and what nobody asked for, is theirs to tell. Raises `LaunchError`.
    """
    say = write if write is not None else _say
    done = until if until is not None else threading.Event()
    calls = read(file)
    authority = CertificateAuthority() if tls else None
    servers: dict[str, ReplayServer] = {}
    with stopped_by_signals(done), ExitStack() as running:
        for index, (name, lines) in enumerate(calls.items()):
            server = ReplayServer(lines, host=host, port=port + index if port else 0, ca=authority)
            server.control_port = port + CONTROL_PORT_OFFSET + index if port else 0
            try:
                servers[name] = running.enter_context(server)
            except OSError as error:
                raise LaunchError(f"cannot listen: {error.strerror or error}; choose another --port") from None
        if authority is not None:
            running.callback(authority.close)
        say(_told(servers, calls, json_output=json_output))
        done.wait()
    return servers


def _told(servers: Mapping[str, ReplayServer], calls: Mapping[str, Sequence[Line]], *, json_output: bool) -> str:
    there = {name: {"url": server.url, "ca_file": str(server.ca_file) if server.ca_file else None,
                    "calls": len(calls[name]), "recorded_at": _origin(calls[name][0]["url"])}
             for name, server in servers.items()}
    if json_output:
        return json.dumps({"servers": there})
    lines = [f"{name}: {one['url']} answers {one['calls']} calls that went to {one['recorded_at']}"
             + (f", certificate {one['ca_file']}" if one["ca_file"] else "") for name, one in there.items()]
    return "\n".join([*lines, "Any credentials will do. Stop with Ctrl-C."])


def _origin(url: str) -> str:
    found = urlsplit(url)
    return f"{found.scheme}://{found.netloc}"


def _plain(text: str) -> str:
    return _UUID.sub("{uuid}", unquote(text))


def _path(line: Line) -> str:
    return _plain(urlsplit(line["url"]).path or "/")


def _query(line: Line) -> list[tuple[str, str]]:
    return sorted((name, _plain(value)) for name, value in parse_qsl(urlsplit(line["url"]).query, True))


def _label(line: Line) -> str:
    return f"{line['method']} {urlsplit(line['url']).path}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
