"""Several requests in one call: composite with references, graph, tree, batch.

Source: REST API guide "Composite", "Composite Graph" and its limits, "sObject Tree", "Batch"; recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from sandbox.kit.http import Request, Response

from .errors import Failure, not_found

if TYPE_CHECKING:
    from .server import Call, SalesforceServer

SUBREQUESTS, QUERIES = 25, 5
GRAPHS, NODES, DEPTH, KINDS, FAILED_GRAPHS = 75, 500, 15, 15, 14
TREE_RECORDS, TREE_DEPTH, TREE_KINDS = 200, 5, 5
HALTED = "The transaction was rolled back since another operation in the same transaction failed."
_REFERENCE = re.compile(r"@\{([^{}]+)\}")
_VERSIONED = re.compile(r"/services/data/v(\d{1,3})\.0(/[^?#]*)?(?:\?(.*))?\Z", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


@dataclass
class _Answered:
    """What a subrequest answered."""

    reference: str
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status < 300

    def shown(self) -> dict[str, Any]:
        return {
            "body": self.body,
            "httpHeaders": self.headers,
            "httpStatusCode": self.status,
            "referenceId": self.reference,
        }


class Composite:
    """Handlers of composite, graph, tree and batch."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server

    # composite

    def composite(self, call: Call) -> Response:
        body = call.record()
        parts = _list(body, "compositeRequest")
        if len(parts) > SUBREQUESTS:
            raise Failure(
                400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {SUBREQUESTS} subrequests in a composite request"
            )
        if sum(1 for part in parts if _is_heavy(part)) > QUERIES:
            raise Failure(400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {QUERIES} query or collection subrequests")
        answered = self._run(call, parts, all_or_none=body.get("allOrNone") in (True, "true"))
        return Response.of_json({"compositeResponse": [one.shown() for one in answered]}, records=len(parts))

    def _run(self, call: Call, parts: list[Any], *, all_or_none: bool) -> list[_Answered]:
        answered: dict[str, _Answered] = {}
        for part in parts:
            reference = part.get("referenceId") if isinstance(part, dict) else None
            if not isinstance(reference, str) or not reference or reference in answered:
                raise Failure(
                    400, "INVALID_INPUT", f"Every subrequest needs a referenceId of its own; found {reference!r}"
                )
            answered[reference] = _Answered(reference, 0, None)
        done: dict[str, _Answered] = {}
        with self._server.store.savepoint() as rollback:
            for part in parts:
                one = self._subrequest(call, part, done)
                done[one.reference] = one
                if all_or_none and not one.ok:
                    rollback()
                    return [done[r] if r == one.reference else _halted(r) for r in answered]
        return list(done.values())

    def _subrequest(self, call: Call, part: Mapping[str, Any], done: Mapping[str, _Answered]) -> _Answered:
        reference = part["referenceId"]
        try:
            url = _resolve_text(str(part.get("url", "")), done, in_url=True)
            body = _resolve(part.get("body"), done)
            response = self._dispatch(call, str(part.get("method", "")).upper(), url, body, part.get("httpHeaders"))
        except Failure as failure:
            return _Answered(reference, failure.status, failure.rest())
        shown = {name: value for name, value in response.headers if name in ("Location", "ETag", "Last-Modified")}
        return _Answered(reference, response.status, _content(response), shown)

    def _dispatch(self, call: Call, method: str, url: str, body: Any, headers: Any) -> Response:
        found = _VERSIONED.match(url)
        if not found or method not in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"):
            raise not_found()
        path = found[2] or ""
        if path.strip("/").split("/")[0] in ("jobs", "composite") and "sobjects" not in path:
            raise Failure(400, "INVALID_INPUT", f"{url} is not supported as a subrequest")
        extra = {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
        kept = {k: v for k, v in call.request.headers.items() if k.lower() in _INHERITED}
        request = Request(
            method,
            found[0].partition("?")[0],
            parse_qsl(found[3] or "", keep_blank_values=True),
            CIMultiDictProxy(CIMultiDict({**kept, **extra})),
            orjson.dumps(body) if body is not None else b"",
            call.request.connection,
            call.request.scheme,
            call.request.host,
        )
        version = int(found[1])
        try:
            return self._server.dispatch(method, path, replace(call, request=request, version=version))
        except Failure as failure:
            from .server import answer

            return answer(failure)

    # graph

    def graph(self, call: Call) -> Response:
        graphs = _list(call.record(), "graphs")
        if len(graphs) > GRAPHS:
            raise Failure(400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {GRAPHS} graphs in a request")
        if sum(len(_list(one, "compositeRequest")) for one in graphs) > NODES:
            raise Failure(400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {NODES} nodes in a request")
        shown, failed = [], 0
        for one in graphs:
            parts = _list(one, "compositeRequest")
            if failed > FAILED_GRAPHS:
                answered = [_halted(str(part.get("referenceId"))) for part in parts]
            else:
                _check_graph(parts)
                answered = self._run(call, parts, all_or_none=True)
            good = all(part.ok for part in answered)
            failed += not good
            shown.append(
                {
                    "graphId": one.get("graphId"),
                    "isSuccessful": good,
                    "graphResponse": {"compositeResponse": [part.shown() for part in answered]},
                }
            )
        return Response.of_json({"graphs": shown})

    # tree

    def tree(self, call: Call, name: str) -> Response:
        sobject = self._server.records.sobject(name)
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        kinds: set[str] = set()

        def plant(kind: str, rows: list[Any], parent: tuple[str, str] | None, depth: int) -> None:
            kinds.add(kind)
            if depth > TREE_DEPTH or len(kinds) > TREE_KINDS:
                raise Failure(
                    400, "LIMIT_EXCEEDED", f"A tree has at most {TREE_DEPTH} levels and {TREE_KINDS} types of record"
                )
            for row in rows:
                attributes = row.get("attributes") if isinstance(row, dict) else None
                reference = attributes.get("referenceId") if isinstance(attributes, dict) else None
                if not isinstance(reference, str):
                    raise Failure(400, "INVALID_INPUT", "Include a referenceId in the attributes of every record")
                if len(results) + len(errors) >= TREE_RECORDS:
                    raise Failure(400, "LIMIT_EXCEEDED", f"A tree has at most {TREE_RECORDS} records")
                self._plant_one(
                    call, kind, row, reference, parent, (results, errors), lambda k, r, p: plant(k, r, p, depth + 1)
                )

        with self._server.store.savepoint() as rollback:
            plant(sobject.name, _list(call.record(), "records"), None, 1)
            if errors:
                rollback()
        if errors:
            return Response.of_json({"hasErrors": True, "results": errors}, 400)
        return Response.of_json({"hasErrors": False, "results": results}, 201, records=len(results))

    def _plant_one(
        self,
        call: Call,
        kind: str,
        row: Mapping[str, Any],
        reference: str,
        parent: tuple[str, str] | None,
        outcome: tuple[list[dict[str, Any]], list[dict[str, Any]]],
        plant: Callable[[str, list[Any], tuple[str, str] | None], None],
    ) -> None:
        children = self._server.schema.children(kind)
        nested = {k: v for k, v in row.items() if isinstance(v, dict) and k.lower() in children and "records" in v}
        data = {k: v for k, v in row.items() if k not in nested}
        if parent is not None:
            data[parent[0]] = parent[1]
        try:
            key = self._server.records.create(kind, data, call.actor)
        except Failure as failure:
            outcome[1].append({"referenceId": reference, "errors": [failure.result()]})
            return
        outcome[0].append({"referenceId": reference, "id": key})
        for relationship, inner in nested.items():
            kid = children[relationship.lower()]
            plant(kid.child, _list(inner, "records"), (kid.field, key))

    # batch

    def batch(self, call: Call) -> Response:
        body = call.record()
        parts = _list(body, "batchRequests")
        if len(parts) > SUBREQUESTS:
            raise Failure(400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {SUBREQUESTS} subrequests in a batch")
        halt = body.get("haltOnError") in (True, "true")
        results: list[dict[str, Any]] = []
        failed = False
        for part in parts:
            if failed and halt:
                text = Failure(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request")
                results.append({"statusCode": 412, "result": text.rest()})
                continue
            part = part if isinstance(part, dict) else {}
            url = str(part.get("url", ""))
            url = url if url.startswith("/") else f"/services/data/{url}"
            try:
                method = str(part.get("method", "")).upper()
                response = self._dispatch(call, method, url, part.get("richInput"), None)
            except Failure as failure:
                response = Response(failure.status, orjson.dumps(failure.rest()))
            failed |= response.status >= 400
            results.append({"statusCode": response.status, "result": _content(response)})
        return Response.of_json({"hasErrors": failed, "results": results})


_INHERITED = frozenset({"sforce-call-options", "sforce-duplicate-rule-header", "sforce-query-options"})


def _list(body: Any, name: str) -> list[Any]:
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, list) or not found:
        raise Failure(400, "MISSING_ARGUMENT", f"{name} is required: a list with at least one element")
    return found


def _is_heavy(part: Any) -> bool:
    url = str(part.get("url", "")) if isinstance(part, dict) else ""
    found = _VERSIONED.match(url)
    path = (found[2] or "") if found else ""
    return path.startswith(("/query", "/composite/sobjects"))


def _halted(reference: str) -> _Answered:
    return _Answered(reference, 400, Failure(400, "PROCESSING_HALTED", HALTED).rest())


def _content(response: Response) -> Any:
    if not isinstance(response.body, bytes) or not response.body:
        return None
    return orjson.loads(response.body)


def _check_graph(parts: list[Any]) -> None:
    depths: dict[str, int] = {}
    kinds = set()
    for part in parts:
        if not isinstance(part, dict):
            raise Failure(400, "INVALID_INPUT", "A node of a graph is an object with method, url and referenceId")
        text = orjson.dumps(part).decode()
        named = [m.split(".")[0].split("[")[0] for m in _REFERENCE.findall(text)]
        depths[str(part.get("referenceId"))] = 1 + max((depths.get(n, 0) for n in named), default=0)
        found = re.search(r"/sobjects/(\w+)", str(part.get("url", "")))
        kinds.add(found[1] if found else "")
    if max(depths.values(), default=0) > DEPTH:
        raise Failure(400, "LIMIT_EXCEEDED", f"Limit exceeded: a graph is at most {DEPTH} nodes deep")
    if len(kinds) > KINDS:
        raise Failure(400, "LIMIT_EXCEEDED", f"Limit exceeded: a graph has at most {KINDS} distinct nodes")


def _resolve(value: Any, done: Mapping[str, _Answered]) -> Any:
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value)
        return _look_up(whole[1], done) if whole else _resolve_text(value, done)
    if isinstance(value, dict):
        return {key: _resolve(inner, done) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, done) for inner in value]
    return value


def _resolve_text(text: str, done: Mapping[str, _Answered], *, in_url: bool = False) -> str:
    def replacement(found: re.Match[str]) -> str:
        value = str(_look_up(found[1], done))
        return quote(value, safe="") if in_url else value

    return _REFERENCE.sub(replacement, text)


def _look_up(expression: str, done: Mapping[str, _Answered]) -> Any:
    name = re.split(r"[.\[]", expression, maxsplit=1)[0]
    rest = expression[len(name) :]
    one = done.get(name)
    if one is None:
        raise Failure(
            400,
            "PROCESSING_HALTED",
            f"Invalid reference specified. No value for {expression} found in {name}",
        )
    value: Any = one.body
    for word, index in _STEP.findall(rest):
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif word and isinstance(value, dict) and word in value:
            value = value[word]
        elif word and isinstance(value, dict) and any(k.lower() == word.lower() for k in value):
            value = next(v for k, v in value.items() if k.lower() == word.lower())
        else:
            raise Failure(
                400,
                "PROCESSING_HALTED",
                f"Invalid reference specified. No value for {expression} found in {name}",
            )
    return value


def install(server: SalesforceServer) -> None:
    """Hang the resources into the server's router."""
    handlers = Composite(server)
    add = server.router.add
    add(
        "GET",
        "composite",
        lambda call: Response.of_json(
            {name: f"{call.base}/composite/{name}" for name in ("batch", "graph", "sobjects", "tree")}
        ),
    )
    add("POST", "composite", handlers.composite)
    add("POST", "composite/graph", handlers.graph)
    add("POST", "composite/tree/{type}", handlers.tree)
    add("POST", "composite/batch", handlers.batch)
