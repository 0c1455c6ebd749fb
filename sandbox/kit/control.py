"""The control API: faults, counters, log, clock, snapshots and conditions of a practice server, over plain HTTP.

It has its own port, so that nothing of it is counted, logged or hit by a fault. `openapi.json` beside this module
documents it; `sandbox.kit.client.Control` is its Python client.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from .faults import TRANSPORT_KINDS, Fault, FaultHit
from .http import BadJson, Connection, Request, Response
from .wire import Refused, pack, read_request, send

if TYPE_CHECKING:
    from .server import PracticeServer

_MAX_BODY = 16 * 1024 * 1024


class Refusal(Exception):
    """The control request is wrong; status and message for its sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ControlServer:
    """Answers the control API for one practice server, on that server's thread."""

    def __init__(self, server: PracticeServer) -> None:
        self._server = server
        self._routes: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "/openapi.json"): lambda _: openapi(),
            ("GET", "/health"): self._health,
            ("GET", "/connection"): lambda _: server.connection_info(),
            ("GET", "/faults"): self._list_faults,
            ("POST", "/faults"): self._add_fault,
            ("DELETE", "/faults"): self._remove_faults,
            ("GET", "/faults/hits"): lambda _: [_hit(hit) for hit in server.faults.hits],
            ("DELETE", "/faults/hits"): self._forget_hits,
            ("GET", "/counters"): lambda _: server.counters.as_dict(),
            ("DELETE", "/counters"): self._reset_counters,
            ("GET", "/log"): self._log,
            ("DELETE", "/log"): self._clear_log,
            ("GET", "/crashes"): lambda _: [asdict(crash) for crash in server.crashes],
            ("GET", "/clock"): lambda _: self._clock(),
            ("POST", "/clock"): self._set_clock,
            ("GET", "/snapshots"): lambda _: sorted(server.snapshots),
            ("POST", "/snapshot"): self._snapshot,
            ("POST", "/restore"): self._restore,
            ("GET", "/conditions"): lambda _: server.conditions,
        }

    async def answer(self, base: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        """Serve one control request."""
        try:
            response = self._respond(await read_request(base, connection, _MAX_BODY))
        except Refused as refused:
            response = refused.response
        packed = pack(response, base.headers.get("Accept-Encoding", ""))
        return (await send(base, response, packed, self._server.clock.now()))[0]

    def _respond(self, request: Request) -> Response:
        try:
            return _json(self._route(request))
        except Refusal as refusal:
            return _json({"error": str(refusal)}, refusal.status)
        except BadJson as error:
            return _json({"error": f"the body is not valid JSON: {error}"}, 400)
        except Exception:
            return self._server.crash(request)

    def _route(self, request: Request) -> Any:
        method = "GET" if request.method == "HEAD" else request.method
        path = request.path.rstrip("/") or "/"
        route = self._routes.get((method, path))
        if route is not None:
            return route(request)
        if method == "POST" and path.startswith("/conditions/"):
            return self._condition(unquote(path.removeprefix("/conditions/")), _arguments(request))
        if method == "DELETE" and path.startswith("/faults/"):
            return self._remove_fault(unquote(path.removeprefix("/faults/")))
        allowed = sorted({verb for verb, known in self._routes if known == path})
        if allowed:
            raise Refusal(405, f"{path} takes {', '.join(allowed)}")
        raise Refusal(404, f"no control resource {path}; GET /openapi.json lists them")

    def _health(self, _: Request) -> Any:
        return {"name": self._server.name, "url": self._server.url, "crashes": len(self._server.crashes)}

    def _list_faults(self, _: Request) -> Any:
        kinds = {**TRANSPORT_KINDS, **{kind: _doc(function) for kind, function in self._server.fault_kinds.items()}}
        return {"active": [asdict(fault) for fault in self._server.faults.active], "kinds": kinds}

    def _add_fault(self, request: Request) -> Any:
        wanted = _arguments(request)
        try:
            fault = self._server.faults.add(_fault(wanted))
        except (ValueError, TypeError) as error:
            raise Refusal(400, str(error)) from error
        return asdict(fault)

    def _remove_faults(self, _: Request) -> Any:
        self._server.faults.clear()
        return {}

    def _remove_fault(self, identifier: str) -> Any:
        try:
            self._server.faults.remove(int(identifier))
        except (KeyError, ValueError) as error:
            raise Refusal(404, f"no fault {identifier} in force") from error
        return {}

    def _forget_hits(self, _: Request) -> Any:
        self._server.faults.hits.clear()
        return {}

    def _reset_counters(self, _: Request) -> Any:
        self._server.counters.reset()
        return {}

    def _log(self, request: Request) -> Any:
        entries = [asdict(entry) for entry in self._server.log]
        last = request.param("last")
        if last is None:
            return entries
        if not last.isdecimal():
            raise Refusal(400, f"last is a number of entries, not {last!r}")
        return entries[-int(last) :] if int(last) else []

    def _clear_log(self, _: Request) -> Any:
        self._server.log.clear()
        return {}

    def _clock(self) -> Any:
        return {"now": self._server.clock.now().isoformat(), "fixed": self._server.clock.fixed}

    def _set_clock(self, request: Request) -> Any:
        wanted = _arguments(request)
        unknown = set(wanted) - {"fix", "move", "run"}
        if unknown or not wanted:
            raise Refusal(400, "give one or more of: fix (an ISO time, or null for now), move (seconds), run (true)")
        clock = self._server.clock
        try:
            if "fix" in wanted:
                clock.fix(wanted["fix"])
            if "move" in wanted:
                clock.move(float(wanted["move"]))
            if wanted.get("run"):
                clock.run()
        except (ValueError, TypeError, OverflowError) as error:
            raise Refusal(400, f"the clock cannot be set so: {error}") from error
        return self._clock()

    def _snapshot(self, request: Request) -> Any:
        name = _name(request)
        try:
            self._server.save_snapshot(name)
        except NotImplementedError as error:
            raise Refusal(501, str(error)) from error
        return {"name": name}

    def _restore(self, request: Request) -> Any:
        name = _name(request)
        try:
            self._server.restore_snapshot(name)
        except KeyError as error:
            raise Refusal(404, str(error.args[0])) from error
        return {"name": name}

    def _condition(self, name: str, args: dict[str, Any]) -> Any:
        if name not in self._server.conditions:
            known = ", ".join(sorted(self._server.conditions)) or "none"
            raise Refusal(404, f"no condition {name!r}; known: {known}")
        try:
            return {"result": self._server.condition(name, **args)}
        except (KeyError, ValueError, TypeError) as error:
            raise Refusal(400, f"condition {name}: {error}") from error


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the control API."""
    document: dict[str, Any] = json.loads(files(__package__).joinpath("openapi.json").read_text("utf-8"))
    return document


def _fault(wanted: dict[str, Any]) -> Fault:
    wanted = {key: value for key, value in wanted.items() if key not in ("id", "hits")}
    if not isinstance(wanted.get("kind"), str):
        raise Refusal(400, "a fault has a kind; GET /faults lists them")
    args = wanted.get("args", {})
    if not isinstance(args, dict):
        raise Refusal(400, "args is an object")
    checks: dict[str, tuple[type, ...]] = {
        "kind": (str,),
        "method": (str,),
        "path": (str,),
        "count": (int, type(None)),
        "probability": (int, float),
        "skip": (int,),
        "args": (dict,),
        "contains": (str, type(None)),
    }
    for key, value in wanted.items():
        if key not in checks:
            raise Refusal(400, f"a fault has no {key!r}; it has {', '.join(checks)}")
        if not isinstance(value, checks[key]) or isinstance(value, bool):
            raise Refusal(400, f"{key} cannot be {json.dumps(value)}")
    return Fault(**wanted)


def _arguments(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    body = request.json()
    if not isinstance(body, dict):
        raise Refusal(400, "the body is a JSON object")
    return body


def _name(request: Request) -> str:
    name = _arguments(request).get("name", "default")
    if not isinstance(name, str) or not name:
        raise Refusal(400, "name is a text")
    return name


def _hit(hit: FaultHit) -> dict[str, Any]:
    return {**asdict(hit), "at": hit.at.isoformat()}


def _doc(function: Callable[..., Any]) -> str:
    return " ".join((function.__doc__ or "").split())


def _json(value: Any, status: int = 200) -> Response:
    body = json.dumps(value, default=_plain).encode()
    return Response(status, body, [("Content-Type", "application/json")])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
