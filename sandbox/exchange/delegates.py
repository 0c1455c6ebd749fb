"""Delegates of a mailbox: GetDelegate, AddDelegate, UpdateDelegate, RemoveDelegate.

Source: EWS reference of each; "Handling delegation-related errors in EWS". What delegates may do is in store.Delegate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .calls import Call, error_message, required, success_message
from .errors import EwsError, RequestFault, schema_violation
from .soap import Element, M, T, add, boolean, child, clean, element, flag, local, message_root, text_of
from .store import Delegate, Mailbox

FOLDERS = ("calendar", "tasks", "inbox", "contacts", "notes", "journal")
LEVELS = ("None", "Editor", "Reviewer", "Author", "Custom")
DELIVERIES = ("DelegatesOnly", "DelegatesAndMe", "DelegatesAndSendInformationToMe", "NoForward")
_TAG = f"{M}DelegateUserResponseMessageType"


def get_delegate(call: Call, request: Element) -> Element:
    """GetDelegate: all delegates, or those named."""
    mailbox = _principal(call, request, write=False)
    full = flag(request.get("IncludePermissions"))
    named = child(request, "UserIds")
    addresses = [_address(call, node) for node in named] if named is not None else list(mailbox.delegates)

    def one(address: str) -> Element | None:
        if address not in mailbox.delegates:
            raise EwsError("ErrorNotDelegate")
        return _render(call, address, mailbox.delegates[address], full=full)

    return _reply(call, "GetDelegate", addresses, one, mailbox)


def add_delegate(call: Call, request: Element) -> Element:
    """AddDelegate."""
    mailbox = _principal(call, request, write=True)

    def one(node: Element) -> Element | None:
        address = _address(call, required(node, "UserId"))
        if address == mailbox.address.lower():
            raise EwsError("ErrorDelegateCannotAddOwner")
        if address in mailbox.delegates:
            raise EwsError("ErrorDelegateAlreadyExists")
        mailbox.delegates[address] = _read(node, Delegate())
        return _render(call, address, mailbox.delegates[address], full=True)

    _deliver(mailbox, request)
    return _reply(call, "AddDelegate", list(required(request, "DelegateUsers")), one, mailbox)


def update_delegate(call: Call, request: Element) -> Element:
    """UpdateDelegate: what is given replaces what was."""
    mailbox = _principal(call, request, write=True)

    def one(node: Element) -> Element | None:
        address = _address(call, required(node, "UserId"))
        if address not in mailbox.delegates:
            raise EwsError("ErrorNotDelegate")
        mailbox.delegates[address] = _read(node, mailbox.delegates[address])
        return _render(call, address, mailbox.delegates[address], full=True)

    users = child(request, "DelegateUsers")
    _deliver(mailbox, request)
    return _reply(call, "UpdateDelegate", list(users) if users is not None else [], one, mailbox)


def remove_delegate(call: Call, request: Element) -> Element:
    """RemoveDelegate."""
    mailbox = _principal(call, request, write=True)

    def one(node: Element) -> Element | None:
        if mailbox.delegates.pop(_address(call, node), None) is None:
            raise EwsError("ErrorNotDelegate")
        return None

    return _reply(call, "RemoveDelegate", list(required(request, "UserIds")), one, None)


def _principal(call: Call, request: Element, *, write: bool) -> Mailbox:
    address = (text_of(required(request, "Mailbox"), "EmailAddress") or "").strip()
    mailbox = call.world.mailbox(address)
    if mailbox is None:
        raise RequestFault("ErrorNonExistentMailbox")
    return call.check(mailbox, write=write)


def _address(call: Call, node: Element) -> str:
    """The address of a t:UserId; the user must be in the directory."""
    address = (text_of(node, "PrimarySmtpAddress") or "").strip()
    if not address:
        raise EwsError(
            "ErrorDelegateMissingConfiguration" if child(node, "SID") is not None else "ErrorDelegateInvalidUserId"
        )
    known = call.world.mailbox(address)
    if known is None:
        raise EwsError("ErrorDelegateNoUser")
    return known.address.lower()


def _read(node: Element, before: Delegate) -> Delegate:
    folders = dict(before.folders)
    permissions = child(node, "DelegatePermissions")
    for part in permissions if permissions is not None else ():
        name, level = local(part).removesuffix("FolderPermissionLevel").lower(), (part.text or "").strip()
        if name not in FOLDERS or level not in LEVELS:
            raise schema_violation(
                f"The '{local(part)}' element is invalid - The value '{level}' is invalid.", part.sourceline
            )
        folders[name] = level
    copies, private = text_of(node, "ReceiveCopiesOfMeetingMessages"), text_of(node, "ViewPrivateItems")
    return replace(
        before,
        folders=folders,
        receive_copies=before.receive_copies if copies is None else flag(copies),
        view_private=before.view_private if private is None else flag(private),
    )


def _deliver(mailbox: Mailbox, request: Element) -> None:
    wanted = text_of(request, "DeliverMeetingRequests")
    if wanted is None:
        return
    if wanted.strip() not in DELIVERIES:
        raise schema_violation(
            f"The 'DeliverMeetingRequests' element is invalid - The value '{wanted}' is invalid.", request.sourceline
        )
    mailbox.deliver_requests = wanted.strip()


def _render(call: Call, address: str, delegate: Delegate, *, full: bool) -> Element:
    made = element(f"{M}DelegateUser")
    user = add(made, f"{T}UserId")
    known = call.world.mailbox(address)
    if known is not None:
        add(user, f"{T}SID", f"S-1-5-21-1333220396-2200287332-232816053-{1100 + known.number}")
    add(user, f"{T}PrimarySmtpAddress", clean(known.address if known is not None else address))
    add(user, f"{T}DisplayName", clean(known.name if known is not None else address))
    if full:
        levels = add(made, f"{T}DelegatePermissions")
        for name in FOLDERS:
            level = delegate.level_of(name)
            add(
                levels,
                f"{T}{name.capitalize()}FolderPermissionLevel",
                level if level in LEVELS else "Custom" if level else "None",
            )
    add(made, f"{T}ReceiveCopiesOfMeetingMessages", boolean(delegate.receive_copies))
    add(made, f"{T}ViewPrivateItems", boolean(delegate.view_private))
    return made


def _reply(
    call: Call, operation: str, inputs: list[Any], handle: Callable[[Any], Element | None], mailbox: Mailbox | None
) -> Element:
    root = message_root(f"{M}{operation}Response")
    root.set("ResponseClass", "Success")
    add(root, f"{M}ResponseCode", "NoError")
    holder = add(root, f"{M}ResponseMessages")
    for one in inputs:
        try:
            made = handle(one)
        except RequestFault:
            raise
        except EwsError as error:
            holder.append(error_message(_TAG, error))
        else:
            holder.append(success_message(_TAG, [made] if made is not None else []))
            call.records += 1
    if mailbox is not None:
        add(root, f"{M}DeliverMeetingRequests", mailbox.deliver_requests)
    return root
