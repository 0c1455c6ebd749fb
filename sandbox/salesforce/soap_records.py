"""The SOAP calls that read and write records, as translations to the REST resources that do the same.

Source: SOAP API guide ("create", "update", "upsert", "delete", "retrieve", "query", "queryAll", "queryMore", "search",
"getUpdated", "getDeleted", "describeGlobal", "describeSObjects"; partner and enterprise sObject elements).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from lxml import etree
from multidict import CIMultiDict, CIMultiDictProxy

from .errors import Failure
from .records import Actor
from .sessions import Session

if TYPE_CHECKING:
    from sandbox.kit.http import Request

    from .server import SalesforceServer

XSI = "http://www.w3.org/2001/XMLSchema-instance"
MAX_DESCRIBED = 100
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\+0000")
Handler = Callable[["SoapCall", etree._Element], str]


class SoapCall:
    """One SOAP call: who makes it, with which headers, in which namespace (`u` partner, `c` enterprise)."""

    def __init__(
        self, server: SalesforceServer, request: Request, session: Session, actor: Actor, space: str,
        header: etree._Element | None,
    ) -> None:  # fmt: skip
        self._server = server
        self._request = request
        self._session = session
        self.actor = actor
        self.space = space
        self.header = header

    def option(self, name: str) -> str:
        """The text of a header element; empty where there is none."""
        for node in self.header.iter() if self.header is not None else ():
            if isinstance(node.tag, str) and etree.QName(node).localname == name:
                return (node.text or "").strip()
        return ""

    def rest(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The JSON answer of a REST resource. Raises Failure."""
        from .server import Call

        headers = CIMultiDict({"Content-Type": "application/json"})
        if size := self.option("batchSize"):
            headers["Sforce-Query-Options"] = f"batchSize={size}"
        version = int(self.actor.version)
        target = f"/services/data/v{version}.0/{path}"
        request = replace(
            self._request, method=method, path=target, query=list(query.items()), headers=CIMultiDictProxy(headers),
            body=b"" if body is None else orjson.dumps(body), state={},
        )  # fmt: skip
        allowed = self.option("allowSave").lower() == "true"
        call = Call(request, version, self._session, replace(self.actor, allow_duplicates=allowed))
        answer = self._server.dispatch(method, path, call)
        if isinstance(answer.body, bytes) and answer.status >= 300:
            refused = orjson.loads(answer.body)[0]
            raise Failure(answer.status, refused["errorCode"], refused["message"], refused.get("fields"))
        return orjson.loads(answer.body) if answer.body else None  # type: ignore[arg-type]


# -- XML in -----------------------------------------------------------------------------------------------------------


def _kids(node: etree._Element, name: str | None = None) -> list[etree._Element]:
    found = [kid for kid in node if isinstance(kid.tag, str)]
    return [kid for kid in found if name is None or etree.QName(kid).localname == name]


def _texts(node: etree._Element, name: str) -> list[str]:
    return [(kid.text or "").strip() for kid in _kids(node, name)]


def _only(node: etree._Element, name: str) -> str:
    found = _texts(node, name)
    if not found:
        raise Failure(500, "MISSING_ARGUMENT", f"{name} not specified")
    return found[0]


def _record(node: etree._Element) -> dict[str, Any]:
    """An sObject element as REST takes it: its type from `type` or xsi:type, `fieldsToNull` as null."""
    kind = node.get(f"{{{XSI}}}type", "").rpartition(":")[2]
    record: dict[str, Any] = {}
    for kid in _kids(node):
        name = str(etree.QName(kid).localname)
        if name == "type" and not _kids(kid):
            kind = (kid.text or "").strip()
        elif name == "fieldsToNull":
            record[(kid.text or "").strip()] = None
        elif _kids(kid):
            record[name] = _record(kid)
        elif kid.get(f"{{{XSI}}}nil") not in ("true", "1"):
            record[name] = kid.text or ""
    if kind in ("", "sObject"):
        raise Failure(500, "INVALID_TYPE", "Must send a concrete entity type.")
    return {"attributes": {"type": kind}, **record}


