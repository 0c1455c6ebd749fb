"""The address book: ResolveNames, ExpandDL, room lists.

Source: EWS reference, ResolveNames ("at most 100 candidates"; the directory first, then the default contacts folder),
ExpandDL, GetRoomLists, GetRooms.
"""

from __future__ import annotations

from collections.abc import Iterable

from .calls import Call, error_message, required, success_message
from .contacts import file_as
from .errors import EwsError, EwsWarning, schema_violation
from .properties import Shape, render
from .soap import Element, M, T, add, child, clean, element, flag, message_root, text_of
from .store import Item, Mailbox, Person
from .values import write_person

MAX_CANDIDATES = 100
SCOPES = ("ActiveDirectory", "ActiveDirectoryContacts", "Contacts", "ContactsActiveDirectory")


def resolve_names(call: Call, request: Element) -> Element:
    """ResolveNames: one entry; several hits are a warning with all of them."""
    tag = f"{M}ResolveNamesResponseMessage"
    root = message_root(f"{M}ResolveNamesResponse")
    holder = add(root, f"{M}ResponseMessages")
    full = flag(request.get("ReturnFullContactData"))
    scope = request.get("SearchScope") or "ActiveDirectoryContacts"
    if scope not in SCOPES:
        raise schema_violation(
            f"The 'SearchScope' attribute is invalid - The value '{scope}' is invalid.", request.sourceline
        )
    entry = text_of(request, "UnresolvedEntry")
    if entry is None:
        raise schema_violation(
            "The element 'ResolveNames' has incomplete content: 'UnresolvedEntry' expected.", request.sourceline
        )
    found = list(_candidates(call, entry.strip(), scope, child(request, "ParentFolderIds")))
    if not found:
        holder.append(error_message(tag, EwsError("ErrorNameResolutionNoResults")))
        return root
    shown = found[:MAX_CANDIDATES]
    last = "true" if len(found) <= MAX_CANDIDATES else "false"
    made = element(f"{M}ResolutionSet", {"TotalItemsInView": str(len(shown)), "IncludesLastItemInRange": last})
    for one in shown:
        made.append(_resolution(call, one, full))
    call.records += len(shown)
    if len(found) == 1:
        holder.append(success_message(tag, [made]))
    else:
        holder.append(error_message(tag, EwsWarning("ErrorNameResolutionMultipleResults"), children=[made]))
    return root


def _candidates(call: Call, entry: str, scope: str, folders: Element | None) -> Iterable[Mailbox | Item]:
    if not entry:
        return
    order = {"ActiveDirectory": ("AD",), "Contacts": ("C",), "ContactsActiveDirectory": ("C", "AD")}.get(
        scope, ("AD", "C")
    )
    for place in order:
        if place == "AD":
            yield from _in_directory(call, entry)
        elif call.mailbox is not None:
            searched = [call.world.folder(call.mailbox, "contacts")]
            if folders is not None and len(folders):
                searched = [call.folder(node) for node in folders]
            for folder in searched:
                yield from (item for item in folder.items.values() if _contact_matches(item, entry))


def _in_directory(call: Call, entry: str) -> list[Mailbox]:
    text = entry.lower()
    exact = call.world.mailbox(text)
    if exact is not None:
        return [exact]
    text = text.removeprefix("smtp:").removeprefix("=")
    if not text:
        return []
    return [
        box
        for box in call.world.mailboxes.values()
        if box.address.lower().startswith(text)
        or _words_match(box.name, text)
        or any(alias.startswith(text) for alias in box.aliases)
    ]


def _words_match(name: str, text: str) -> bool:
    lowered = name.lower()
    return lowered.startswith(text) or any(word.startswith(text) for word in lowered.replace(",", " ").split())


def _contact_matches(item: Item, entry: str) -> bool:
    text = entry.lower().removeprefix("smtp:")
    if item.kind == "DistributionList":
        return _words_match(item.get("contacts:DisplayName") or "", text)
    if item.kind != "Contact":
        return False
    names = (
        item.get("contacts:DisplayName"),
        item.get("contacts:GivenName"),
        item.get("contacts:Surname"),
        file_as(item),
        item.get("contacts:Nickname"),
    )
    addresses = (item.get("contacts:EmailAddresses") or {}).values()
    return any(_words_match(name, text) for name in names if name) or any(
        address.lower().startswith(text) for address in addresses
    )


