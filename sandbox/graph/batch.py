"""$batch: at most 20 parts, ids unique without regard to case, answers in any order, 424 after a failed dependency.

Source: "Combine multiple requests in one HTTP call using JSON batching".
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from sandbox.kit.http import Request, Response

from .errors import GraphError

MOST = 20
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


@dataclass(frozen=True)
class Part:
    """One request of a batch."""

    id: str
    request: Request
    depends: tuple[str, ...] = field(default=())


def _wrong(text: str) -> GraphError:
    return GraphError(400, "BadRequest", text)


def read(outer: Request, given: Any) -> list[Part]:
    """The parts of a batch. Raises `GraphError`."""
    requests = given.get("requests") if isinstance(given, dict) else None
    if not isinstance(requests, list) or not requests:
        raise _wrong("The batch request does not contain any requests.")
    if len(requests) > MOST:
        raise GraphError(400, "MaximumValueExceeded", f"Number of batch request steps exceeds the maximum of {MOST}.")
    parts = [_part(outer, one) for one in requests]
    names = [part.id.lower() for part in parts]
    if len(set(names)) != len(names):
        raise _wrong("Each request in a batch must have a unique id.")
    _check_order(parts)
    return parts


def _check_order(parts: list[Part]) -> None:
    """Each part depends on earlier ones only."""
    known: set[str] = set()
    for part in parts:
        if set(part.depends) - known:
            raise _wrong(f"The request '{part.id}' depends on a request that is not before it.")
        known.add(part.id)


def _part(outer: Request, given: Any) -> Part:
    if not isinstance(given, dict):
        raise _wrong("A request of the batch is not an object.")
    identifier, method, url = given.get("id"), given.get("method"), given.get("url")
    if not isinstance(identifier, str) or not identifier:
        raise _wrong("Each request in a batch must have an id.")
    if not isinstance(method, str) or method.upper() not in _METHODS:
        raise _wrong(f"The method of request '{identifier}' is not supported.")
    if not isinstance(url, str) or not url or "://" in url.partition("?")[0]:
        raise _wrong(f"The url of request '{identifier}' must be relative.")
    headers, depends = given.get("headers") or {}, given.get("dependsOn") or []
    if not isinstance(headers, dict) or not isinstance(depends, list):
        raise _wrong(f"Request '{identifier}' cannot be read.")
    carried: CIMultiDict[str] = CIMultiDict((str(name), str(value)) for name, value in headers.items())
    carried["Authorization"] = outer.headers.get("Authorization", "")
    body = b""
    if given.get("body") is not None:
        if "Content-Type" not in carried:
            raise _wrong(f"Request '{identifier}' has a body and no Content-Type header.")
        body = orjson.dumps(given["body"])
    path, _, query = url.partition("?")
    prefix = "" if path.startswith("/") else "/"
    inner = Request(
        method=method.upper(),
        path=f"/v1.0{prefix}{path}",
        query=parse_qsl(query, keep_blank_values=True, errors="replace"),
        headers=CIMultiDictProxy(carried),
        body=body,
        connection=outer.connection,
        scheme=outer.scheme,
        host=outer.host,
    )
    return Part(identifier, inner, tuple(map(str, depends)))


def run(parts: list[Part], serve: Callable[[Request, int], Response], shuffle: random.Random) -> dict[str, Any]:
    """Serve each part and collect the answers, in an order that means nothing."""
    answers: dict[str, dict[str, Any]] = {}
    for number, part in enumerate(parts):
        if any(answers[name]["status"] >= 400 for name in part.depends):
            error = {"code": "FailedDependency", "message": "A request on which this one depends has failed."}
            answers[part.id] = {"id": part.id, "status": 424, "headers": {}, "body": {"error": error}}
            continue
        answers[part.id] = _answer(part.id, serve(part.request, number))
    found = list(answers.values())
    shuffle.shuffle(found)
    return {"responses": found}


def _answer(identifier: str, response: Response) -> dict[str, Any]:
    kept = ("content-type", "retry-after", "location", "etag", "preference-applied")
    made: dict[str, Any] = {
        "id": identifier,
        "status": response.status,
        "headers": {name: value for name, value in response.headers if name.lower() in kept},
    }
    if isinstance(response.body, bytes) and response.body:
        made["body"] = orjson.loads(response.body)
    return made
