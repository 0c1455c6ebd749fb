"""One request from end to end: read it, suffer its faults, run it, count it, log it, reply."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

from aiohttp import web

from .faults import Fault, refusal
from .http import BadJson, Connection, DropConnection, Request, Response
from .wire import Refused, hang_up, pack, read_request, send

if TYPE_CHECKING:
    from .server import PracticeServer


class Pipeline:
    """Serves the requests of one practice server. Only waiting is asynchronous: what the system does is atomic."""

    def __init__(self, server: PracticeServer) -> None:
        self._server = server
        self._ordinals = itertools.count(1)

    async def answer(self, base: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        """Serve one request."""
        server = self._server
        started = time.perf_counter()
        ordinal = next(self._ordinals)
        try:
            request = await read_request(base, connection, server.max_body)
        except Refused as refused:
            server.counters.add(f"{base.method} (unreadable)", refused.response.status)
            return (await send(base, refused.response, pack(refused.response, ""), server.clock.now()))[0]
        label = request.state["endpoint"] = self._label(request)
        server.arrived(request)
        try:
            return await self._serve(base, request, label, ordinal, started)
        finally:
            server.departed(request)

    async def _serve(
        self, base: web.BaseRequest, request: Request, label: str, ordinal: int, started: float
    ) -> web.StreamResponse:
        server = self._server
        fault = await _wait_out(server.faults.strike(request, label, ordinal, server.clock.now()))
        response = self._outcome(ordinal, request, fault)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(_seconds(fault))
        dropped = response is None or (fault is not None and fault.kind == "drop_after")
        packed = b"" if response is None else pack(response, request.headers.get("Accept-Encoding", ""))
        self._account(
            ordinal,
            request,
            fault,
            status=0 if dropped or response is None else response.status,
            records=0 if response is None else response.records,
            bytes_out=0 if dropped else len(packed or b""),
            ms=(time.perf_counter() - started) * 1000,
        )
        if dropped or response is None:
            return hang_up(base, reset=bool(fault is not None and fault.args.get("reset")))
        return await self._reply(base, request, response, packed, fault)

    def _label(self, request: Request) -> str:
        try:
            return self._server.endpoint(request)
        except Exception:  # a label must never decide what a client is told; `handle` meets the same request next
            return f"{request.method} (unknown)"

    def _outcome(self, ordinal: int, request: Request, fault: Fault | None) -> Response | None:
        """What the request comes to, on the server's side; None where the connection is to be dropped."""
        hook = self._server.on_request
        try:
            if hook is not None:
                hook(ordinal, request, "before")
            response = self._run(request, fault)
            if hook is not None:
                hook(ordinal, request, "after")
        except DropConnection:
            return None
        except Exception:  # of a hook: handlers and fault kinds are caught closer by
            return self._server.crash(request)
        return response

    def _run(self, request: Request, fault: Fault | None) -> Response:
        """The answer of the handler or of the fault; a bug in either is kept as a crash and answered with a 500."""
        server = self._server
        method = request.method
        if method == "HEAD" and server.head_as_get:
            request.method = "GET"
        try:
            if fault is None:
                return server.handle(request)
            if fault.kind == "drop_before":
                raise DropConnection
            if fault.kind in ("status", "html"):
                return refusal(fault)
            own_kind = server.fault_kinds.get(fault.kind)
            response = own_kind(request, fault) if own_kind is not None else None
            return _disfigured(response if response is not None else server.handle(request), fault)
        except BadJson as error:
            return server.bad_request(request, error)
        except DropConnection:
            raise
        except Exception:  # whatever a bug raises, the client gets an answer and the test a record
            return server.crash(request)
        finally:
            request.method = method

    def _account(
        self,
        ordinal: int,
        request: Request,
        fault: Fault | None,
        *,
        status: int,
        records: int,
        bytes_out: int,
        ms: float,
    ) -> None:
        """Count and log before the reply leaves, so that a client that has its answer finds it accounted for."""
        server = self._server
        server.counters.add(
            _counted_as(request), status, records=records, bytes_in=len(request.body), bytes_out=bytes_out
        )
        server.log.add(
            request,
            ordinal=ordinal,
            at=server.clock.now().isoformat(),
            status=status,
            ms=ms,
            bytes_out=bytes_out,
            fault=fault.kind if fault is not None else None,
        )

    async def _reply(
        self, base: web.BaseRequest, request: Request, response: Response, packed: bytes | None, fault: Fault | None
    ) -> web.StreamResponse:
        server = self._server
        keep = _bytes_kept(fault, packed) if fault is not None and packed is not None else None
        try:
            sent, size = await send(base, response, packed, server.clock.now(), keep)
        except ConnectionError:
            raise
        except Exception:  # a stream that broke: its client sees it end early
            server.crash(request)
            return hang_up(base)
        if packed is None:
            server.counters.add_bytes_out(_counted_as(request), size)
        return sent


async def _wait_out(struck: list[Fault]) -> Fault | None:
    """Wait out the delays that come before the handler; the fault that decides the outcome, if any."""
    last = struck[-1] if struck else None
    for fault in struck:
        if fault.kind != "slow":
            continue
        if fault is last and fault.args.get("after"):
            return fault
        await asyncio.sleep(_seconds(fault))
    return last if last is not None and last.kind != "slow" else None


def _seconds(fault: Fault) -> float:
    return float(fault.args.get("seconds", 1))


def _counted_as(request: Request) -> str:
    """The label to count under: the endpoint's, unless the handler chose another."""
    return str(request.state.get("counted_as", request.state["endpoint"]))


def _bytes_kept(fault: Fault, packed: bytes) -> int | None:
    """How much of the body a `truncate` lets through: always less than all of it."""
    if fault.kind != "truncate":
        return None
    keep = float(fault.args.get("keep", 0.5))
    return min(int(keep if keep >= 1 else len(packed) * keep), max(len(packed) - 1, 0))


def _disfigured(response: Response, fault: Fault) -> Response:
    """A right answer made wrong in the way of the kinds `content_type` and `empty`."""
    kept = [(name, value) for name, value in response.headers if name.lower() != "content-type"]
    if fault.kind == "content_type":
        response.headers = [("Content-Type", str(fault.args.get("content_type", "text/html;charset=UTF-8"))), *kept]
    elif fault.kind == "empty":
        return Response(int(fault.args.get("status", response.status)), str(fault.args.get("body", "")).encode(), kept)
    return response
