"""Where the contacts of one mailbox lie: in its Contacts folder or, by a name, in a folder of their own.

A folder of that name is looked for directly below Contacts, where Outlook puts a new one, and directly below the root.
The tree is never walked: that reads every folder of a mailbox. Source: EWS reference, FindFolder, CreateFolder,
EffectiveRights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from connectors.calendars.folders import missing
from sidefeed.connector import Invalid

from . import xml
from .xml import Element, M

if TYPE_CHECKING:
    from .ews import Mailbox

CONTACTS, _ROOT = "contacts", "msgfolderroot"
PARENT = "item:ParentFolderId"
_CLASS = "IPF.Contact"


@dataclass(frozen=True, slots=True)
class FolderId:
    """A folder by its id, where it is none of those that every mailbox has."""

    id: str


@dataclass(frozen=True, slots=True)
class _Found:
    id: str
    may_create: bool


class Folder:
    """The contact folder of one mailbox. Contacts elsewhere are neither read nor written."""

    def __init__(self, door: Mailbox, name: str) -> None:
        self._door = door
        self.name = name

    @property
    def place(self) -> str | FolderId:
        """What operations name. Raises Invalid where the mailbox has no such folder."""
        return FolderId(self._there.id) if self.name else CONTACTS

    def holds(self, contact: Element) -> bool:
        """Whether a contact that was read with its ``PARENT`` lies here."""
        if not self.name:
            return True
        parent = xml.at(contact, "ParentFolderId")
        return parent is not None and parent.get("Id") == self._there.id

    def exists(self) -> bool:
        return self._found is not None

    def creatable(self) -> bool:
        """Whether the account may make folders below Contacts."""
        request = xml.element("m:GetFolder", None, [
            _shape("folder:EffectiveRights"), xml.element("m:FolderIds", None, [self._door.folder(CONTACTS)])])
        (reply,) = self._door.read(request)
        if reply.element is None:
            raise self._door.failed(reply)
        holder = reply.element.find(f"{M}Folders")
        return any(xml.flag(each, "EffectiveRights", "CreateHierarchy") for each in xml.children(holder))

    def create(self) -> None:
        """Make it below Contacts. Raises ConnectorError."""
        made = xml.element("t:ContactsFolder", None, [
            xml.element("t:FolderClass", _CLASS), xml.element("t:DisplayName", self.name)])
        parts = [xml.element("m:ParentFolderId", None, [self._door.folder(CONTACTS)]),
                 xml.element("m:Folders", None, [made])]
        reply = self._door.effect(xml.element("m:CreateFolder", None, parts))
        if reply.element is None:
            raise self._door.failed(reply, effect=True)
        del self._found

    def hindrance(self, *, creates: bool) -> str:
        """Why contacts cannot be read here or, with ``creates``, made; blank where they can."""
        if self._found is None:
            below = "" if self.creatable() else ", and this account may not make one"
            return f"there is no contact folder {self.name!r}{below}"
        if creates and not self._found.may_create:
            return f"this account may create no contacts in the folder {self.name!r}"
        return ""

    @property
    def _there(self) -> _Found:
        if self._found is None:
            raise missing(self._door.address, self.name, "exchange")
        return self._found

    @cached_property
    def _found(self) -> _Found | None:
        """The folder of that name. A mailbox may be open to us from Contacts on only, so the root need not answer."""
        name = xml.element("t:Contains", None, [
            xml.element("t:FieldURI", FieldURI="folder:DisplayName"), xml.element("t:Constant", Value=self.name)],
            ContainmentMode="FullString", ContainmentComparison="IgnoreCase")  # fmt: skip
        parents = [self._door.folder(CONTACTS), self._door.folder(_ROOT)]
        request = xml.element("m:FindFolder", None, [
            _shape("folder:FolderClass", "folder:EffectiveRights"), xml.element("m:Restriction", None, [name]),
            xml.element("m:ParentFolderIds", None, parents)], Traversal="Shallow")  # fmt: skip
        replies = self._door.read(request)
        if not replies or replies[0].element is None:
            raise self._door.failed(replies[0]) if replies else Invalid("Exchange told of no folder.", rule="empty")
        rows = [row for reply in replies if reply.element is not None
                for row in xml.each(reply.element.find(f"{M}RootFolder"), "Folders")]  # fmt: skip
        return next((_read(row) for row in rows if (xml.text(row, "FolderClass") or "").startswith(_CLASS)), None)


def _read(row: Element) -> _Found:
    node = xml.at(row, "FolderId")
    return _Found("" if node is None else node.get("Id", ""), xml.flag(row, "EffectiveRights", "CreateContents"))


def _shape(*uris: str) -> Element:
    properties = [xml.element("t:FieldURI", FieldURI=uri) for uri in uris]
    return xml.element("m:FolderShape", None, [
        xml.element("t:BaseShape", "IdOnly"), xml.element("t:AdditionalProperties", None, properties)])
