"""Whatever a client sends, a practice server answers as the system would: never with a failure of its own.

Requests start from valid ones and are bent: methods, paths, ids, paging values, headers, JSON, XML and SOQL.
`SANDBOX_FUZZ_EXAMPLES` sets how many requests each test sends (default 200; the gate sends 1,000).
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from sandbox.kit import PracticeServer
from sandbox.launch import server_class

bounded = settings(
    max_examples=int(os.environ.get("SANDBOX_FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Template = tuple[str, str, dict[str, str], Any]
"""Method, path, query and JSON body (None: no body) of a valid request."""


@cache
def lines(name: str) -> list[str]:
    """Valid material to bend, one piece a line."""
    return (Path(__file__).parent / "fuzz" / f"{name}.txt").read_text("utf-8").splitlines()


@cache
def templates(system: str) -> list[Template]:
    """Valid requests, written as `METHOD /path?query {json}`; `$name` stands for an id that the server knows."""
    found: list[Template] = []
    for line in lines(system):
        method, target, *body = line.split(" ", 2)
        path, _, query = target.partition("?")
        found.append((method, path, dict(parse_qsl(query)), json.loads(body[0]) if body else None))
    return found


JSON = {"Content-Type": "application/json"}


class Caller:
    """Sends requests over one connection, and fails the test when the server had a bug."""

    def __init__(self, server: PracticeServer, headers: dict[str, str], *, faults_are_500: bool = False) -> None:
        self.server = server
        self._headers = headers
        self._faults_are_500 = faults_are_500  # SOAP 1.1 sends every fault with status 500
        self.known: dict[str, str] = {}  # placeholder in the templates: an id that exists
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def send(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        self.server.crashes.clear()
        for placeholder, identifier in self.known.items():
            target = target.replace(f"${placeholder}", identifier)
            body = body.replace(f"${placeholder}".encode(), identifier.encode())
        try:
            self._connection.request(method, target, body or None, {**self._headers, **(headers or {})})
            answer = self._connection.getresponse()
            self.text = answer.read()
        except http.client.HTTPException:
            self._connection.close()
            raise
        assert self.server.crashes == [], "\n".join(crash.traceback for crash in self.server.crashes)
        if not self._faults_are_500:
            assert answer.status != 500, self.text
        return answer.status

    def reset(self) -> None:
        """Undo what earlier examples did, so that each can be repeated alone."""
        self.server.restore_snapshot()

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        """The answer of a valid JSON request."""
        status = self.send(method, target, b"" if body is None else json.dumps(body).encode(), JSON)
        assert 200 <= status < 300, self.text
        return json.loads(self.text)

    def close(self) -> None:
        self._connection.close()


# -- bending ----------------------------------------------------------------------------------------------------------

ODD_TEXTS = [
    "",
    " ",
    "0",
    "-1",
    "1.5",
    "1e9",
    "9" * 30,
    "null",
    "true",
    "NaN",
    "'",
    '"',
    "\\",
    "%",
    "%00",
    "\x00",
    "\ud7ff\uffff",
    "💥",
    "é",
    "a" * 3000,
    "../..",
    "a/b",
    "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999+23:59",
    "1772441999000",
    "-62135596800001",
    "001000000000000AAA",
    "001000000000001",
    "&lt;x&gt;",
    "{}",
    "[",
    "AAMkAD==",
    "a,b,,c",
    "id",
    "hs_object_id",
    "Name",
]
ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    1e308,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": None},
    {"id": None},
    {"id": []},
    ["x"] * 300,
    *ODD_TEXTS,
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]

odd_text = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=20))
odd_value = st.one_of(st.sampled_from(ODD_VALUES), st.text(max_size=8), st.integers(), st.floats(allow_nan=False))
odd_value = odd_value.filter(lambda value: value not in (float("inf"), float("-inf")))


def paths_into(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield here
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths_into(item, (*here, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths_into(item, (*here, index))


def bend_json(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one or two places replaced, removed, doubled or renamed."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(list(paths_into(value))))
        if not place:
            return draw(odd_value) if draw(st.integers(0, 9)) == 0 else value
        parent = value
        for step in place[:-1]:
            parent = parent[step]
        how = draw(st.sampled_from(["replace", "replace", "remove", "double", "rename", "wrap"]))
        last = place[-1]
        if how == "replace":
            parent[last] = copy.deepcopy(draw(odd_value))
        elif how == "remove":
            del parent[last]
        elif how == "wrap":
            parent[last] = draw(st.sampled_from([[parent[last]], {"value": parent[last]}, json.dumps(parent[last])]))
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
        elif how == "rename":
            parent[draw(odd_text)] = parent.pop(last)
        else:
            parent["extra"] = copy.deepcopy(parent[last])
    return value


@st.composite
def bent_requests(draw: st.DrawFn, system: str) -> tuple[str, str, bytes, dict[str, str]]:
    """A valid request with one to three of its parts bent: method, target, body, headers."""
    method, path, query, body = draw(st.sampled_from(templates(system)))
    query, headers = dict(query), {"Content-Type": "application/json"}
    packed = b"" if body is None else json.dumps(body).encode()
    parts = ["path", "query", "body", "body", "method", "bytes", "header"]
    for part in draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3, unique=True)):
        if part == "method":
            method = draw(st.sampled_from(METHODS))
        elif part == "path":
            segments = path.split("/")
            place = draw(st.integers(1, len(segments) - 1))
            segments[place : place + draw(st.integers(0, 1))] = [draw(odd_text)]
            path = "/".join(segments)
        elif part == "query":
            name = draw(
                st.sampled_from([*query, "limit", "after", "q", "fields", "properties", "archived", "idProperty"])
            )
            query[name] = draw(odd_text)
        elif part == "body":
            packed = json.dumps(bend_json(draw, body if body is not None else {})).encode()
        elif part == "bytes" and packed:
            place = draw(st.integers(0, len(packed) - 1))
            packed = packed[:place] + draw(st.binary(max_size=4)) + packed[place + draw(st.integers(0, 3)) :]
        elif part == "header":
            name = draw(st.sampled_from(HEADERS))
            headers[name] = draw(odd_text).encode("ascii", "ignore").decode().replace("\x00", "").strip()
    return method, target_of(path, query), packed, {name: value for name, value in headers.items() if _sendable(value)}


HEADERS = [
    "Content-Type",
    "Accept",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Sforce-Query-Options",
    "Sforce-Auto-Assign",
    "Sforce-Duplicate-Rule-Header",
    "Authorization",
    "SOAPAction",
    "X-AnchorMailbox",
]


def _sendable(value: str) -> bool:
    return all(character.isprintable() for character in value)


def target_of(path: str, query: dict[str, str]) -> str:
    """A request target; its characters escaped as far as HTTP makes it necessary."""
    pairs = "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in query.items())
    return quote(path.encode("utf-8", "replace"), safe="/%:,;@!$'()*+=") + (f"?{pairs}" if pairs else "")


def _escaped(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="")


def token_of(server: PracticeServer) -> str:
    """A bearer token that works."""
    info = server.connection_info()
    return str(info.get("access_token") or info["session_id"])


# -- Salesforce -------------------------------------------------------------------------------------------------------


V = "/services/data/v62.0"


@pytest.fixture(scope="module")
def salesforce() -> Iterator[Caller]:
    with server_class("salesforce")() as server:
        caller = Caller(server, {"Authorization": f"Bearer {token_of(server)}"})
        for placeholder in ("account", "other_account"):
            caller.known[placeholder] = caller.ask("POST", f"{V}/sobjects/Account", {"Name": placeholder})["id"]
        job = {"object": "Account", "operation": "insert", "contentType": "CSV", "lineEnding": "LF"}
        caller.known["job"] = caller.ask("POST", f"{V}/jobs/ingest", job)["id"]
        old = {"object": "Account", "operation": "insert", "contentType": "JSON"}
        caller.known["v1job"] = caller.ask("POST", "/services/async/62.0/job", old)["id"]
        batch = f"/services/async/62.0/job/{caller.known['v1job']}/batch"
        caller.known["v1batch"] = caller.ask("POST", batch, [{"Name": "B"}])["id"]
        server.save_snapshot()
        yield caller
        caller.close()


@st.composite
def bent_soql(draw: st.DrawFn) -> str:
    """A query with some of its words replaced, removed, doubled or swapped; or words at random."""
    if draw(st.integers(0, 3)) == 0:
        return "SELECT " + " ".join(draw(st.lists(st.sampled_from(lines("soql_words")), max_size=12)))
    words = draw(st.sampled_from(lines("soql"))).split(" ")
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(words) - 1))
        new = draw(st.one_of(st.sampled_from(lines("soql_words")), st.text(max_size=6)))
        words[place : place + draw(st.integers(0, 2))] = [new]
    return " ".join(words)


@bounded
@given(request=bent_requests("salesforce"))
def test_salesforce_survives_bent_requests(salesforce: Caller, request: tuple[str, str, bytes, dict[str, str]]) -> None:
    salesforce.reset()
    salesforce.send(*request)


@bounded
@given(query=bent_soql(), resource=st.sampled_from(["query", "queryAll", "query/"]))
def test_salesforce_survives_bent_soql(salesforce: Caller, query: str, resource: str) -> None:
    salesforce.reset()
    assert salesforce.send("GET", target_of(f"{V}/{resource}", {"q": query})) in (200, 400, 404, 414)


@bounded
@given(
    csv=st.lists(st.lists(odd_text, max_size=4), max_size=4),
    delimiter=st.sampled_from(["COMMA", "TAB", "SEMICOLON", "PIPE", "CARET", "BACKQUOTE"]),
    operation=st.sampled_from(["insert", "update", "upsert", "delete"]),
    quoted=st.booleans(),
)
def test_salesforce_survives_bent_bulk_files(
    salesforce: Caller, csv: list[list[str]], delimiter: str, operation: str, quoted: bool
) -> None:
    salesforce.reset()
    separator = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}[delimiter]
    rows = [["Id", "Name"], *csv] if csv and len(csv[0]) % 2 else csv
    cells = [['"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row] for row in rows]
    content = "\n".join(separator.join(row) for row in cells).encode("utf-8", "replace")
    job = {"object": "Account", "operation": operation, "contentType": "CSV", "columnDelimiter": delimiter}
    if operation == "upsert":
        job["externalIdFieldName"] = "Id"
    path = f"{V}/jobs/ingest/{salesforce.ask('POST', f'{V}/jobs/ingest', job)['id']}"
    salesforce.send("PUT", f"{path}/batches", content, {"Content-Type": "text/csv"})
    salesforce.send("PATCH", path, b'{"state":"UploadComplete"}', JSON)
    for result in ("", "/successfulResults", "/failedResults", "/unprocessedrecords"):
        salesforce.send("GET", path + result)


# -- HubSpot ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hubspot() -> Iterator[Caller]:
    with server_class("hubspot")() as server:
        caller = Caller(server, {"Authorization": f"Bearer {token_of(server)}"})
        for placeholder, kind, properties in (
            ("contact", "contacts", {"email": "p1@example.com"}),
            ("other_contact", "contacts", {"email": "p2@example.com"}),
            ("company", "companies", {"name": "Acme", "domain": "acme.example"}),
            ("deal", "deals", {"dealname": "Deal", "amount": "10"}),
        ):
            caller.known[placeholder] = caller.ask("POST", f"/crm/v3/objects/{kind}", {"properties": properties})["id"]
        server.save_snapshot()
        yield caller
        caller.close()


@bounded
@given(request=bent_requests("hubspot"))
def test_hubspot_survives_bent_requests(hubspot: Caller, request: tuple[str, str, bytes, dict[str, str]]) -> None:
    hubspot.reset()
    hubspot.send(*request)


# -- Exchange ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exchange() -> Iterator[Caller]:
    with server_class("exchange")() as server:
        server.call(server.add_mailbox, "ada@practice.example", "Ada", "secret")  # type: ignore[attr-defined]
        basic = b64encode(b"ada@practice.example:secret").decode()
        caller = Caller(
            server,
            {"Authorization": f"Basic {basic}", "Content-Type": "text/xml; charset=utf-8"},
            faults_are_500=True,
        )
        create = next(line for line in lines("ews") if line.startswith("<m:CreateItem"))
        assert caller.send("POST", "/EWS/Exchange.asmx", ENVELOPE.replace("{body}", create).encode()) == 200
        found = re.search(rb'ItemId Id="([^"]+)" ChangeKey="([^"]+)"', caller.text)
        assert found is not None, caller.text
        caller.known = {"item": found[1].decode(), "change_key": found[2].decode()}
        server.save_snapshot()
        yield caller
        caller.close()


T = "http://schemas.microsoft.com/exchange/services/2006/types"
M = "http://schemas.microsoft.com/exchange/services/2006/messages"
ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    f' xmlns:t="{T}" xmlns:m="{M}"><s:Header><t:RequestServerVersion Version="Exchange2016"/>'
    '<t:TimeZoneContext><t:TimeZoneDefinition Id="UTC"/></t:TimeZoneContext></s:Header>'
    "<s:Body>{body}</s:Body></s:Envelope>"
)


@st.composite
def bent_soap(draw: st.DrawFn, system: str, envelope: str) -> bytes:
    """An envelope of a system with one to three elements emptied, retold, removed, doubled, renamed or moved; or its bytes cut."""
    operation = draw(st.sampled_from(lines(system)))
    tree = etree.fromstring(envelope.replace("{body}", operation).encode())
    for _ in range(draw(st.integers(1, 3))):
        elements = [element for element in tree.iter() if element is not tree]
        if not elements:
            break
        element = draw(st.sampled_from(elements))
        parent = element.getparent()
        how = draw(
            st.sampled_from(["text", "text", "attribute", "attribute", "remove", "double", "rename", "empty", "move"])
        )
        if how == "text":
            element.text = _xml_text(draw(odd_text))
        elif how == "attribute" and element.attrib:
            element.set(draw(st.sampled_from(sorted(element.attrib))), _xml_text(draw(odd_text)))
        elif how == "attribute":
            element.set("Id", _xml_text(draw(odd_text)))
        elif how == "remove":
            parent.remove(element)
        elif how == "double":
            parent.append(copy.deepcopy(element))
        elif how == "rename":
            element.tag = draw(st.sampled_from([other.tag for other in elements if isinstance(other.tag, str)]))
        elif how == "move":
            target = draw(st.sampled_from(elements))
            if element not in [target, *target.iterancestors()]:
                target.append(element)
        else:
            for child in list(element):
                element.remove(child)
    content = bytes(etree.tostring(tree, xml_declaration=True, encoding="utf-8"))
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, len(content) - 1))
        content = content[:place] + draw(st.binary(max_size=5)) + content[place + draw(st.integers(0, 9)) :]
    return content


def _xml_text(text: str) -> str:
    """Only what XML may hold at all."""
    return "".join(
        character
        for character in text
        if character in "\t\n\r" or 0x20 <= ord(character) <= 0xD7FF or 0xE000 <= ord(character) <= 0xFFFD
    )


@bounded
@given(body=bent_soap("ews", ENVELOPE))
def test_exchange_survives_bent_soap(exchange: Caller, body: bytes) -> None:
    exchange.reset()
    assert exchange.send("POST", "/EWS/Exchange.asmx", body) in (200, 400, 401, 500)


@bounded
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(
        [
            "/EWS/Exchange.asmx",
            "/ews/exchange.asmx",
            "/autodiscover/autodiscover.xml",
            "/autodiscover/autodiscover.svc",
            "/",
        ]
    ),
    suffix=odd_text,
    body=st.one_of(
        st.binary(max_size=50), st.sampled_from([ENVELOPE.encode(), b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
    ),
    authorization=st.sampled_from(
        ["", "Basic", "Basic !!!", "Basic Og==", "NTLM", "NTLM TlRMTVNTUAAB", "Bearer x", "Negotiate x"]
    ),
)
def test_exchange_survives_bent_http(
    exchange: Caller, method: str, path: str, suffix: str, body: bytes, authorization: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    exchange.reset()
    exchange.send(method, target_of(path + suffix, {}), body, headers)


# -- Microsoft Graph --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph() -> Iterator[Caller]:
    with server_class("graph")() as server:
        server.populate(7)
        info = server.connection_info()
        form = {"grant_type": "client_credentials", "client_id": info["client_id"],
                "client_secret": info["client_secret"], "scope": "https://graph.microsoft.com/.default"}  # fmt: skip
        caller = Caller(server, {"Prefer": 'IdType="ImmutableId"'})
        path = f"/{info['tenant_id']}/oauth2/v2.0/token"
        caller.send("POST", path, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"})
        caller._headers["Authorization"] = f"Bearer {json.loads(caller.text)['access_token']}"
        user = info["mailboxes"][0]["address"]
        found = caller.ask("GET", f"/v1.0/users/{user}/events?$top=50")["value"]
        caller.known = {
            "user": user,
            "event": next(one["id"] for one in found if one["type"] == "singleInstance"),
            "master": next(one["id"] for one in found if one["type"] == "seriesMaster"),
            "contact": caller.ask("GET", f"/v1.0/users/{user}/contacts")["value"][0]["id"],
            "token": caller.ask("GET", f"/v1.0/users/{user}/contacts/delta")["@odata.nextLink"].partition("=")[2]
            if "nextLink" in caller.text.decode() else "x",
        }  # fmt: skip
        server.save_snapshot()
        yield caller
        caller.close()


@settings(bounded, max_examples=bounded.max_examples // 2)
@given(request=bent_requests("graph"))
def test_graph_survives_bent_requests(graph: Caller, request: tuple[str, str, bytes, dict[str, str]]) -> None:
    graph.reset()
    graph.send(*request)


_WORDS = (
    "subject", "eq", "'x'", "and", "or", "not", "(", ")", "start/dateTime", "ge", "2026-01-01T00:00:00Z", "null", "1",
    "singleValueExtendedProperties/Any(", "ep:", "ep/id", "ep/value", "contains(subject,", "true",
)  # fmt: skip


@bounded
@given(condition=st.one_of(st.text(max_size=40), st.text(max_size=20).map("subject eq '{}'".format),
                           st.lists(st.sampled_from(_WORDS), max_size=14).map(" ".join)))  # fmt: skip
def test_graph_survives_bent_filters(graph: Caller, condition: str) -> None:
    if _sendable(condition):
        assert graph.send("GET", target_of("/v1.0/users/$user/events", {"$top": "1", "$filter": condition})) in (
            200,
            400,
        )


# -- Salesforce over SOAP ---------------------------------------------------------------------------------------------

SFORCE = (
    '<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns="urn:partner.soap.sforce.com" xmlns:s="urn:sobject.partner.soap.sforce.com"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Header><SessionHeader><sessionId>$session</sessionId>'
    "</SessionHeader><QueryOptions><batchSize>200</batchSize></QueryOptions></e:Header><e:Body>{body}</e:Body></e:Envelope>"
)


@pytest.fixture(scope="module")
def salesforce_soap() -> Iterator[Caller]:
    with server_class("salesforce")() as server:
        caller = Caller(server, {"Content-Type": "text/xml; charset=utf-8"}, faults_are_500=True)
        account = server.call(server.insert, "Account", Name="Acme")  # type: ignore[attr-defined]
        caller.known = {"session": token_of(server), "account": account}
        server.save_snapshot()
        yield caller
        caller.close()


@bounded
@given(body=bent_soap("salesforce_soap", SFORCE), space=st.sampled_from("uc"))
def test_salesforce_survives_bent_soap(salesforce_soap: Caller, body: bytes, space: str) -> None:
    salesforce_soap.reset()
    target = f"/services/Soap/{space}/59.0"
    assert salesforce_soap.send("POST", target, body) in (200, 500)
