"""Who gets in: Basic, NTLM on its connection, bearer tokens, impersonation, delegation; and what transport demands."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from lxml import etree
from requests_ntlm import HttpNtlmAuth

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import ANNA, BEN, CARA, Ews, Fault, M, S, T, event, exchange, names, shape

CALENDAR = '<m:GetFolder><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape><m:FolderIds><t:DistinguishedFolderId Id="calendar">{mailbox}</t:DistinguishedFolderId></m:FolderIds></m:GetFolder>'
OF = "<t:Mailbox><t:EmailAddress>{}</t:EmailAddress></t:Mailbox>"
IMPERSONATE = "<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>{}</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>"
MINE = CALENDAR.format(mailbox="")


@pytest.fixture(scope="module")
def served() -> Iterator[ExchangeServer]:
    with exchange() as server:
        server.add_account("svc", "secret", impersonates=[BEN])
        server.add_account("root", "secret", impersonates=["*"], full_access=["*"])
        server.save_snapshot()
        yield server


@pytest.fixture
def ews(served: ExchangeServer) -> Iterator[Ews]:
    served.restore_snapshot()
    with Ews(served) as client:
        yield client


# -- HTTP ---------------------------------------------------------------------------------------------------------------------


def test_without_credentials_the_schemes_are_offered_and_the_connection_stays_open(ews: Ews) -> None:
    with httpx.Client(base_url=ews.server.url, trust_env=False) as bare:
        refused = bare.post("/EWS/Exchange.asmx", content=ews.envelope(MINE), headers={"Content-Type": "text/xml"})
    offers = refused.headers.get_list("www-authenticate")
    assert refused.status_code == 401
    assert [offer.split()[0] for offer in offers] == ["NTLM", "Basic", "Bearer"]
    assert refused.headers.get("connection", "") != "close"


@pytest.mark.parametrize("login", [ANNA, ANNA.upper(), "anna", "PRACTICE\\anna"])
def test_the_forms_of_a_login_name(ews: Ews, login: str) -> None:
    with Ews(ews.server, login) as client:
        assert client.code(MINE) == "NoError"


@pytest.mark.parametrize(
    "header",
    [
        "Basic !!!",
        "Basic " + base64.b64encode(f"{ANNA}:wrong".encode()).decode(),
        "Bearer nonsense",
        "NTLM AAAA",
        "Digest x",
    ],
)
def test_wrong_credentials_are_401(ews: Ews, header: str) -> None:
    with httpx.Client(base_url=ews.server.url, trust_env=False) as client:
        assert client.post("/EWS/Exchange.asmx", headers={"Authorization": header}).status_code == 401


def test_every_answer_tells_the_server_version_and_the_affinity_cookie(ews: Ews) -> None:
    response = ews.post(MINE)
    info = etree.fromstring(response.content).find(f"{S}Header/{T}ServerVersionInfo")
    assert dict(info.attrib) == {
        "MajorVersion": "15",
        "MinorVersion": "2",
        "MajorBuildNumber": "1544",
        "MinorBuildNumber": "11",
        "Version": "V2017_07_11",
    }
    assert response.headers["content-type"] == "text/xml; charset=utf-8"
    assert "X-BackEndOverrideCookie" in response.headers["set-cookie"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"<not-xml", 400),
        (b"<a/>", 400),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>', 400),
        (b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>', 400),
        (b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>', 500),
    ],
)  # fmt: skip
def test_what_is_not_soap_is_refused_by_status(ews: Ews, body: bytes, status: int) -> None:
    assert ews.http.post("/EWS/Exchange.asmx", content=body, headers={"Content-Type": "text/xml"}).status_code == status
    assert ews.server.crashes == []


def test_other_methods_types_and_paths(ews: Ews) -> None:
    assert ews.http.put("/EWS/Exchange.asmx").status_code == 405
    assert (
        ews.http.post("/EWS/Exchange.asmx", content=b"{}", headers={"Content-Type": "application/json"}).status_code
        == 415
    )
    assert ews.http.get("/EWS/Services.wsdl").status_code == 404
    assert (
        ews.http.post(
            "/ews/exchange.ASMX", content=ews.envelope(MINE), headers={"Content-Type": "text/xml"}
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("version", "code"),
    [("Exchange2013_SP1", "NoError"), ("V2017_07_11", "NoError"), ("Exchange1999", "fault ErrorInvalidServerVersion")],
)
def test_the_requested_version_is_checked(ews: Ews, version: str, code: str) -> None:
    ews.version = version
    assert ews.code(MINE) == code


# -- NTLM ----------------------------------------------------------------------------------------------------------------------


def ntlm(server: ExchangeServer, password: str = "secret") -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.auth = HttpNtlmAuth("PRACTICE\\anna", password)
    session.headers["Content-Type"] = "text/xml; charset=utf-8"
    return session


def test_ntlm_authenticates_the_connection(ews: Ews) -> None:
    with ntlm(ews.server) as session:
        url = f"{ews.server.url}/EWS/Exchange.asmx"
        assert session.post(url, data=ews.envelope(MINE), timeout=10).status_code == 200
        session.auth = None
        again = session.post(url, data=ews.envelope(MINE), timeout=10)
        assert again.status_code == 200
        session.close()
        assert session.post(url, data=ews.envelope(MINE), timeout=10).status_code == 401


def test_ntlm_refuses_a_wrong_password_and_a_message_without_a_challenge(ews: Ews) -> None:
    with ntlm(ews.server, "wrong") as session:
        assert (
            session.post(f"{ews.server.url}/EWS/Exchange.asmx", data=ews.envelope(MINE), timeout=10).status_code == 401
        )
    third = base64.b64encode(b"NTLMSSP\x00\x03\x00\x00\x00" + bytes(60)).decode()
    refused = ews.http.post("/EWS/Exchange.asmx", headers={"Authorization": f"NTLM {third}"}, auth=None)
    assert refused.status_code == 401


# -- OAuth -----------------------------------------------------------------------------------------------------------------------


def token(ews: Ews, **form: str) -> httpx.Response:
    given = {
        "grant_type": "client_credentials",
        "client_id": "practice-app",
        "client_secret": "practice-secret",
        **form,
    }
    return httpx.post(ews.server.connection_info()["oauth"]["token_url"], data=given, trust_env=False)


def bearer(ews: Ews, access: str, header: str = "") -> Any:
    ews.header = header
    try:
        return ews.http.post(
            "/EWS/Exchange.asmx",
            content=ews.envelope(MINE),
            auth=None,
            headers={"Content-Type": "text/xml", "Authorization": f"Bearer {access}"},
        )
    finally:
        ews.header = ""


def test_an_application_token_must_impersonate(ews: Ews) -> None:
    access = token(ews).json()["access_token"]
    assert bearer(ews, access, IMPERSONATE.format(ANNA)).status_code == 200
    refused = bearer(ews, access)
    assert refused.status_code == 500
    assert "ErrorImpersonationRequired" in refused.text


def test_a_user_token_is_the_user_and_expires(ews: Ews) -> None:
    access = token(ews, grant_type="password", username=ANNA, password="secret").json()["access_token"]
    assert bearer(ews, access).status_code == 200
    ews.server.clock.move(hours=2)
    try:
        assert bearer(ews, access).status_code == 401
    finally:
        ews.server.clock.move(hours=-2)


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 400, "unauthorized_client"),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password", "username": ANNA, "password": "wrong"}, 400, "invalid_grant"),
    ],
)
def test_token_errors_are_those_of_oauth(ews: Ews, form: dict[str, str], status: int, error: str) -> None:
    response = token(ews, **form)
    assert (response.status_code, response.json()["error"]) == (status, error)


# -- rights ---------------------------------------------------------------------------------------------------------------------------


def test_a_service_account_acts_as_those_it_may_impersonate(ews: Ews) -> None:
    with Ews(ews.server, "svc") as svc:
        svc.header = IMPERSONATE.format(BEN)
        svc.event("By the service")
        item = svc.find("calendar:Organizer")[0]
        assert item.findtext(f"{T}Organizer/{T}Mailbox/{T}Name") == "Ben Ode"
        svc.header = IMPERSONATE.format(CARA)
        assert svc.code(MINE) == "fault ErrorImpersonateUserDenied"
        svc.header = IMPERSONATE.format("x@corp.example")
        assert svc.code(MINE) == "fault ErrorNonExistentMailbox"
    ews.header = IMPERSONATE.format(BEN)
    assert ews.code(MINE) == "fault ErrorImpersonateUserDenied"
    ews.header = ""


def test_an_account_without_a_mailbox_must_name_one(ews: Ews) -> None:
    with Ews(ews.server, "root") as root:
        assert root.code(MINE) == "ErrorMissingEmailAddress"
        assert root.code(CALENDAR.format(mailbox=OF.format(BEN))) == "NoError"
        assert root.code(CALENDAR.format(mailbox=OF.format("x@corp.example"))) == "ErrorNonExistentMailbox"


@pytest.mark.parametrize(
    ("level", "read", "write"), [("", False, False), ("Reviewer", True, False), ("Editor", True, True)]
)
def test_delegates_do_what_they_were_granted(ews: Ews, level: str, read: bool, write: bool) -> None:
    if level:
        ews.server.call(ews.server.grant, BEN, ANNA, level)
    bens = f'<t:DistinguishedFolderId Id="calendar">{OF.format(BEN)}</t:DistinguishedFolderId>'
    saved = f"<m:SavedItemFolderId>{bens}</m:SavedItemFolderId>"
    creation = f'<m:CreateItem SendMeetingInvitations="SendToNone">{saved}<m:Items>{event()}</m:Items></m:CreateItem>'
    assert ews.code(CALENDAR.format(mailbox=OF.format(BEN))) == ("NoError" if read else "ErrorFolderNotFound")
    expected = "NoError" if write else "ErrorAccessDenied" if read else "ErrorSavedItemFolderNotFound"
    assert ews.code(creation) == expected


def test_items_of_others_are_out_of_reach_by_id_too(ews: Ews) -> None:
    made = ews.server.call(ews.server.create_event, BEN, subject="Secret", start="2026-06-02T09:00")
    body = f'<m:GetItem>{shape()}<m:ItemIds><t:ItemId Id="{ews.server.world.item_id(made)}"/></m:ItemIds></m:GetItem>'
    assert ews.code(body) == "ErrorItemNotFound"
    ews.server.call(ews.server.grant, BEN, ANNA, "Reviewer")
    assert ews.code(body) == "NoError"
    assert ews.code(ews.delete(ews.server.world.item_id(made))) == "ErrorAccessDenied"


def delegates(ews: Ews, operation: str, inner: str, attributes: str = "") -> list[str]:
    body = f"<m:{operation} {attributes}><m:Mailbox><t:EmailAddress>{ANNA}</t:EmailAddress></m:Mailbox>{inner}</m:{operation}>"
    return [str(message.findtext(f"{M}ResponseCode")) for message in ews.messages(body)]


def delegate(address: str, calendar: str) -> str:
    levels = f"<t:DelegatePermissions><t:CalendarFolderPermissionLevel>{calendar}</t:CalendarFolderPermissionLevel></t:DelegatePermissions>"
    return f"<m:DelegateUsers><t:DelegateUser><t:UserId><t:PrimarySmtpAddress>{address}</t:PrimarySmtpAddress></t:UserId>{levels}</t:DelegateUser></m:DelegateUsers>"


def test_delegates_are_added_changed_told_and_removed(ews: Ews) -> None:
    annas = f'<t:DistinguishedFolderId Id="{{}}">{OF.format(ANNA)}</t:DistinguishedFolderId>'
    get = "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds>{}</m:FolderIds></m:GetFolder>"
    with Ews(ews.server, BEN) as ben:
        assert ben.code(get.format(annas.format("calendar"))) == "ErrorFolderNotFound"
        assert delegates(ews, "AddDelegate", delegate(BEN, "Reviewer")) == ["NoError"]
        assert ben.code(get.format(annas.format("calendar"))) == "NoError"
        assert ben.code(get.format(annas.format("inbox"))) == "ErrorFolderNotFound"
        told = ews.call(
            f'<m:GetDelegate IncludePermissions="true"><m:Mailbox><t:EmailAddress>{ANNA}</t:EmailAddress></m:Mailbox></m:GetDelegate>'
        )
        assert told.findtext(f".//{T}CalendarFolderPermissionLevel") == "Reviewer"
        assert told.findtext(f"{M}DeliverMeetingRequests") == "DelegatesAndMe"
        assert delegates(ews, "UpdateDelegate", delegate(BEN, "None")) == ["NoError"]
        assert ben.code(get.format(annas.format("calendar"))) == "ErrorFolderNotFound"
    user = f"<m:UserIds><t:UserId><t:PrimarySmtpAddress>{BEN}</t:PrimarySmtpAddress></t:UserId></m:UserIds>"
    assert delegates(ews, "AddDelegate", delegate(BEN, "Editor")) == ["ErrorDelegateAlreadyExists"]
    assert delegates(ews, "AddDelegate", delegate(ANNA, "Editor")) == ["ErrorDelegateCannotAddOwner"]
    assert delegates(ews, "AddDelegate", delegate("x@corp.example", "Editor")) == ["ErrorDelegateNoUser"]
    assert [delegates(ews, "RemoveDelegate", user) for _ in range(2)] == [["NoError"], ["ErrorNotDelegate"]]


PERMISSIONS = (
    "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
    '<t:FieldURI FieldURI="folder:PermissionSet"/></t:AdditionalProperties></m:FolderShape>'
    '<m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder>'
)


def grant(ews: Ews, address: str, level: str) -> str:
    """The response code of opening Anna's calendar to somebody."""
    entry = (
        f"<t:CalendarPermission><t:UserId><t:PrimarySmtpAddress>{address}</t:PrimarySmtpAddress></t:UserId>"
        f"<t:CalendarPermissionLevel>{level}</t:CalendarPermissionLevel></t:CalendarPermission>"
    )
    change = (
        '<t:SetFolderField><t:FieldURI FieldURI="folder:PermissionSet"/><t:CalendarFolder><t:PermissionSet>'
        f"<t:CalendarPermissions>{entry}</t:CalendarPermissions></t:PermissionSet></t:CalendarFolder></t:SetFolderField>"
    )
    return ews.code(
        '<m:UpdateFolder><m:FolderChanges><t:FolderChange><t:DistinguishedFolderId Id="calendar"/>'
        f"<t:Updates>{change}</t:Updates></t:FolderChange></m:FolderChanges></m:UpdateFolder>"
    )


