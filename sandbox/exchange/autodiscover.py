"""Autodiscover: GetUserSettings and GetDomainSettings over SOAP, and the plain XML (POX) service.

Source: Autodiscover reference for Exchange: GetUserSettings (SOAP), POX Autodiscover (Outlook schema 2006a).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

from sandbox.kit.http import Request, Response

from .soap import BadXml, Element, S, add, child, clean, local, parse, serialise, text_of
from .store import Mailbox

if TYPE_CHECKING:
    from .server import ExchangeServer

NS = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
A = f"{{{NS}}}"
WSA = "http://www.w3.org/2005/08/addressing"
SOAP_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
POX_RESPONSE = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
POX_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
SCHEMAS = (
    "Exchange2007, Exchange2007_SP1, Exchange2010, Exchange2010_SP1, Exchange2010_SP2, Exchange2013, "
    "Exchange2013_SP1, Exchange2015, Exchange2016"
)
_XML = [("Content-Type", "text/xml; charset=utf-8")]


def settings_of(server: ExchangeServer, mailbox: Mailbox, base: str) -> dict[str, str]:
    """The user settings that this server can tell."""
    ews = f"{base}/EWS/Exchange.asmx"
    login = mailbox.login
    return {
        "UserDisplayName": mailbox.name,
        "UserDN": f"/o=Practice/ou=Exchange Administrative Group/cn=Recipients/cn={login}",
        "UserDeploymentId": mailbox.guid,
        "AutoDiscoverSMTPAddress": mailbox.address,
        "InternalEwsUrl": ews,
        "ExternalEwsUrl": ews,
        "ExternalEwsVersion": ".".join(map(str, server.build)),
        "EwsSupportedSchemas": SCHEMAS,
        "CasVersion": ".".join(map(str, server.build)),
        "ExternalMailboxServer": base.partition("://")[2],
        "ExternalMailboxServerRequiresSSL": "True" if base.startswith("https") else "False",
        "InternalMailboxServer": f"{mailbox.guid}@practice.example",
        "InternalRpcClientServer": f"{mailbox.guid}@practice.example",
        "MailboxDN": f"/o=Practice/ou=Exchange Administrative Group/cn=Configuration/cn=Servers/cn={login}",
        "ActiveDirectoryServer": "dc01.practice.example",
        "CrossOrganizationSharingEnabled": "False",
        "UserMSOnline": "False",
        "MapiHttpEnabled": "False",
        "ShowGalAsDefaultView": "True",
    }


def soap(server: ExchangeServer, request: Request) -> Response:
    """The service autodiscover.svc."""
    try:
        root = parse(request.body)
    except BadXml as error:
        return Response(400, f"Bad Request: {error}".encode(), [("Content-Type", "text/plain")])
    body = child(root, "Body")
    operation = next(iter(body), None) if body is not None else None
    name = local(operation) if operation is not None else ""
    if name == "GetUserSettingsRequestMessage":
        return Response(
            200, _envelope(server, _user_settings(server, operation, request.base_url), "GetUserSettings"), list(_XML)
        )
    if name == "GetDomainSettingsRequestMessage":
        return Response(
            200,
            _envelope(server, _domain_settings(server, operation, request.base_url), "GetDomainSettings"),
            list(_XML),
        )
    fault = etree.Element(f"{S}Fault", nsmap={"s": SOAP_ENVELOPE})
    add(fault, "faultcode", "s:Client")
    add(fault, "faultstring", f"The operation {clean(name)} is not implemented by the practice server.")
    return Response(500, _envelope(server, fault, "Fault"), list(_XML))


def _envelope(server: ExchangeServer, content: Element, operation: str) -> bytes:
    root = etree.Element(f"{S}Envelope", nsmap={"s": SOAP_ENVELOPE, "a": WSA})
    header = add(root, f"{S}Header")
    add(header, f"{{{WSA}}}Action", f"{NS}/Autodiscover/{operation}Response", {f"{S}mustUnderstand": "1"})
    info = etree.SubElement(header, f"{A}ServerVersionInfo", nsmap={"h": NS})
    for name, number in zip(
        ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber"), server.build, strict=True
    ):
        add(info, f"{A}{name}", str(number))
    add(info, f"{A}Version", "Exchange2016")
    add(root, f"{S}Body").append(content)
    return serialise(root)


def _response(operation: str) -> tuple[Element, Element]:
    made = etree.Element(f"{A}{operation}ResponseMessage", nsmap={None: NS})
    response = add(made, f"{A}Response")
    add(response, f"{A}ErrorCode", "NoError")
    add(response, f"{A}ErrorMessage")
    return made, response


def _requested(operation: Element) -> tuple[list[str], list[str]]:
    request = child(operation, "Request")
    if request is None:
        return [], []
    holder = child(request, "Users")
    if holder is None:
        holder = child(request, "Domains")
    names = [(text_of(node, "Mailbox") or node.text or "").strip() for node in holder] if holder is not None else []
    settings = child(request, "RequestedSettings")
    return names, [(node.text or "").strip() for node in settings] if settings is not None else []


def _user_settings(server: ExchangeServer, operation: Element, base: str) -> Element:
    made, response = _response("GetUserSettings")
    users, wanted = _requested(operation)
    if not users or not wanted:
        response[0].text = "InvalidRequest"
        response[1].text = "The request is incomplete: users and requested settings are needed."
        return made
    holder = add(response, f"{A}UserResponses")
    for user in users:
        mailbox = server.world.mailbox(user)
        node = add(holder, f"{A}UserResponse")
        if mailbox is None:
            add(node, f"{A}ErrorCode", "InvalidUser")
            add(node, f"{A}ErrorMessage", f"Invalid user: '{clean(user)}'")
            continue
        known = settings_of(server, mailbox, base)
        add(node, f"{A}ErrorCode", "NoError")
        add(node, f"{A}ErrorMessage", "No error.")
        add(node, f"{A}RedirectTarget").set("{http://www.w3.org/2001/XMLSchema-instance}nil", "true")
        errors = add(node, f"{A}UserSettingErrors")
        values = add(node, f"{A}UserSettings")
        for name in wanted:
            if name in known:
                setting = add(
                    values,
                    f"{A}UserSetting",
                    None,
                    {"{http://www.w3.org/2001/XMLSchema-instance}type": "StringSetting"},
                )
                add(setting, f"{A}Name", name)
                add(setting, f"{A}Value", known[name])
            else:
                error = add(errors, f"{A}UserSettingError")
                add(error, f"{A}ErrorCode", "SettingIsNotAvailable")
                add(error, f"{A}ErrorMessage", f"The user setting '{clean(name)}' is not available.")
                add(error, f"{A}SettingName", clean(name))
    return made


def _domain_settings(server: ExchangeServer, operation: Element, base: str) -> Element:
    made, response = _response("GetDomainSettings")
    domains, wanted = _requested(operation)
    holder = add(response, f"{A}DomainResponses")
    local_domains = {address.partition("@")[2] for address in server.world.mailboxes}
    for domain in domains:
        node = add(holder, f"{A}DomainResponse")
        known = domain.lower() in local_domains
        add(node, f"{A}ErrorCode", "NoError" if known else "InvalidDomain")
        add(node, f"{A}ErrorMessage", "" if known else "The domain is unknown.")
        values = add(node, f"{A}DomainSettings")
        for name in wanted if known else ():
            if name == "ExternalEwsUrl":
                setting = add(
                    values,
                    f"{A}DomainSetting",
                    None,
                    {"{http://www.w3.org/2001/XMLSchema-instance}type": "DomainStringSetting"},
                )
                add(setting, f"{A}Name", name)
                add(setting, f"{A}Value", f"{base}/EWS/Exchange.asmx")
    return made


def pox(server: ExchangeServer, request: Request) -> Response:
    """The service autodiscover.xml."""
    try:
        root = parse(request.body)
    except BadXml:
        return Response(200, _pox_error(server, "600", "Invalid Request"), list(_XML))
    inner = child(root, "Request")
    address = (text_of(inner, "EMailAddress") or "").strip() if inner is not None else ""
    schema = (text_of(inner, "AcceptableResponseSchema") or "").strip() if inner is not None else ""
    if not address:
        return Response(200, _pox_error(server, "600", "Invalid Request"), list(_XML))
    if schema and schema != POX_OUTLOOK:
        return Response(200, _pox_error(server, "601", "Provider is not available"), list(_XML))
    mailbox = server.world.mailbox(address)
    if mailbox is None:
        return Response(200, _pox_error(server, "500", "The email address can't be found."), list(_XML))
    return Response(200, _pox_settings(server, mailbox, request.base_url), list(_XML))


def _pox_error(server: ExchangeServer, code: str, message: str) -> bytes:
    root = etree.Element(f"{{{POX_RESPONSE}}}Autodiscover", nsmap={None: POX_RESPONSE})
    response = add(root, f"{{{POX_RESPONSE}}}Response")
    error = add(
        response,
        f"{{{POX_RESPONSE}}}Error",
        None,
        {"Time": server.clock.now().strftime("%H:%M:%S.0000000"), "Id": "1942063486"},
    )
    add(error, f"{{{POX_RESPONSE}}}ErrorCode", code)
    add(error, f"{{{POX_RESPONSE}}}Message", message)
    add(error, f"{{{POX_RESPONSE}}}DebugData")
    return serialise(root)


def _pox_settings(server: ExchangeServer, mailbox: Mailbox, base: str) -> bytes:
    o = f"{{{POX_OUTLOOK}}}"
    root = etree.Element(f"{{{POX_RESPONSE}}}Autodiscover", nsmap={None: POX_RESPONSE})
    response = etree.SubElement(root, f"{o}Response", nsmap={None: POX_OUTLOOK})
    user = add(response, f"{o}User")
    for name, text in (("DisplayName", mailbox.name), ("LegacyDN", settings_of(server, mailbox, base)["UserDN"]),
                       ("AutoDiscoverSMTPAddress", mailbox.address), ("DeploymentId", mailbox.guid)):  # fmt: skip
        add(user, f"{o}{name}", clean(text))
    account = add(response, f"{o}Account")
    add(account, f"{o}AccountType", "email")
    add(account, f"{o}Action", "settings")
    ews = f"{base}/EWS/Exchange.asmx"
    for kind in ("EXCH", "EXPR"):
        protocol = add(account, f"{o}Protocol")
        add(protocol, f"{o}Type", kind)
        add(protocol, f"{o}Server", base.partition("://")[2])
        if kind == "EXCH":
            add(protocol, f"{o}ServerVersion", "73C08608")
        add(protocol, f"{o}AuthPackage", "Ntlm")
        add(protocol, f"{o}ASUrl", ews)
        add(protocol, f"{o}EwsUrl", ews)
        add(protocol, f"{o}OOFUrl", ews)
    return serialise(root)
