"""Calendars and contact folders: list, read, make, rename, remove.

Source: the API reference of calendar and contactFolder. The default ones cannot be removed, and the default contact
folder is not listed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.exchange.store import CALENDAR, CONTACTS, Folder
from sandbox.kit.http import Response

from . import ids, odata
from .errors import GraphError, bad_value, not_allowed

if TYPE_CHECKING:
    from .mailbox import Visit

CALENDAR_MEMBERS = frozenset(
    "id name color hexColor isDefaultCalendar changeKey canShare canViewPrivateItems canEdit isTallyingResponses "
    "isRemovable owner allowedOnlineMeetingProviders defaultOnlineMeetingProvider".split()
)
CONTACT_FOLDER_MEMBERS = frozenset(("id", "displayName", "parentFolderId"))
Shown = Callable[["Visit", Folder], dict[str, Any]]


def calendar(visit: Visit, folder: Folder) -> dict[str, Any]:
    """A calendar as JSON."""
    default = folder.distinguished == "calendar"
    return {
        "id": ids.of_folder(visit.world, folder),
        "name": folder.name,
        "color": "auto",
        "hexColor": "",
        "isDefaultCalendar": default,
        "changeKey": visit.world.folder_key(folder),
        "canShare": True,
        "canViewPrivateItems": True,
        "canEdit": True,
        "allowedOnlineMeetingProviders": ["teamsForBusiness"],
        "defaultOnlineMeetingProvider": "teamsForBusiness",
        "isTallyingResponses": default,
        "isRemovable": not default,
        "owner": {"name": visit.box.name, "address": visit.box.address},
    }


def contact_folder(visit: Visit, folder: Folder) -> dict[str, Any]:
    """A contact folder as JSON."""
    parent = visit.world.folders.get(folder.parent) if folder.parent is not None else None
    return {
        "id": ids.of_folder(visit.world, folder),
        "displayName": folder.name,
        "parentFolderId": ids.of_folder(visit.world, parent) if parent is not None else None,
    }


def calendars(visit: Visit) -> Response:
    """GET and POST of the collection of calendars."""
    if visit.request.method == "GET":
        found = [odata.Row(calendar(visit, one)) for one in visit.folders(CALENDAR)]
        return visit.listed(found, odata.read(visit.request.query, CALENDAR_MEMBERS), "calendars", "calendars")
    return _make(visit, "name", CALENDAR, visit.folder("calendar"), calendar)


def contact_folders(visit: Visit) -> Response:
    """GET and POST of the folders beside the default one, which v1.0 does not list."""
    if visit.request.method == "GET":
        rows = [odata.Row(contact_folder(visit, one)) for one in visit.folders(CONTACTS) if not one.distinguished]
        options = odata.read(visit.request.query, CONTACT_FOLDER_MEMBERS)
        return visit.listed(rows, options, "contactFolders", "contactFolders")
    return _make(visit, "displayName", CONTACTS, visit.folder("contacts"), contact_folder)


def one_calendar(visit: Visit, folder: Folder) -> Response:
    """GET, PATCH and DELETE of a calendar."""
    return _one(visit, folder, "name", CALENDAR_MEMBERS, calendar)


def one_contact_folder(visit: Visit, folder: Folder) -> Response:
    """GET, PATCH and DELETE of a contact folder."""
    return _one(visit, folder, "displayName", CONTACT_FOLDER_MEMBERS, contact_folder)


def _one(visit: Visit, folder: Folder, naming: str, known: frozenset[str], shown: Shown) -> Response:
    match visit.request.method:
        case "GET":
            options = odata.read(visit.request.query, known)
            return visit.json(visit.shown(odata.Row(shown(visit, folder)), options))
        case "PATCH":
            folder.name = _name(visit, naming, folder) if naming in _given(visit) else folder.name
            visit.world.touch_folder(folder)
            return visit.json(shown(visit, folder))
        case "DELETE":
            if folder.distinguished:
                raise GraphError(400, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
            visit.world.drop_folder(folder)
            return Response(204)
    raise not_allowed()


def _make(visit: Visit, naming: str, folder_class: str, beside: Folder, shown: Shown) -> Response:
    if visit.request.method != "POST":
        raise not_allowed()
    parent = beside.serial if folder_class == CONTACTS else beside.parent
    made = visit.world.add_folder(visit.box, _name(visit, naming, None, folder_class), folder_class, parent)
    return visit.json(shown(visit, made), 201)


def _given(visit: Visit) -> dict[str, Any]:
    given = visit.request.json()
    if not isinstance(given, dict):
        raise bad_value("The body is not an object.", "RequestBodyRead")
    return given


def _name(visit: Visit, naming: str, itself: Folder | None, folder_class: str = "") -> str:
    """The name that a body gives to a folder. Raises `GraphError`: none, or one that another folder has."""
    name = _given(visit).get(naming)
    if not isinstance(name, str) or not name.strip():
        raise bad_value(f"The folder needs a value of '{naming}'.")
    others = visit.folders(itself.folder_class if itself is not None else folder_class)
    if any(one.name == name and one is not itself for one in others):
        raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    return name