@pytest.mark.parametrize(
    ("level", "read", "write"),
    [
        ("Reviewer", "NoError", "ErrorAccessDenied"),
        ("Editor", "NoError", "NoError"),
        ("FreeBusyTimeOnly", "ErrorFolderNotFound", "ErrorSavedItemFolderNotFound"),
    ],
)
def test_a_permission_set_opens_a_folder_to_those_it_names(ews: Ews, level: str, read: str, write: str) -> None:
    before = ews.one(PERMISSIONS).find(f".//{T}CalendarPermissions")
    assert [one.findtext(f"{T}UserId/{T}DistinguishedUser") for one in before] == ["Default", "Anonymous"]
    assert grant(ews, BEN, level) == "NoError"
    after = ews.one(PERMISSIONS).find(f".//{T}CalendarPermission")
    assert after.findtext(f"{T}CalendarPermissionLevel") == level
    with Ews(ews.server, BEN) as ben:
        assert ben.code(CALENDAR.format(mailbox=OF.format(ANNA))) == read
        body = (
            '<m:CreateItem SendMeetingInvitations="SendToNone"><m:SavedItemFolderId>'
            f'<t:DistinguishedFolderId Id="calendar">{OF.format(ANNA)}</t:DistinguishedFolderId></m:SavedItemFolderId>'
            f"<m:Items>{event()}</m:Items></m:CreateItem>"
        )
        assert ben.code(body) == write


