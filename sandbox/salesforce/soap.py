"""The SOAP API: login, logout, merge, undelete, who and when; records are read and written in `soap_records`.

Source: SOAP API guide ("login", "merge", "undelete", "emptyRecycleBin", "getServerTimestamp", "getUserInfo", "API
Fault Element"); help article 005132110 for the end of login(). Other calls answer a fault that names them as not
implemented.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from lxml import etree

from sandbox.kit.http import Request, Response

from . import soap_records
from .errors import Failure
from .ids import to18
from .records import Actor
from .sessions import Session

if TYPE_CHECKING:
    from .server import SalesforceServer

_PATH = re.compile(r"/services/Soap/([ucmsT])/(\d{1,3})\.(\d)(?:/[\w/]*)?\Z")
_LAST_LOGIN = 64
_FAULTS = {
    "INVALID_LOGIN": "LoginFault",
    "MALFORMED_QUERY": "MalformedQueryFault",
    "INVALID_FIELD": "InvalidFieldFault",
    "INVALID_TYPE": "InvalidSObjectFault",
    "INVALID_QUERY_LOCATOR": "InvalidQueryLocatorFault",
    "MALFORMED_ID": "InvalidIdFault",
    "MALFORMED_SEARCH": "MalformedSearchFault",
}
_OTHERS = {"m": "the Metadata API", "s": "Apex web services over SOAP", "T": "the Tooling API over SOAP"}
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"


class Soap:
    """Partner and enterprise endpoints."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server

    def handle(self, request: Request) -> Response | None:
        """Answer a request under /services/Soap/; None when the path is none of ours."""
        found = _PATH.match(request.path)
        if not found:
            return None
        space, version = found[1], int(found[2])
        try:
            if found[3] != "0" or not 31 <= version <= 68:
                raise Failure(500, "UNSUPPORTED_API_VERSION", "The requested API version is not available")
            header, call = self._parse(request.body)
            name = etree.QName(call).localname
            if space not in "uc":
                raise Failure(500, "INVALID_OPERATION", f"The practice server does not implement {_OTHERS[space]}")
            if name == "login":
                return self._answer(space, "login", self._login(header, call, space, version))
            known = self._handlers().get(name)
            translated = soap_records.HANDLERS.get(name)
            if known is None and translated is None:
                raise Failure(500, "INVALID_OPERATION", f"The practice server does not implement the SOAP call {name}")
            session = self._session(header)
            actor = Actor(session.user, float(version))
            if not self._server.quota.spend(self._server.clock.now()):
                raise Failure(500, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            if translated is not None:
                around = soap_records.SoapCall(self._server, request, session, actor, space, header)
                return self._answer(space, name, translated(around, call))
            return self._answer(space, name, known(call, actor) if known is not None else "")
        except Failure as failure:
            return _fault(space, failure)

    def _handlers(self) -> dict[str, Callable[[etree._Element, Actor], str]]:
        return {
            "getServerTimestamp": lambda call, actor: (
                f"<timestamp>{self._server.clock.now():%Y-%m-%dT%H:%M:%S.000Z}</timestamp>"
            ),
            "getUserInfo": lambda call, actor: self._user_info(actor.user),
            "logout": lambda call, actor: str(self._server.sessions.end(self._token) or ""),
            "merge": self._merge,
            "undelete": self._undelete,
            "emptyRecycleBin": self._empty,
        }

    @staticmethod
    def _parse(body: bytes) -> tuple[etree._Element | None, etree._Element]:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            root = etree.fromstring(body, parser)
        except (etree.XMLSyntaxError, ValueError):
            raise Failure(500, "UNKNOWN_EXCEPTION", "The request is not well-formed XML") from None
        if root.getroottree().docinfo.doctype:
            raise Failure(500, "UNKNOWN_EXCEPTION", "A document type is not allowed in a SOAP message")
        found = root.find(f"{{{_ENVELOPE}}}Body")
        calls = [kid for kid in (found if found is not None else ()) if isinstance(kid.tag, str)]
        if not calls:
            raise Failure(500, "UNKNOWN_EXCEPTION", "The SOAP envelope has no call in its body")
        return root.find(f"{{{_ENVELOPE}}}Header"), calls[0]

    def _session(self, header: etree._Element | None) -> Session:
        token = _text(header, "sessionId")
        session = self._server.sessions.find(token, self._server.clock.now())
        if session is None:
            raise Failure(
                500,
                "INVALID_SESSION_ID",
                "Invalid Session ID found in SessionHeader: Illegal Session. Session not found",
            )
        self._token = token
        return session

    def _login(self, header: etree._Element | None, call: etree._Element, space: str, version: int) -> str:
        if version > _LAST_LOGIN or not self._server.bad_days.soap_login:
            raise Failure(
                500, "INVALID_OPERATION", "SOAP Login operation is not available in the API version specified"
            )
        organisation = _text(header, "organizationId")
        wrong_place = organisation and to18(organisation) != self._server.organisation_id
        user = self._server.oauth.check_password(_text(call, "username"), _text(call, "password"))
        if user is None or wrong_place:
            raise Failure(500, "INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
        token = self._server.sessions.issue(user)
        path = f"/{version}.0/{self._server.organisation_id[:15]}"
        return (
            f"<metadataServerUrl>{self._server.url}/services/Soap/m{path}</metadataServerUrl><passwordExpired>false</passwordExpired>"
            f"<sandbox>false</sandbox><serverUrl>{self._server.url}/services/Soap/{space}{path}</serverUrl>"
            f"<sessionId>{escape(token)}</sessionId><userId>{user}</userId><userInfo>{self._user_fields(user)}</userInfo>"
        )

    def _user_fields(self, user: str) -> str:
        row = self._server.store.table("User").rows[user]
        organisation = self._server.store.table("Organization").rows[self._server.organisation_id]
        shown = {
            "organizationId": self._server.organisation_id,
            "organizationName": organisation["Name"],
            "profileId": row["ProfileId"],
            "userEmail": row["Email"],
            "userFullName": row["Name"],
            "userId": user,
            "userLanguage": row["LanguageLocaleKey"],
            "userLocale": row["LocaleSidKey"],
            "userName": row["Username"],
            "userTimeZone": row["TimeZoneSidKey"],
            "userType": "Standard",
            "sessionSecondsValid": "7200",
        }
        return "".join(f"<{key}>{escape(str(value or ''))}</{key}>" for key, value in shown.items())

    def _user_info(self, user: str) -> str:
        return self._user_fields(user)

    def _merge(self, call: etree._Element, actor: Actor) -> str:
        """The real server goes by the place of the request, not by its name: clients send `request`, `mergeRequests`
        and others (jsforce asserts the latter against a live organisation)."""
        results = []
        for request in call.iterchildren(tag=etree.Element):
            master = _named(request, "masterRecord")
            losers = [kid.text or "" for kid in _named(request, "recordToMergeIds")]
            if not master:
                raise Failure(500, "MISSING_ARGUMENT", "masterRecord not specified")
            fields = {etree.QName(kid).localname: kid.text for kid in master[0] if isinstance(kid.tag, str)}
            kind, key = fields.pop("type", None) or "", fields.pop("Id", None) or fields.pop("id", None) or ""
            try:
                moved = self._server.records.merge(kind, key, losers, fields, actor)
                ids = "".join(f"<mergedRecordIds>{to18(one)}</mergedRecordIds>" for one in losers)
                touched = "".join(f"<updatedRelatedIds>{one}</updatedRelatedIds>" for one in moved)
                results.append(f"<result><id>{to18(key)}</id>{ids}<success>true</success>{touched}</result>")
            except Failure as failure:
                results.append(_failed(failure))
        return "".join(results)

    def _each(self, call: etree._Element, act: Callable[[str], str]) -> str:
        results = []
        for one in _named(call, "ids"):
            try:
                results.append(f"<result><id>{act(one.text or '')}</id><success>true</success></result>")
            except Failure as failure:
                results.append(_failed(failure))
        return "".join(results)

    def _undelete(self, call: etree._Element, actor: Actor) -> str:
        return self._each(call, lambda key: self._server.records.undelete(key, actor))

    def _empty(self, call: etree._Element, actor: Actor) -> str:
        def purge(key: str) -> str:
            full = to18(key) or ""
            found = self._server.schema.of_prefix(full[:3])
            row = self._server.store.get(found.name, full) if found else None
            if found is None or row is None or not row.get("IsDeleted"):
                raise Failure(400, "INVALID_ID_FIELD", "Entity is not in the recycle bin")
            self._server.records.purge(found.name, full)
            return full

        return self._each(call, purge)

    @staticmethod
    def _answer(space: str, name: str, inner: str) -> Response:
        uri = "urn:partner.soap.sforce.com" if space == "u" else "urn:enterprise.soap.sforce.com"
        body = inner if inner.startswith("<result") or not inner.startswith("<") else f"<result>{inner}</result>"
        body = "" if not inner.startswith("<") else body
        sobjects = "urn:sobject.partner.soap.sforce.com" if space == "u" else "urn:sobject.enterprise.soap.sforce.com"
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" xmlns="{uri}" '
            f'xmlns:sf="{sobjects}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            f"<soapenv:Body><{name}Response>{body}</{name}Response></soapenv:Body></soapenv:Envelope>"
        )
        return Response(200, text.encode(), [("Content-Type", "text/xml; charset=utf-8")])


def _named(parent: etree._Element, name: str) -> list[etree._Element]:
    return [kid for kid in parent if isinstance(kid.tag, str) and etree.QName(kid).localname == name]


def _text(parent: etree._Element | None, name: str) -> str:
    """The text of the first element of a local name, at any depth; empty if there is none."""
    for kid in parent.iter() if parent is not None else ():
        if isinstance(kid.tag, str) and etree.QName(kid).localname == name:
            return kid.text or ""
    return ""


def _failed(failure: Failure) -> str:
    return (
        f"<result><errors><message>{escape(failure.message)}</message><statusCode>{failure.code}</statusCode></errors>"
        '<id xsi:nil="true"/><success>false</success></result>'
    )


def _fault(space: str, failure: Failure) -> Response:
    uri = "urn:fault.partner.soap.sforce.com" if space == "u" else "urn:fault.enterprise.soap.sforce.com"
    kind = _FAULTS.get(failure.code, "UnexpectedErrorFault")
    message = escape(failure.message)
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" xmlns:sf="{uri}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>'
        f"<faultcode>sf:{failure.code}</faultcode><faultstring>{failure.code}: {message}</faultstring><detail>"
        f'<sf:{kind} xsi:type="sf:{kind}"><sf:exceptionCode>{failure.code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:{kind}></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )
    return Response(500, text.encode(), [("Content-Type", "text/xml; charset=utf-8")])
