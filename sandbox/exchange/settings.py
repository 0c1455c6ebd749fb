"""ConvertId, GetServerTimeZones and user configurations.

Source: EWS reference of each. ConvertId knows the formats EwsId, EwsLegacyId, EntryId, HexEntryId, StoreId and OwaId;
its spellings of an id are those of this server, and each converts back.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from urllib.parse import quote, unquote

from . import ids, timezones
from .calls import Call, attribute, required, success_message
from .errors import EwsError, schema_violation
from .soap import XSI, Element, M, T, add, child, element, flag, local, message_root, text_of
from .store import Folder, Mailbox

FORMATS = ("EwsLegacyId", "EwsId", "EntryId", "HexEntryId", "StoreId", "OwaId")


def convert_id(call: Call, request: Element) -> Element:
    """ConvertId."""
    wanted = attribute(request, "DestinationFormat", FORMATS)

    def one(node: Element) -> Iterable[Element]:
        if local(node) != "AlternateId":
            raise EwsError(
                "ErrorInvalidOperation", "Public folder ids cannot be converted: there are no public folders here."
            )
        source = attribute(node, "Format", FORMATS)
        address = node.get("Mailbox")
        if address is None:
            raise schema_violation("The required attribute 'Mailbox' is missing.", node.sourceline)
        mailbox = call.world.mailbox(address)
        if mailbox is None:
            raise EwsError("ErrorNonExistentMailbox")
        identifier = _to_ews(node.get("Id") or "", source)
        ids.read(identifier)
        made = element(
            f"{M}AlternateId",
            {
                f"{{{XSI}}}type": "t:AlternateIdType",
                "Format": wanted,
                "Id": _from_ews(identifier, wanted),
                "Mailbox": mailbox.address,
            },
        )
        return [made]

    return call.reply("ConvertId", list(required(request, "SourceIds")), one)


def _to_ews(text: str, source: str) -> str:
    if source == "OwaId":
        return unquote(text)
    if source == "HexEntryId":
        try:
            return base64.b64encode(bytes.fromhex(text)).decode("ascii")
        except ValueError:
            raise EwsError("ErrorInvalidIdMalformed") from None
    if source in ("EntryId", "StoreId"):
        try:
            return base64.b64encode(base64.b64decode(text, validate=True)[::-1]).decode("ascii")
        except (binascii.Error, ValueError):
            raise EwsError("ErrorInvalidIdMalformed") from None
    return text


def _from_ews(text: str, wanted: str) -> str:
    raw = base64.b64decode(text)
    if wanted == "OwaId":
        return quote(text, safe="")
    if wanted == "HexEntryId":
        return raw.hex().upper()
    if wanted in ("EntryId", "StoreId"):
        return base64.b64encode(raw[::-1]).decode("ascii")
    return text


def get_server_time_zones(call: Call, request: Element) -> Element:
    """GetServerTimeZones: all, or those asked for; unknown ids are left out, as Exchange does."""
    full = request.get("ReturnFullTimeZoneData")
    wanted = child(request, "Ids")
    names = [(node.text or "").strip() for node in wanted] if wanted is not None else timezones.windows_ids()
    holder = element(f"{M}TimeZoneDefinitions")
    for name in names:
        zone = timezones.UTC_ZONE if name == "UTC" else timezones.find(name)
        if zone is not None and "/" not in zone.id:
            holder.append(timezones.definition(zone, full=full is None or flag(full), year=call.now.year))
    root = message_root(f"{M}GetServerTimeZonesResponse")
    message = success_message(f"{M}GetServerTimeZonesResponseMessage", [holder])
    add(root, f"{M}ResponseMessages").append(message)
    return root


# -- user configurations ----------------------------------------------------------------------------------------------

Entries = dict[str, tuple[str, str]]


def _named(call: Call, node: Element, *, write: bool = False) -> tuple[Mailbox, Folder, str]:
    folder_node = next(iter(node), None)
    name = node.get("Name")
    if folder_node is None or not name:
        raise schema_violation("The element 'UserConfigurationName' has incomplete content.", node.sourceline)
    folder = call.folder(folder_node, write=write)
    return call.world.mailbox_of(folder), folder, f"{folder.serial}/{name}"


def _configuration(mailbox: Mailbox, key: str) -> Entries:
    known = mailbox.configurations.get(key)
    if known is None and key.endswith("/OWA.UserOptions"):
        return {"timezone": ("String", mailbox.zone.id)}
    if known is None:
        raise EwsError("ErrorItemNotFound")
    return known


def get_user_configuration(call: Call, request: Element) -> Element:
    """GetUserConfiguration. OWA.UserOptions always exists and holds the mailbox's time zone."""
    node = required(request, "UserConfigurationName")
    part = (text_of(request, "UserConfigurationProperties") or "").split()

    def one(_: Element) -> Iterable[Element]:
        mailbox, folder, key = _named(call, node)
        known = _configuration(mailbox, key)
        made = element(f"{M}UserConfiguration")
        name = add(made, f"{T}UserConfigurationName", None, {"Name": node.get("Name")})
        add(
            name, f"{T}FolderId", None, {"Id": call.world.folder_id(folder), "ChangeKey": call.world.folder_key(folder)}
        )
        if "Id" in part or "All" in part:
            guid = ids.make(ids.ITEM, 2**40 + folder.serial, folder.guid)
            add(
                made,
                f"{T}ItemId",
                None,
                {"Id": guid, "ChangeKey": ids.change_key("Item", folder.serial, folder.version)},
            )
        entries = {key: value for key, value in known.items() if not key.startswith("\0")}
        if entries and ("Dictionary" in part or "All" in part):
            _write_dictionary(made, entries)
        for wanted in ("XmlData", "BinaryData"):
            if f"\0{wanted}" in known and (wanted in part or "All" in part):
                add(made, f"{T}{wanted}", known[f"\0{wanted}"][1])
        return [made]

    return call.reply("GetUserConfiguration", [node], one)