def test_a_wrong_permission_set_changes_nothing(ews: Ews) -> None:
    assert grant(ews, BEN, "Almighty") == "ErrorInvalidPermissionSettings"
    assert grant(ews, "nobody@corp.example", "Editor") == "ErrorInvalidUserInfo"
    assert len(ews.one(PERMISSIONS).find(f".//{T}CalendarPermissions")) == 2


def test_a_delegate_cannot_subscribe_for_the_owner(ews: Ews) -> None:
    ews.server.call(ews.server.grant, BEN, ANNA, "Editor")
    folder = f'<t:DistinguishedFolderId Id="calendar">{OF.format(BEN)}</t:DistinguishedFolderId>'
    body = f"<m:Subscribe><m:StreamingSubscriptionRequest><t:FolderIds>{folder}</t:FolderIds><t:EventTypes><t:EventType>CreatedEvent</t:EventType></t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>"
    assert ews.code(body) == "ErrorSubscriptionDelegateAccessNotSupported"


# -- bad days ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "status", "backoff"),
    [({"backoff_ms": 2500}, 500, "2500"), ({}, 500, None), ({"backoff_ms": 100, "status": 200}, 200, "100")],
)
def test_busy_is_a_soap_fault_with_or_without_a_back_off(
    ews: Ews, args: dict[str, int], status: int, backoff: str | None
) -> None:
    ews.server.call(ews.server.faults.add, "busy", path="EWS GetFolder", **args)
    with pytest.raises(Fault) as caught:
        ews.call(MINE)
    assert (caught.value.code, caught.value.status, caught.value.values.get("BackOffMilliseconds")) == (
        "ErrorServerBusy",
        status,
        backoff,
    )
    details = caught.value.root.find("detail")
    assert names(details)[:2] == ["ResponseCode", "Message"]
    assert ews.code(MINE) == "NoError"
    assert ews.server.faults.hits[-1].endpoint == "EWS GetFolder"


