"""One SOAP call: who acts on which mailbox, in which version and zone; what its ids name; building its reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from . import ids
from .auth import Principal
from .calendar import Series
from .errors import EwsError, RequestFault, schema_violation
from .properties import LATEST, View
from .soap import Element, M, T, add, child, clean, element, local, message_root, text_of
from .store import Folder, Item, Mailbox, World
from .timezones import UTC_ZONE, Zone

if TYPE_CHECKING:
    from .server import ExchangeServer

In = TypeVar("In")
WRITERS = ("FullAccess", "Owner", "PublishingEditor", "Editor", "PublishingAuthor", "Author")
READERS = (*WRITERS, "Reviewer", "NonEditingAuthor")


@dataclass
class Call:
    """The circumstances of one SOAP request. `mailbox` is the one acted as; None for an account without a mailbox."""

    server: ExchangeServer
    principal: Principal
    mailbox: Mailbox | None
    version: int = LATEST
    version_name: str = "V2017_07_11"
    zone: Zone = UTC_ZONE
    state: dict[str, Any] = field(default_factory=dict)
    records: int = 0

    @property
    def world(self) -> World:
        """The state of the server."""
        return self.server.world

    @property
    def now(self) -> datetime:
        """The server's time, in whole seconds as the store keeps it."""
        return self.server.clock.now().replace(microsecond=0)

    def view(self, *, finding: bool = False) -> View:
        """A view of items for this caller."""
        return View(self.world, self.now, self.version, self.zone, self.actor_name, finding)

    @property
    def actor_name(self) -> str:
        """The name written into LastModifiedName."""
        return self.mailbox.name if self.mailbox is not None else self.principal.login

    def check(
        self, mailbox: Mailbox, *, write: bool = False, folder: Folder | None = None, hidden: str = "ErrorAccessDenied"
    ) -> Mailbox:
        """Refuse access that the caller does not have.

        What may not even be read answers `hidden` (a folder or item "not found"), what may not be written
        ErrorAccessDenied. Source: "Handling delegation-related errors in EWS".
        """
        if mailbox.denied:
            raise EwsError("ErrorAccessDenied")
        if self.mailbox is not None and self.mailbox.number == mailbox.number:
            return mailbox
        if "*" in self.principal.full_access or mailbox.address.lower() in self.principal.full_access:
            return mailbox
        caller = self.mailbox.address.lower() if self.mailbox is not None else self.principal.login.lower()
        delegate = mailbox.delegates.get(caller)
        granted = folder.level(caller) if folder is not None else ""
        if granted in WRITERS or (granted in READERS and not write):
            return mailbox
        if delegate is None:
            raise EwsError("ErrorAccessDenied" if granted in READERS else hidden)
        root = self.world.permission_root(folder) if folder is not None else ""
        if not root and not write:
            return mailbox
        level = delegate.level_of(root)
        if level not in READERS:
            raise EwsError(hidden)
        if write and level not in WRITERS:
            raise EwsError("ErrorAccessDenied")
        return mailbox

    def own(self) -> Mailbox:
        """The mailbox acted as. Raises `EwsError` ErrorMissingEmailAddress if the caller has none."""
        if self.mailbox is None:
            raise EwsError(
                "ErrorMissingEmailAddress",
                "When making a request as an account that does not have a mailbox, you must specify the mailbox "
                "primary SMTP address for any distinguished folder Ids.",
            )
        return self.mailbox

    # -- folders and items by id ----------------------------------------------------------------------------------

    def folder(self, node: Element, *, write: bool = False) -> Folder:
        """The folder of a t:FolderId or t:DistinguishedFolderId. Raises `EwsError`."""
        name = local(node)
        if name == "DistinguishedFolderId":
            return self._distinguished(node, write=write)
        if name == "AddressListId":
            raise EwsError("ErrorFolderNotFound")
        if name != "FolderId":
            raise schema_violation(f"The element has invalid child element '{name}'.", node.sourceline)
        ref = ids.read(node.get("Id"))
        if ref.kind != ids.FOLDER:
            raise EwsError("ErrorCannotUseItemIdForFolderId")
        folder = self.world.folders.get(ref.serial)
        if folder is None:
            raise EwsError("ErrorItemNotFound")
        self.check(self.world.mailbox_of(folder), write=write, folder=folder, hidden="ErrorFolderNotFound")
        return folder

    def _distinguished(self, node: Element, *, write: bool) -> Folder:
        named = child(node, "Mailbox")
        if named is not None:
            address = (text_of(named, "EmailAddress") or "").strip()
            mailbox = self.world.mailbox(address)
            if mailbox is None:
                raise EwsError("ErrorNonExistentMailbox")
        else:
            mailbox = self.own()
        identifier = (node.get("Id") or "").lower()
        if identifier not in KNOWN_DISTINGUISHED:
            raise schema_violation(
                f"The 'Id' attribute is invalid - The value '{node.get('Id') or ''}' is invalid according to its "
                f"datatype 'DistinguishedFolderIdNameType' - The Enumeration constraint failed.",
                node.sourceline,
            )
        folder = self.world.folder(mailbox, identifier)
        self.check(mailbox, write=write, folder=folder, hidden="ErrorFolderNotFound")
        return folder

    def item(self, node: Element, *, write: bool = False) -> Item:
        """The item of a t:ItemId, t:OccurrenceItemId or t:RecurringMasterItemId. Raises `EwsError`."""
        name = local(node)
        if name == "ItemId":
            item = self.item_by_id(node.get("Id"))
        elif name == "OccurrenceItemId":
            item = self._occurrence(node)
        elif name == "RecurringMasterItemId":
            item = self._master(node)
        else:
            raise schema_violation(f"The element has invalid child element '{name}'.", node.sourceline)
        self.check_item(item, write=write)
        key = node.get("ChangeKey")
        if key:
            ids.read_change_key(key)
        return item

    def check_item(self, item: Item, *, write: bool) -> None:
        """Refuse access to an item that the caller does not have."""
        folder = self.world.folders[item.folder]
        self.check(self.world.mailbox_of(folder), write=write, folder=folder, hidden="ErrorItemNotFound")

    def item_by_id(self, text: str | None) -> Item:
        """The item or occurrence of an id. Raises `EwsError`."""
        ref = ids.read(text)
        if ref.kind == ids.FOLDER:
            raise EwsError("ErrorCannotUseFolderIdForItemId")
        if ref.kind == ids.ATTACHMENT:
            raise EwsError("ErrorInvalidIdMalformed", "An attachment ID cannot be used as an item ID.")
        found = self.world.item(ref.serial)
        if found is None:
            raise EwsError("ErrorItemNotFound")
        if ref.kind == ids.OCCURRENCE and ref.original is not None:
            if not found.is_master:
                raise EwsError("ErrorItemNotFound")
            return Series(found).at(ref.original)
        return found

    def _occurrence(self, node: Element) -> Item:
        master = self.item_by_id(node.get("RecurringMasterId"))
        if not master.is_master:
            raise EwsError("ErrorCalendarCannotUseIdForOccurrenceId")
        index = node.get("InstanceIndex")
        try:
            number = int(index or "")
        except ValueError:
            raise schema_violation(
                "The required attribute 'InstanceIndex' is missing or invalid.", node.sourceline
            ) from None
        return Series(master).at_index(number)

    def _master(self, node: Element) -> Item:
        occurrence = self.item_by_id(node.get("OccurrenceId"))
        if occurrence.master is None:
            raise EwsError("ErrorCalendarCannotUseIdForRecurringMasterId")
        return occurrence.master

    def target_folder(self, holder: Element | None, *, write: bool = True) -> Folder:
        """The single folder inside a holder element such as m:ToFolderId."""
        inner = next(iter(holder), None) if holder is not None else None
        if inner is None:
            raise schema_violation("The request has incomplete content: a folder id is expected.")
        return self.folder(inner, write=write)

    # -- replies --------------------------------------------------------------------------------------------------

    def reply(
        self,
        operation: str,
        inputs: Iterable[In],
        handle: Callable[[In], Iterable[Element]],
        *,
        empty: str = "",
        message: str = "",
    ) -> Element:
        """A reply with one response message per input, in order.

        `empty` is the container that an error message still holds, empty (m:Items for item operations).
        """
        root = message_root(f"{M}{operation}Response")
        holder = add(root, f"{M}ResponseMessages")
        stop_at = self.state.get("item_busy")
        failing, code, text = self.state.get("item_error", (None, "", None))
        tag = f"{M}{message or operation + 'ResponseMessage'}"
        for number, one in enumerate(inputs):
            try:
                if stop_at is not None and number >= stop_at:
                    raise EwsError("ErrorServerBusy") if number == stop_at else _stopped()
                if number == failing:
                    raise EwsError(code, text)
                children = list(handle(one))
            except RequestFault:
                raise
            except EwsError as error:
                holder.append(error_message(tag, error, empty))
            else:
                holder.append(success_message(tag, children))
                self.records += 1
        return root