# -- XML out ----------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> str:
    """A value as XML text: times end in Z."""
    if isinstance(value, bool):
        return str(value).lower()
    found = _STAMP.fullmatch(value) if isinstance(value, str) else None
    return f"{found[1]}Z" if found else escape(str(value))


def _tree(tag: str, value: Any) -> str:
    """JSON as elements in alphabetical order, lists repeated; null is nil."""
    if isinstance(value, list):
        return "".join(_tree(tag, one) for one in value)
    if isinstance(value, Mapping):
        return f"<{tag}>{''.join(_tree(key, value[key]) for key in sorted(value) if key != 'urls')}</{tag}>"
    return f'<{tag} xsi:nil="true"/>' if value is None else f"<{tag}>{_plain(value)}</{tag}>"


def _sobject(tag: str, shown: Mapping[str, Any], space: str) -> str:
    """A record of a REST answer as an sObject element."""
    kind = shown["attributes"]["type"]
    key = shown.get("Id")
    parts = []
    if space == "u":
        identity = f"<sf:Id>{key}</sf:Id>" if key else '<sf:Id xsi:nil="true"/>'
        parts.append(f"<sf:type>{kind}</sf:type>{identity}")
    parts += [_field(name, value, space) for name, value in shown.items() if name != "attributes"]
    concrete = "sf:sObject" if space == "u" or kind == "AggregateResult" else f"sf:{kind}"
    return f'<{tag} xsi:type="{concrete}">{"".join(parts)}</{tag}>'


def _field(name: str, value: Any, space: str) -> str:
    tag = f"sf:{name}"
    if isinstance(value, Mapping) and "attributes" in value:
        return _sobject(tag, value, space)
    if isinstance(value, Mapping) and "records" in value:
        return f'<{tag} xsi:type="QueryResult">{_page(value, space)}</{tag}>'
    if isinstance(value, Mapping):
        inner = "".join(f"<{key}>{_plain(one)}</{key}>" for key, one in value.items() if one is not None)
        return f"<{tag}>{inner}</{tag}>"
    return f'<{tag} xsi:nil="true"/>' if value is None else f"<{tag}>{_plain(value)}</{tag}>"


def _page(body: Mapping[str, Any], space: str) -> str:
    """The content of a QueryResult."""
    following = str(body.get("nextRecordsUrl", "")).rpartition("/")[2]
    locator = f"<queryLocator>{following}</queryLocator>" if following else '<queryLocator xsi:nil="true"/>'
    records = "".join(_sobject("records", one, space) for one in body["records"])
    return f"<done>{_plain(body['done'])}</done>{locator}{records}<size>{body['totalSize']}</size>"


def _errors(found: list[Mapping[str, Any]]) -> str:
    return "".join(
        f"<errors>{''.join(f'<fields>{escape(name)}</fields>' for name in one['fields'])}"
        f"<message>{escape(one['message'])}</message><statusCode>{one['statusCode']}</statusCode></errors>"
        for one in found
    )


def _results(answers: list[Mapping[str, Any]], *, upsert: bool = False) -> str:
    """SaveResult, UpsertResult and DeleteResult."""
    parts = []
    for one in answers:
        key = f"<id>{one['id']}</id>" if one.get("id") else '<id xsi:nil="true"/>'
        created = f"<created>{_plain(bool(one.get('created')) and one['success'])}</created>" if upsert else ""
        parts.append(
            f"<result>{created}{_errors(one['errors'])}{key}<success>{_plain(one['success'])}</success></result>"
        )
    return "".join(parts)


# -- the calls --------------------------------------------------------------------------------------------------------


def _save(call: SoapCall, node: etree._Element, method: str, path: str, *, upsert: bool = False) -> str:
    records = [_record(kid) for kid in _kids(node, "sObjects")]
    body = {"allOrNone": call.option("allOrNone").lower() == "true", "records": records}
    return _results(call.rest(method, path, body), upsert=upsert)