def test_a_batch_is_stopped_at_the_item_that_found_the_server_busy_and_keeps_those_before(ews: Ews) -> None:
    ews.server.call(ews.server.faults.add, "item_busy", path="EWS CreateItem", item=2)
    items = "".join(event(f"b{number}") for number in range(5))
    answers = ews.messages(
        f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{items}</m:Items></m:CreateItem>'
    )
    assert [(one.get("ResponseClass"), one.findtext(f"{M}ResponseCode")) for one in answers] == [
        ("Success", "NoError"), ("Success", "NoError"), ("Error", "ErrorServerBusy"),
        ("Warning", "ErrorBatchProcessingStopped"), ("Warning", "ErrorBatchProcessingStopped"),
    ]  # fmt: skip
    assert len(ews.find()) == 2


def test_one_item_of_a_batch_fails_and_the_others_do_not(ews: Ews) -> None:
    ews.server.call(ews.server.faults.add, "item_error", path="EWS CreateItem", item=1, code="ErrorItemCorrupt")
    items = "".join(event(f"b{number}") for number in range(3))
    answers = ews.messages(
        f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{items}</m:Items></m:CreateItem>'
    )
    assert [one.findtext(f"{M}ResponseCode") for one in answers] == ["NoError", "ErrorItemCorrupt", "NoError"]
    assert [item.findtext(f"{T}Subject") for item in ews.find("item:Subject")] == ["b0", "b2"]


