"""Permission sets of folders: who else may read and write a folder.

Source: EWS reference, PermissionSet (PermissionSetType and CalendarPermissionSetType) and "Setting folder permissions
for another user by using EWS". A set replaces the one before it, and its entries open the folder to those they name.
"""

from __future__ import annotations

import copy

from .calls import Call
from .errors import EwsError, schema_violation
from .soap import Element, T, add, boolean, child, element, local, text_of
from .store import Folder

LEVELS = ("None", "Owner", "PublishingEditor", "Editor", "PublishingAuthor", "Author", "NoneditingAuthor", "Reviewer",
          "Contributor", "FreeBusyTimeOnly", "FreeBusyTimeAndSubjectAndLocation", "Custom")  # fmt: skip
_FLAGS = ("CanCreateItems", "CanCreateSubFolders", "IsFolderOwner", "IsFolderVisible", "IsFolderContact")


def render(folder: Folder) -> Element:
    """The t:PermissionSet of a folder; one that was never set names nobody but Default and Anonymous."""
    calendar = folder.element == "CalendarFolder"
    tag = "CalendarPermission" if calendar else "Permission"
    made = element(f"{T}PermissionSet")
    holder = add(made, f"{T}{tag}s")
    for node in folder.permissions.values() if folder.permissions is not None else ():
        holder.append(copy.deepcopy(node))
    if folder.permissions is None:
        _nobody(holder, tag, "Default", "FreeBusyTimeOnly" if calendar else "None")
        _nobody(holder, tag, "Anonymous", "None")
    return made


def _nobody(holder: Element, tag: str, who: str, level: str) -> None:
    entry = add(holder, f"{T}{tag}")
    add(add(entry, f"{T}UserId"), f"{T}DistinguishedUser", who)
    for name in _FLAGS:
        add(entry, f"{T}{name}", boolean(False))
    add(entry, f"{T}EditItems", "None")
    add(entry, f"{T}DeleteItems", "None")
    add(entry, f"{T}ReadItems", "TimeOnly" if level == "FreeBusyTimeOnly" else "None")
    add(entry, f"{T}{tag}Level", level)


def replace(call: Call, folder: Folder, node: Element) -> None:
    """Take a t:PermissionSet of a request. Raises `EwsError`."""
    tag = "CalendarPermission" if folder.element == "CalendarFolder" else "Permission"
    holder = child(node, f"{tag}s")
    found: dict[str, Element] = {}
    for entry in holder if holder is not None else ():
        if local(entry) != tag:
            raise schema_violation(
                f"The element '{tag}s' has invalid child element '{local(entry)}'.", entry.sourceline
            )
        level = (text_of(entry, f"{tag}Level") or "").strip()
        if level not in LEVELS:
            raise EwsError("ErrorInvalidPermissionSettings", "The permission level is missing or unknown.")
        who = _who(call, entry)
        if who in found:
            raise EwsError("ErrorDuplicateUserIdsSpecified", "The same user was named more than once.")
        found[who] = copy.deepcopy(entry)
    folder.permissions = found


def _who(call: Call, entry: Element) -> str:
    user = child(entry, "UserId")
    special = (text_of(user, "DistinguishedUser") or "").strip() if user is not None else ""
    if special in ("Default", "Anonymous"):
        return special
    known = call.world.mailbox((text_of(user, "PrimarySmtpAddress") or "").strip()) if user is not None else None
    if known is None:
        raise EwsError("ErrorInvalidUserInfo", "The user of a permission is not in the directory.")
    return known.address.lower()
