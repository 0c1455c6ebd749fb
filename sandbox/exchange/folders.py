"""Folder operations: Get, Find, Create, Update, Delete, Move, Copy and EmptyFolder.

Source: EWS reference; element order from BaseFolderType and its derived types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from . import extended, permissions
from .calls import MISSING, Call, attribute, first_child, required
from .errors import EwsError, schema_violation
from .properties import V2013, effective_rights, field_uri
from .restrictions import Reader, Searcher, paginate
from .soap import Element, M, T, add, boolean, child, clean, element, flag, local, text_of
from .store import CALENDAR, CONTACTS, NOTES, TASKS, Folder, Item, PropertyKey

CLASSES = {"Folder": NOTES, "CalendarFolder": CALENDAR, "ContactsFolder": CONTACTS, "TasksFolder": TASKS}
_READERS: dict[str, Any] = {
    "folder:DisplayName": lambda folder: folder.name,
    "folder:FolderClass": lambda folder: folder.folder_class or None,
    "folder:TotalCount": lambda folder: len(folder.items),
    "folder:UnreadCount": lambda folder: folder.unread,
}


@dataclass
class FolderShape:
    """An m:FolderShape."""

    base: str = "IdOnly"
    uris: set[str] = field(default_factory=set)
    extended: list[tuple[PropertyKey, Element]] = field(default_factory=list)

    def wants(self, uri: str, *, by_default: bool) -> bool:
        """Whether a property is to be written."""
        return uri in self.uris or self.base == "AllProperties" or (by_default and self.base == "Default")


def read_shape(node: Element | None) -> FolderShape:
    """The m:FolderShape of a request."""
    if node is None:
        raise schema_violation("The request has incomplete content: 'FolderShape' expected.")
    base = (text_of(node, "BaseShape") or "").strip()
    if base not in ("IdOnly", "Default", "AllProperties"):
        raise schema_violation(f"The 'BaseShape' element is invalid - The value '{base}' is invalid.", node.sourceline)
    shape = FolderShape(base)
    additional = child(node, "AdditionalProperties")
    for path in additional if additional is not None else ():
        if local(path) == "ExtendedFieldURI":
            shape.extended.append((extended.read_key(path)[0], path))
        elif local(path) == "FieldURI":
            shape.uris.add(field_uri(path))
        else:
            raise EwsError("ErrorInvalidPropertyRequest", path=path)
    return shape


def render(call: Call, folder: Folder, shape: FolderShape) -> Element:
    """A folder as an element of the reply."""
    world = call.world
    node = element(f"{T}{folder.element}")
    add(node, f"{T}FolderId", None, {"Id": world.folder_id(folder), "ChangeKey": world.folder_key(folder)})
    if shape.wants("folder:ParentFolderId", by_default=False):
        parent = world.folders.get(folder.parent or folder.serial, folder)
        add(node, f"{T}ParentFolderId", None, {"Id": world.folder_id(parent), "ChangeKey": world.folder_key(parent)})
    if shape.wants("folder:FolderClass", by_default=False) and folder.folder_class:
        add(node, f"{T}FolderClass", folder.folder_class)
    if shape.wants("folder:DisplayName", by_default=True):
        add(node, f"{T}DisplayName", clean(folder.name))
    if shape.wants("folder:TotalCount", by_default=folder.element != "CalendarFolder"):
        add(node, f"{T}TotalCount", str(len(folder.items)))
    if shape.wants("folder:ChildFolderCount", by_default=True):
        add(node, f"{T}ChildFolderCount", str(len(world.subfolders(folder))))
    for key, path in shape.extended:
        stored = folder.extended.get(key)
        text = stored.value if stored is not None else _mirror(folder, key)
        if text is not None:
            holder = add(node, f"{T}ExtendedProperty")
            holder.append(extended.echo(path))
            add(holder, f"{T}Value", text if isinstance(text, str) else "")
    if shape.wants("folder:EffectiveRights", by_default=False):
        rights = add(node, f"{T}EffectiveRights")
        for name, allowed in effective_rights(_may_write(call, folder), call.version, folder=True).items():
            add(rights, f"{T}{name}", boolean(allowed))
    if call.version >= V2013 and folder.distinguished and shape.wants("folder:DistinguishedFolderId", by_default=False):
        add(node, f"{T}DistinguishedFolderId", folder.distinguished)
    if "folder:PermissionSet" in shape.uris:
        node.append(permissions.render(folder))
    if folder.element in ("Folder", "TasksFolder") and shape.wants("folder:UnreadCount", by_default=True):
        add(node, f"{T}UnreadCount", str(folder.unread))
    return node


def _mirror(folder: Folder, key: PropertyKey) -> str | None:
    if key.tag == 0x0E08:
        return str(1024 + sum(item.size for item in folder.items.values()))
    return {0x3001: folder.name, 0x3613: folder.folder_class or None, 0x3602: str(len(folder.items))}.get(key.tag or 0)


def _may_write(call: Call, folder: Folder) -> bool:
    try:
        call.check(call.world.mailbox_of(folder), write=True, folder=folder)
    except EwsError:
        return False
    return True


def get_folder(call: Call, request: Element) -> Element:
    """GetFolder."""
    shape = read_shape(child(request, "FolderShape"))

    def one(node: Element) -> Iterable[Element]:
        return [_folders([render(call, call.folder(node), shape)])]

    return call.reply("GetFolder", list(required(request, "FolderIds")), one, empty="Folders")


def _folders(rendered: Iterable[Element]) -> Element:
    holder = element(f"{M}Folders")
    for node in rendered:
        holder.append(node)
    return holder


def find_folder(call: Call, request: Element) -> Element:
    """FindFolder: Shallow, Deep, SoftDeleted, with restriction and paging."""
    traversal = attribute(request, "Traversal", ("Shallow", "Deep", "SoftDeleted"))
    shape = read_shape(child(request, "FolderShape"))
    paging = next((node for node in request if local(node).endswith("PageFolderView")), None)

    def searchable(uri: str) -> Reader | None:
        return _READERS.get(uri)

    keep: Any = Searcher(call.view(), searchable).restriction(child(request, "Restriction"))

    def one(node: Element) -> Iterable[Element]:
        parent = call.folder(node)
        found = (
            []
            if traversal == "SoftDeleted"
            else list(call.world.below(parent) if traversal == "Deep" else call.world.subfolders(parent))
        )
        if keep is not None:
            found = [folder for folder in found if keep(folder)]
        page = paginate(found, paging, None)
        root = element(f"{M}RootFolder", page.attributes)
        holder = add(root, f"{T}Folders")
        for folder in page.rows:
            holder.append(render(call, folder, shape))
        return [root]

    return call.reply("FindFolder", list(required(request, "ParentFolderIds")), one)


def create_folder(call: Call, request: Element) -> Element:
    """CreateFolder."""
    holder = required(request, "ParentFolderId")

    def one(node: Element) -> Iterable[Element]:
        try:
            parent = call.target_folder(holder)
        except EwsError as error:
            raise EwsError("ErrorParentFolderNotFound") if error.code in MISSING else error from None
        name = (text_of(node, "DisplayName") or "").strip()
        if not name:
            raise EwsError("ErrorFolderSavePropertyError", "The folder must have a display name.")
        _refuse_twin(call, parent, name, None)
        kind = local(node)
        if kind not in CLASSES:
            raise schema_violation(f"The element 'Folders' has invalid child element '{kind}'.", node.sourceline)
        folder_class = (text_of(node, "FolderClass") or "").strip() or CLASSES[kind]
        folder = call.world.add_folder(call.world.mailbox_of(parent), name, folder_class, parent.serial)
        for part in node:
            if local(part) == "ExtendedProperty":
                key, value = extended.read_property(part)
                folder.extended[key] = value
            elif local(part) == "PermissionSet":
                permissions.replace(call, folder, part)
        call.world.touch_folder(parent)
        return [_folders([render(call, folder, FolderShape())])]

    return call.reply("CreateFolder", list(required(request, "Folders")), one, empty="Folders")


def _refuse_twin(call: Call, parent: Folder, name: str, itself: Folder | None) -> None:
    for sub in call.world.subfolders(parent):
        if sub is not itself and sub.name.casefold() == name.casefold():
            raise EwsError("ErrorFolderExists")


def update_folder(call: Call, request: Element) -> Element:
    """UpdateFolder: display name, folder class, permission set and extended properties."""

    def one(change: Element) -> Iterable[Element]:
        folder = call.folder(first_child(change), write=True)
        for update in required(change, "Updates"):
            _update(call, folder, update)
        call.world.touch_folder(folder)
        return [_folders([render(call, folder, FolderShape())])]

    return call.reply("UpdateFolder", list(required(request, "FolderChanges")), one, empty="Folders")


def _update(call: Call, folder: Folder, update: Element) -> None:
    path, name = first_child(update), local(update)
    if name == "DeleteFolderField":
        if local(path) == "FieldURI" and field_uri(path) == "folder:PermissionSet":
            folder.permissions = None
            return
        if local(path) != "ExtendedFieldURI":
            raise EwsError("ErrorInvalidPropertyDelete", path=path)
        folder.extended.pop(extended.read_key(path)[0], None)
        return
    if name != "SetFolderField":
        raise EwsError("ErrorInvalidPropertyAppend", path=path)
    parts = list(list(update)[1]) if len(update) > 1 else []
    if len(parts) != 1:
        raise EwsError("ErrorIncorrectUpdatePropertyCount")
    if local(path) == "ExtendedFieldURI":
        key, value = extended.read_property(parts[0])
        folder.extended[key] = value
        return
    uri = field_uri(path)
    if local(parts[0]) != uri.partition(":")[2]:
        raise EwsError("ErrorUpdatePropertyMismatch", path=path)
    text = (parts[0].text or "").strip()
    if uri == "folder:PermissionSet":
        permissions.replace(call, folder, parts[0])
    elif uri == "folder:DisplayName":
        parent = call.world.folders.get(folder.parent or 0)
        if parent is not None:
            _refuse_twin(call, parent, text, folder)
        folder.name = text
    elif uri == "folder:FolderClass":
        if not text.startswith(CLASSES[folder.element]):
            raise EwsError("ErrorObjectTypeChanged")
        folder.folder_class = text
    else:
        raise EwsError("ErrorInvalidPropertySet", path=path)


def delete_folder(call: Call, request: Element) -> Element:
    """DeleteFolder. Distinguished folders cannot be deleted."""
    how = attribute(request, "DeleteType", ("HardDelete", "SoftDelete", "MoveToDeletedItems"))

    def one(node: Element) -> Iterable[Element]:
        folder = call.folder(node, write=True)
        if folder.distinguished:
            raise EwsError("ErrorDeleteDistinguishedFolder")
        if how == "MoveToDeletedItems":
            bin_ = call.world.folder(call.world.mailbox_of(folder), "deleteditems")
            folder.parent = bin_.serial
            call.world.touch_folder(folder)
        else:
            call.world.drop_folder(folder)
        return ()

    return call.reply("DeleteFolder", list(required(request, "FolderIds")), one)


def move_folder(call: Call, request: Element) -> Element:
    """MoveFolder. Folder ids are stable: a moved folder keeps its id."""
    target = required(request, "ToFolderId")

    def one(node: Element) -> Iterable[Element]:
        folder, parent = call.folder(node, write=True), call.target_folder(target)
        if folder.distinguished:
            raise EwsError("ErrorMoveDistinguishedFolder")
        if parent is folder or parent in call.world.below(folder) or parent.mailbox_number != folder.mailbox_number:
            raise EwsError("ErrorMoveCopyFailed")
        _refuse_twin(call, parent, folder.name, folder)
        folder.parent = parent.serial
        call.world.touch_folder(folder)
        return [_folders([render(call, folder, FolderShape())])]

    return call.reply("MoveFolder", list(required(request, "FolderIds")), one, empty="Folders")


def copy_folder(call: Call, request: Element) -> Element:
    """CopyFolder, with its items and subfolders."""
    target = required(request, "ToFolderId")

    def one(node: Element) -> Iterable[Element]:
        folder, parent = call.folder(node), call.target_folder(target)
        _refuse_twin(call, parent, folder.name, None)
        return [_folders([render(call, _copy(call, folder, parent), FolderShape())])]

    return call.reply("CopyFolder", list(required(request, "FolderIds")), one, empty="Folders")


def _copy(call: Call, folder: Folder, parent: Folder) -> Folder:
    from .items import duplicate

    below = call.world.subfolders(folder)
    made = call.world.add_folder(call.world.mailbox_of(parent), folder.name, folder.folder_class, parent.serial)
    for item in list(folder.items.values()):
        duplicate(call, item, made)
    for sub in below:
        _copy(call, sub, made)
    return made


def empty_folder(call: Call, request: Element) -> Element:
    """EmptyFolder. Calendar and search folders cannot be emptied."""
    how = attribute(request, "DeleteType", ("HardDelete", "SoftDelete", "MoveToDeletedItems"))
    subfolders = flag(request.get("DeleteSubFolders"))

    def one(node: Element) -> Iterable[Element]:
        folder = call.folder(node, write=True)
        if folder.folder_class.startswith(CALENDAR):
            raise EwsError("ErrorCannotEmptyFolder")
        for item in list(folder.items.values()):
            _discard(call, item, how)
        if subfolders:
            for sub in list(call.world.subfolders(folder)):
                if not sub.distinguished:
                    call.world.drop_folder(sub)
        return ()

    return call.reply("EmptyFolder", list(required(request, "FolderIds")), one)


def _discard(call: Call, item: Item, how: str) -> None:
    from .items import discard

    discard(call, item, how)