def test_an_inner_error_names_the_busy_server(ews: Ews) -> None:
    ews.server.call(ews.server.faults.add, "inner_busy")
    message = ews.messages(MINE)[0]
    assert message.findtext(f"{M}ResponseCode") == "ErrorInternalServerError"
    inner = {node.get("Name"): node.text for node in message.iter(f"{T}Value")}
    assert inner["InnerErrorResponseCode"] == "ErrorServerBusy"


def test_any_soap_fault_can_be_ordered(ews: Ews) -> None:
    ews.server.call(ews.server.faults.add, "soap", code="ErrorTimeoutExpired")
    assert ews.code(MINE) == "fault ErrorTimeoutExpired"


def test_a_connection_dropped_after_the_write_keeps_the_item(ews: Ews) -> None:
    ews.server.call(ews.server.faults.add, "drop_after", path="EWS CreateItem")
    with pytest.raises(httpx.HTTPError):
        ews.event("Survivor")
    assert [item.findtext(f"{T}Subject") for item in ews.find("item:Subject")] == ["Survivor"]


def test_conditions_come_and_go(ews: Ews) -> None:
    server = ews.server
    for name, args, code in (
        ("access_denied", {"mailbox": ANNA}, "ErrorAccessDenied"),
        ("throttle", {"backoff_ms": 300}, "fault ErrorServerBusy"),
    ):
        server.call(server.condition, name, **args)
        assert ews.code(MINE) == code
        server.call(server.condition, name, on=False, **args)
        assert ews.code(MINE) == "NoError"
    server.condition("ews_blocked")
    blocked = ews.post(MINE)
    server.condition("ews_blocked", on=False)
    assert blocked.status_code == 403
    assert "x-ms-diagnostics" in blocked.headers
    with pytest.raises(KeyError, match="throttle"):
        server.condition("nonsense")