def _stopped() -> EwsError:
    stopped = EwsError("ErrorBatchProcessingStopped")
    stopped.response_class = "Warning"
    return stopped


def success_message(tag: str, children: Iterable[Element] = ()) -> Element:
    """A response message of class Success."""
    made = element(tag, {"ResponseClass": "Success"})
    add(made, f"{M}ResponseCode", "NoError")
    for one in children:
        made.append(one)
    return made


def error_message(tag: str, error: EwsError, empty: str = "", children: Iterable[Element] = ()) -> Element:
    """A response message of class Error or Warning: text, code, link key, details, then the empty container."""
    made = element(tag, {"ResponseClass": error.response_class})
    add(made, f"{M}MessageText", clean(error.message))
    add(made, f"{M}ResponseCode", error.code)
    add(made, f"{M}DescriptiveLinkKey", "0")
    path: Any = error.path
    if error.values or path is not None:
        details = add(made, f"{M}MessageXml")
        if path is not None:
            details.append(element(f"{T}{local(path)}", dict(path.attrib)))
        for key, value in error.values:
            add(details, f"{T}Value", clean(value), {"Name": key})
    if empty:
        add(made, f"{M}{empty}")
    for one in children:
        made.append(one)
    return made


INPUTS = {
    **dict.fromkeys(("GetItem", "MoveItem", "CopyItem"), ("ItemIds", "Items")),
    **dict.fromkeys(("DeleteItem", "SendItem"), ("ItemIds", "")),
    "CreateItem": ("Items", "Items"),
    "UpdateItem": ("ItemChanges", "Items"),
    **dict.fromkeys(("FindItem", "FindFolder"), ("ParentFolderIds", "")),
    **dict.fromkeys(("GetFolder", "MoveFolder", "CopyFolder"), ("FolderIds", "Folders")),
    **dict.fromkeys(("DeleteFolder", "EmptyFolder"), ("FolderIds", "")),
    "CreateFolder": ("Folders", "Folders"),
    "UpdateFolder": ("FolderChanges", "Folders"),
    "CreateAttachment": ("Attachments", "Attachments"),
    "GetAttachment": ("AttachmentIds", "Attachments"),
    **dict.fromkeys(("ResolveNames", "ExpandDL", "Subscribe", "GetEvents"), ("", "")),
}
"""Operation -> (element that holds its inputs, container that an error message still shows)."""