def _write_dictionary(parent: Element, entries: Entries) -> None:
    dictionary = add(parent, f"{T}Dictionary")
    for key, (kind, value) in entries.items():
        entry = add(dictionary, f"{T}DictionaryEntry")
        for tag, type_, text in (("DictionaryKey", "String", key), ("DictionaryValue", kind, value)):
            holder = add(entry, f"{T}{tag}")
            add(holder, f"{T}Type", type_)
            add(holder, f"{T}Value", text)


def _read_configuration(node: Element) -> tuple[Element, Entries]:
    name = required(node, "UserConfigurationName")
    entries: Entries = {}
    dictionary = child(node, "Dictionary")
    for entry in dictionary if dictionary is not None else ():
        key, value = child(entry, "DictionaryKey"), child(entry, "DictionaryValue")
        if key is None or value is None:
            raise schema_violation("The element 'DictionaryEntry' has incomplete content.", entry.sourceline)
        entries[text_of(key, "Value") or ""] = (text_of(value, "Type") or "String", text_of(value, "Value") or "")
    for wanted in ("XmlData", "BinaryData"):
        if child(node, wanted) is not None:
            entries[f"\0{wanted}"] = ("", text_of(node, wanted) or "")
    return name, entries


def create_user_configuration(call: Call, request: Element) -> Element:
    """CreateUserConfiguration."""

    def one(node: Element) -> Iterable[Element]:
        name, entries = _read_configuration(node)
        mailbox, _, key = _named(call, name, write=True)
        if key in mailbox.configurations:
            raise EwsError("ErrorItemSave", "A user configuration with this name already exists.")
        mailbox.configurations[key] = entries
        return ()

    return call.reply("CreateUserConfiguration", [required(request, "UserConfiguration")], one)


def update_user_configuration(call: Call, request: Element) -> Element:
    """UpdateUserConfiguration: the parts given replace those kept."""

    def one(node: Element) -> Iterable[Element]:
        name, entries = _read_configuration(node)
        mailbox, _, key = _named(call, name, write=True)
        known = _configuration(mailbox, key)
        if child(node, "Dictionary") is not None:
            known = {key: value for key, value in known.items() if key.startswith("\0")}
        mailbox.configurations[key] = {**known, **entries}
        return ()

    return call.reply("UpdateUserConfiguration", [required(request, "UserConfiguration")], one)


def delete_user_configuration(call: Call, request: Element) -> Element:
    """DeleteUserConfiguration."""

    def one(node: Element) -> Iterable[Element]:
        mailbox, _, key = _named(call, node, write=True)
        if mailbox.configurations.pop(key, None) is None:
            raise EwsError("ErrorItemNotFound")
        return ()

    return call.reply("DeleteUserConfiguration", [required(request, "UserConfigurationName")], one)