def _create(call: SoapCall, node: etree._Element) -> str:
    return _save(call, node, "POST", "composite/sobjects")


def _update(call: SoapCall, node: etree._Element) -> str:
    return _save(call, node, "PATCH", "composite/sobjects")


def _upsert(call: SoapCall, node: etree._Element) -> str:
    kinds = _kids(node, "sObjects")
    kind = _record(kinds[0])["attributes"]["type"] if kinds else ""
    path = f"composite/sobjects/{quote(kind, safe='')}/{quote(_only(node, 'externalIDFieldName'), safe='')}"
    return _save(call, node, "PATCH", path, upsert=True)


def _delete(call: SoapCall, node: etree._Element) -> str:
    every = call.option("allOrNone").lower() or "false"
    return _results(call.rest("DELETE", "composite/sobjects", ids=",".join(_texts(node, "ids")), allOrNone=every))


def _retrieve(call: SoapCall, node: etree._Element) -> str:
    kind, fields = _only(node, "sObjectType"), [one.strip() for one in _only(node, "fieldList").split(",")]
    body = {"ids": _texts(node, "ids"), "fields": fields}
    found = call.rest("POST", f"composite/sobjects/{quote(kind, safe='')}", body)
    return "".join('<result xsi:nil="true"/>' if one is None else _sobject("result", one, call.space) for one in found)


def _query(call: SoapCall, node: etree._Element, resource: str = "query") -> str:
    page = _page(call.rest("GET", resource, q=_only(node, "queryString")), call.space)
    return f'<result xsi:type="QueryResult">{page}</result>'


def _query_all(call: SoapCall, node: etree._Element) -> str:
    return _query(call, node, "queryAll")


def _query_more(call: SoapCall, node: etree._Element) -> str:
    page = call.rest("GET", f"query/{quote(_only(node, 'queryLocator'), safe='')}")
    return f'<result xsi:type="QueryResult">{_page(page, call.space)}</result>'


def _search(call: SoapCall, node: etree._Element) -> str:
    found = call.rest("GET", "search", q=_only(node, "searchString"))["searchRecords"]
    rows = "".join(f"<searchRecords>{_sobject('record', one, call.space)}</searchRecords>" for one in found)
    return f"<result>{rows}</result>"


def _updated(call: SoapCall, node: etree._Element) -> str:
    return _window(call, node, "updated")


def _deleted(call: SoapCall, node: etree._Element) -> str:
    return _window(call, node, "deleted")


def _window(call: SoapCall, node: etree._Element, which: str) -> str:
    path = f"sobjects/{quote(_only(node, 'sObjectType'), safe='')}/{which}"
    found = call.rest("GET", path, start=_only(node, "startDate"), end=_only(node, "endDate"))
    return _tree("result", found)


def _describe_global(call: SoapCall, node: etree._Element) -> str:
    return _tree("result", call.rest("GET", "sobjects"))


def _describe(call: SoapCall, node: etree._Element) -> str:
    names = _texts(node, "sObjectType")
    if len(names) > MAX_DESCRIBED:
        raise Failure(500, "EXCEEDED_MAX_TYPES_LIMIT", f"at most {MAX_DESCRIBED} types can be described in one call")
    found = []
    for name in names:
        try:
            found.append(_tree("result", call.rest("GET", f"sobjects/{quote(name, safe='')}/describe")))
        except Failure as failure:
            if failure.status == 501:
                raise
            raise Failure(500, "INVALID_TYPE", f"sObject type '{name}' is not supported.") from None
    return "".join(found)


HANDLERS: dict[str, Handler] = {
    "create": _create,
    "update": _update,
    "upsert": _upsert,
    "delete": _delete,
    "retrieve": _retrieve,
    "query": _query,
    "queryAll": _query_all,
    "queryMore": _query_more,
    "search": _search,
    "getUpdated": _updated,
    "getDeleted": _deleted,
    "describeGlobal": _describe_global,
    "describeSObject": _describe,
    "describeSObjects": _describe,
}
