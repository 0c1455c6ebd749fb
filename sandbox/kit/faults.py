"""Bad days on demand: which requests fail, how, how often; and which requests a fault has hit."""

from __future__ import annotations

import itertools
import random
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from .http import Request, Response

TRANSPORT_KINDS: dict[str, str] = {
    "status": "Answer with `status` instead of running the request. Args: status (500), body (text, or any JSON "
    "value), content_type, headers ({name: value}), retry_after (seconds or an HTTP date).",
    "html": "Answer with an HTML page, as a proxy in front of the system does. Args: status (503), title, retry_after.",
    "slow": "Wait before running the request, or with after=true after running it and before the reply. "
    "Args: seconds (1), after.",
    "drop_before": "Close the connection; the request is not run. Args: reset (true: a TCP reset, not a clean close).",
    "drop_after": "Run the request, keep its effect, and close the connection without a reply. Args: reset.",
    "truncate": "Run the request; announce the full length, send a part of the body, close. Args: keep (0.5: a share; "
    "1 or more: bytes).",
    "content_type": "Run the request and give its answer a wrong content type. Args: content_type (text/html).",
    "empty": "Run the request and answer 2xx with an empty body. Args: status (the handler's), body.",
}
"""Kinds that every server knows, with what they do; a server adds its own in `fault_kinds`."""


@dataclass
class Fault:
    """One way of failing, and the requests it applies to.

    `path` is matched (fnmatch) against the raw path and against the endpoint label, with and without its method;
    `contains` must occur in the body. Of the requests that match, the first `skip` pass, then each is hit with
    `probability` until `count` were hit (None: for ever).
    """

    kind: str
    method: str = "*"
    path: str = "*"
    count: int | None = 1
    probability: float = 1.0
    skip: int = 0
    args: dict[str, Any] = field(default_factory=dict)
    contains: str | None = None
    id: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is a share between 0 and 1, not {self.probability}")
        if self.skip < 0 or (self.count is not None and self.count < 1):
            raise ValueError("skip is 0 or more; count is 1 or more, or None for ever")
        for name in ("seconds", "keep", "status"):
            value = self.args.get(name, 0)
            if self.kind in TRANSPORT_KINDS and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"{name} is a number, not {value!r}")

    @property
    def spent(self) -> bool:
        """Whether the fault has hit all the requests it was meant for."""
        return self.count is not None and self.hits >= self.count

    def matches(self, request: Request, endpoint: str) -> bool:
        """Whether a request is one that this fault is about."""
        if self.method not in ("*", request.method) and self.method.upper() != request.method:
            return False
        if self.path != "*" and not any(
            fnmatchcase(name, self.path) for name in (request.path, endpoint, endpoint.partition(" ")[2])
        ):
            return False
        return self.contains is None or self.contains.encode() in request.body


@dataclass(frozen=True)
class FaultHit:
    """One request that a fault has hit. `ordinal` is the number of the request since the server was made, from 1."""

    fault: int
    kind: str
    method: str
    path: str
    endpoint: str
    ordinal: int
    at: datetime


class FaultBook:
    """The faults in force, oldest first, and the record of their hits.

    A request suffers every matching `slow` fault and then the first matching fault of another kind.
    """

    def __init__(self, seed: int = 0, kinds: Container[str] = ()) -> None:
        self._random = random.Random(seed)
        self._ids = itertools.count(1)
        self._own_kinds = kinds
        self._active: list[Fault] = []
        self.hits: list[FaultHit] = []

    def add(self, fault: Fault | str, **details: Any) -> Fault:
        """Put a fault in force: a `Fault`, or its kind and fields. An unknown kind raises ValueError.

        Details that are no field of `Fault` become its args: `faults.add("status", path="*/query*", status=503)`.
        """
        if isinstance(fault, str):
            args = dict(details.pop("args", None) or {})
            known = {key: details.pop(key) for key in list(details) if key in _FIELDS}
            fault = Fault(fault, **known, args={**args, **details})
        if fault.kind not in TRANSPORT_KINDS and fault.kind not in self._own_kinds:
            known_kinds = sorted({*TRANSPORT_KINDS, *getattr(self._own_kinds, "keys", tuple)()})
            raise ValueError(f"no fault kind {fault.kind!r} here; known: {', '.join(known_kinds)}")
        fault.id = next(self._ids)
        self._active.append(fault)
        return fault

    def remove(self, fault_id: int) -> None:
        """Lift one fault. Raises KeyError if there is none with that id."""
        for fault in self._active:
            if fault.id == fault_id:
                self._active.remove(fault)
                return
        raise KeyError(fault_id)

    def clear(self) -> None:
        """Lift all faults. What they have hit stays on record."""
        self._active.clear()

    @property
    def active(self) -> list[Fault]:
        """Faults that may still hit, oldest first."""
        return list(self._active)

    def strike(self, request: Request, endpoint: str, ordinal: int, at: datetime) -> list[Fault]:
        """The faults that this request suffers, recorded; the last one decides, those before it are delays."""
        struck: list[Fault] = []
        if not self._active:
            return struck
        for fault in self._active:
            if not fault.matches(request, endpoint):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.probability < 1 and self._random.random() >= fault.probability:
                continue
            fault.hits += 1
            self.hits.append(FaultHit(fault.id, fault.kind, request.method, request.path, endpoint, ordinal, at))
            struck.append(fault)
            if fault.kind != "slow":
                break
        self._active = [fault for fault in self._active if not fault.spent]
        return struck


_FIELDS = frozenset({"method", "path", "count", "probability", "skip", "contains"})


def refusal(fault: Fault) -> Response:
    """The answer of the kinds `status` and `html`."""
    args = fault.args
    headers = [(str(name), str(value)) for name, value in dict(args.get("headers") or {}).items()]
    if args.get("retry_after") is not None:
        headers.append(("Retry-After", str(args["retry_after"])))
    if fault.kind == "html":
        status = int(args.get("status", 503))
        title = str(args.get("title", f"{status} Service Unavailable"))
        page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
        return Response(status, page.encode(), [("Content-Type", "text/html; charset=utf-8"), *headers])
    body = args.get("body", "")
    if isinstance(body, str):
        return Response(
            int(args.get("status", 500)),
            body.encode(),
            [("Content-Type", str(args.get("content_type", "text/plain;charset=UTF-8"))), *headers],
        )
    answer = Response.of_json(body, int(args.get("status", 500)), headers=headers)
    if "content_type" in args:
        answer.headers[0] = ("Content-Type", str(args["content_type"]))
    return answer