def refused(operation: str, request: Element, error: EwsError) -> Element:
    """A reply in which every input failed for one reason, such as a restriction that cannot be."""
    holder_name, container = INPUTS[operation]
    inputs = child(request, holder_name) if holder_name else None
    root = message_root(f"{M}{operation}Response")
    holder = add(root, f"{M}ResponseMessages")
    for _ in range(max(len(inputs) if inputs is not None else 1, 1)):
        holder.append(error_message(f"{M}{operation}ResponseMessage", error, container))
    return root


MISSING = ("ErrorFolderNotFound", "ErrorItemNotFound")
"""Codes of a folder that is not there: by its distinguished name, by its id."""


def required(node: Element, name: str) -> Element:
    """A child that the schema demands. Raises a schema fault."""
    found = child(node, name)
    if found is None:
        raise schema_violation(
            f"The element '{local(node)}' in namespace 'http://schemas.microsoft.com/exchange/services/2006/messages' "
            f"has incomplete content. List of possible elements expected: '{name}'.",
            node.sourceline,
        )
    return found


def first_child(node: Element) -> Element:
    """What a wrapper element holds. Raises a schema fault for an empty one."""
    for found in node:
        return found
    raise schema_violation(f"The element '{local(node)}' has incomplete content.", node.sourceline)


def attribute(node: Element, name: str, allowed: tuple[str, ...], code: str = "") -> str:
    """An enumerated attribute. Missing: `EwsError` of the code given, or a schema fault; unknown: a schema fault."""
    value = node.get(name)
    if value is None:
        if code:
            raise EwsError(code)
        raise schema_violation(f"The required attribute '{name}' is missing.", node.sourceline)
    if value not in allowed:
        raise schema_violation(
            f"The '{name}' attribute is invalid - The value '{value}' is invalid according to its datatype: the "
            f"Enumeration constraint failed.",
            node.sourceline,
        )
    return str(value)


KNOWN_DISTINGUISHED = frozenset(
    "calendar contacts deleteditems drafts inbox journal notes outbox sentitems tasks msgfolderroot publicfoldersroot "
    "root junkemail searchfolders voicemail recoverableitemsroot recoverableitemsdeletions recoverableitemsversions "
    "recoverableitemspurges recoverableitemsdiscoveryholds archiveroot archivemsgfolderroot archivedeleteditems "
    "archiveinbox archiverecoverableitemsroot archiverecoverableitemsdeletions archiverecoverableitemsversions "
    "archiverecoverableitemspurges archiverecoverableitemsdiscoveryholds syncissues conflicts localfailures "
    "serverfailures recipientcache quickcontacts conversationhistory adminauditlogs todosearch mycontacts directory "
    "imcontactlist peopleconnect favorites mecontact personmetadata teamspaceactivity teamspacemessaging "
    "teamspaceworkitems scheduled orionnotes tagitems alltaggeditems allcategorizeditems externalcontacts "
    "teamchat teamchathistory yammerdata yammerroot yammerinbound yammeroutbound yammerfeeds kaizendata "
    "messageingestion "
    "onedriveroot onedriverecylebin onedrivesystem onedrivevolume important starred archive workingset "
    "companycontacts".split()
)