def test_too_many_connections_are_refused_until_some_close(ews: Ews) -> None:
    ews.server.call(ews.server.condition, "connection_limit", connections=2)
    try:
        with Ews(ews.server) as second, Ews(ews.server) as third:
            assert [one.code(MINE) for one in (ews, second)] == ["NoError", "NoError"]
            assert third.code(MINE) == "fault ErrorExceededConnectionCount"
            assert ews.code(MINE) == "NoError"
    finally:
        ews.server.call(ews.server.condition, "connection_limit", connections=None)


def test_automation_rewrites_a_field_after_each_write(ews: Ews) -> None:
    ews.server.call(ews.server.condition, "automation", uri="item:Subject", suffix=" [external]")
    try:
        identifier, key = ews.event("Call")
        assert ews.get(identifier, "item:Subject").findtext(f"{T}Subject") == "Call [external]"
        assert ews.get(identifier).find(f"{T}ItemId").get("ChangeKey") == key
    finally:
        ews.server.call(ews.server.condition, "automation", on=False)


def test_odd_data_is_put_into_a_calendar(ews: Ews) -> None:
    server = ews.server
    custom = server.call(server.condition, "custom_zone", mailbox=ANNA)
    server.call(server.condition, "unknown_zone", mailbox=ANNA, all_day=True)
    bare = server.call(server.condition, "unknown_zone", mailbox=ANNA, zone="")
    server.call(server.condition, "unknown_item_type", mailbox=ANNA)
    assert ews.get(bare, "calendar:StartTimeZone", "calendar:EndTimeZone").find(f"{T}StartTimeZone") is None
    zone = ews.get(custom, "calendar:StartTimeZone").find(f"{T}StartTimeZone")
    assert (zone.get("Id"), len(zone)) == ("tzone://Microsoft/Custom", 0)
    assert names(ews.page("item:Subject").find(f"{T}Items")) == [
        "CalendarItem",
        "CalendarItem",
        "CalendarItem",
        "Booking",
    ]