def _resolution(call: Call, found: Mailbox | Item, full: bool) -> Element:
    node = element(f"{T}Resolution")
    if isinstance(found, Mailbox):
        write_person(node, found.person)
        if full:
            contact = add(node, f"{T}Contact")
            given, _, surname = found.name.partition(" ")
            add(contact, f"{T}DisplayName", clean(found.name))
            add(contact, f"{T}GivenName", clean(given))
            addresses = add(contact, f"{T}EmailAddresses")
            for number, address in enumerate((found.address, *found.aliases)[:3], 1):
                prefix = "SMTP" if number == 1 else "smtp"
                add(addresses, f"{T}Entry", f"{prefix}:{address}", {"Key": f"EmailAddress{number}"})
            add(contact, f"{T}ContactSource", "ActiveDirectory")
            if surname:
                add(contact, f"{T}Surname", clean(surname))
        return node
    addresses = found.get("contacts:EmailAddresses") or {}
    kind = "PrivateDL" if found.kind == "DistributionList" else "Contact"
    person = Person(
        str(found.get("contacts:DisplayName") or file_as(found)),
        next(iter(addresses.values()), ""),
        "SMTP" if kind == "Contact" else "MAPIPDL",
        kind,
    )
    holder = write_person(node, person)
    add(holder, f"{T}ItemId", None, {"Id": call.world.item_id(found), "ChangeKey": call.world.item_key(found)})
    if full and found.kind == "Contact":
        node.append(
            render(
                found, Shape("Default", {"contacts:DisplayName", "contacts:GivenName", "contacts:Surname"}), call.view()
            )
        )
    return node


def expand_dl(call: Call, request: Element) -> Element:
    """ExpandDL: the members of a private distribution list or of a room list."""

    def one(node: Element) -> Iterable[Element]:
        identifier = child(node, "ItemId")
        address = (text_of(node, "EmailAddress") or "").strip().lower()
        if identifier is not None:
            item = call.item(identifier)
            if item.kind != "DistributionList":
                raise EwsError("ErrorInvalidItemForOperationExpandDL")
            members: list[Person] = list(item.get("distributionlist:Members") or ())
        else:
            members = [
                box.person for box in call.world.mailboxes.values() if box.room_list.lower() == address and address
            ]
            if not members:
                raise EwsError("ErrorNameResolutionNoResults")
        attributes = {"TotalItemsInView": str(len(members)), "IncludesLastItemInRange": "true"}
        expansion = element(f"{M}DLExpansion", attributes)
        for person in members:
            write_person(expansion, person)
        return [expansion]

    return call.reply("ExpandDL", [required(request, "Mailbox")], one)


def get_room_lists(call: Call, request: Element) -> Element:
    """GetRoomLists."""
    root = message_root(f"{M}GetRoomListsResponse")
    root.set("ResponseClass", "Success")
    add(root, f"{M}ResponseCode", "NoError")
    holder = add(root, f"{M}RoomLists")
    for address in dict.fromkeys(box.room_list for box in call.world.mailboxes.values() if box.room_list):
        node = add(holder, f"{T}Address")
        _address(node, Person(address.partition("@")[0].replace(".", " ").title(), address, "SMTP", "PublicDL"))
    return root


def get_rooms(call: Call, request: Element) -> Element:
    """GetRooms: the rooms of one room list. An unknown list answers ErrorNameResolutionNoResults."""
    address = (text_of(required(request, "RoomList"), "EmailAddress") or "").strip().lower()
    rooms = [box for box in call.world.mailboxes.values() if box.room_list and box.room_list.lower() == address]
    root = message_root(f"{M}GetRoomsResponse")
    if not rooms:
        error = EwsError("ErrorNameResolutionNoResults")
        root.set("ResponseClass", "Error")
        for name, text in (("MessageText", error.message), ("ResponseCode", error.code), ("DescriptiveLinkKey", "0")):
            add(root, f"{M}{name}", text)
        return root
    root.set("ResponseClass", "Success")
    add(root, f"{M}ResponseCode", "NoError")
    holder = add(root, f"{M}Rooms")
    for room in rooms:
        _address(add(add(holder, f"{T}Room"), f"{T}Id"), room.person)
    return root


def _address(node: Element, person: Person) -> None:
    add(node, f"{T}Name", clean(person.name))
    add(node, f"{T}EmailAddress", clean(person.address))
    add(node, f"{T}RoutingType", person.routing)
    add(node, f"{T}MailboxType", person.kind)
