"""Extended properties: MAPI properties addressed by set and name, set and id, or tag.

Source: EWS reference, ExtendedFieldURI. Valid combinations: DistinguishedPropertySetId or PropertySetId with
PropertyName or PropertyId, or PropertyTag alone; always with PropertyType. GUIDs compare without case.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .errors import EwsError, schema_violation
from .soap import Element, T, add, child, clean, element, local
from .store import Extended, Item, PropertyKey

PROPERTY_SETS = {
    "Meeting": "6ed8da90-450b-101b-98da-00aa003f1305",
    "Appointment": "00062002-0000-0000-c000-000000000046",
    "Common": "00062008-0000-0000-c000-000000000046",
    "PublicStrings": "00020329-0000-0000-c000-000000000046",
    "Address": "00062004-0000-0000-c000-000000000046",
    "InternetHeaders": "00020386-0000-0000-c000-000000000046",
    "CalendarAssistant": "11000e07-b51b-40d6-af21-caa85edab1d0",
    "UnifiedMessaging": "4442858e-a9e3-4e80-b900-317a210cc15b",
    "Task": "00062003-0000-0000-c000-000000000046",
    "Sharing": "00062040-0000-0000-c000-000000000046",
}
_SCALARS = (
    "ApplicationTime", "Binary", "Boolean", "CLSID", "Currency", "Double", "Float", "Integer", "Long", "Object",
    "Short", "String", "SystemTime",
)  # fmt: skip
TYPES = {*_SCALARS, "Error", "Null", *(f"{name}Array" for name in _SCALARS)}
_NOT_FOR_REQUESTS = {"Error", "Null", "Object", "ObjectArray"}
_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def read_key(path: Element) -> tuple[PropertyKey, str]:
    """(identity, type) of a t:ExtendedFieldURI. Raises `EwsError` ErrorInvalidExtendedProperty."""
    distinguished, guid = path.get("DistinguishedPropertySetId"), path.get("PropertySetId")
    name, identifier, tag = path.get("PropertyName"), path.get("PropertyId"), path.get("PropertyTag")
    kind = path.get("PropertyType")
    if kind is None or kind not in TYPES:
        raise schema_violation(
            f"The 'PropertyType' attribute is invalid - The value '{kind or ''}' is invalid.", path.sourceline
        )
    if kind in _NOT_FOR_REQUESTS:
        raise EwsError("ErrorUnsupportedMapiPropertyType", path=path)
    if tag is not None:
        if distinguished or guid or name is not None or identifier is not None:
            raise EwsError("ErrorInvalidExtendedProperty", path=path)
        number = _number(tag, path)
        if number >= 0x8000:
            raise EwsError("ErrorNoPropertyTagForCustomProperties", path=path)
        return PropertyKey(tag=number), kind
    if (distinguished is None) == (guid is None) or (name is None) == (identifier is None):
        raise EwsError("ErrorInvalidExtendedProperty", path=path)
    if distinguished is not None:
        if distinguished not in PROPERTY_SETS:
            raise schema_violation(
                f"The value '{distinguished}' is invalid for 'DistinguishedPropertySetId'.", path.sourceline
            )
        guid = PROPERTY_SETS[distinguished]
    assert guid is not None
    if not _GUID.fullmatch(guid):
        raise schema_violation(
            f"The 'PropertySetId' attribute is invalid - The value '{guid}' is invalid.", path.sourceline
        )
    if name == "":
        raise EwsError("ErrorInvalidExtendedProperty", path=path)
    return PropertyKey(
        set=guid.lower(), name=name or "", id=None if identifier is None else _number(identifier, path)
    ), kind


def _number(text: str, path: Element) -> int:
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        raise schema_violation(f"The value '{text}' is not a valid property number.", path.sourceline) from None


def read_property(node: Element) -> tuple[PropertyKey, Extended]:
    """A t:ExtendedProperty of a request."""
    path = child(node, "ExtendedFieldURI")
    if path is None:
        raise schema_violation("The element 'ExtendedProperty' has incomplete content.", node.sourceline)
    key, kind = read_key(path)
    single, several = child(node, "Value"), child(node, "Values")
    if kind.endswith("Array"):
        if several is None:
            raise EwsError("ErrorInvalidExtendedPropertyValue", path=path)
        texts = tuple(
            _checked(kind.removesuffix("Array"), part.text or "", path) for part in several if local(part) == "Value"
        )
        return key, Extended(kind, texts, path.get("DistinguishedPropertySetId") or "")
    if single is None:
        raise EwsError("ErrorInvalidExtendedPropertyValue", path=path)
    return key, Extended(kind, _checked(kind, single.text or "", path), path.get("DistinguishedPropertySetId") or "")


_RANGES = {"Short": 2**15, "Integer": 2**31, "Long": 2**63, "Currency": 2**63, "Error": 2**31}


def _checked(kind: str, text: str, path: Element) -> str:
    """The text of a value as Exchange keeps it. Raises `EwsError` ErrorInvalidExtendedPropertyValue."""
    bad = EwsError("ErrorInvalidExtendedPropertyValue", path=path)
    try:
        if kind in _RANGES:
            if not -_RANGES[kind] <= int(text) < _RANGES[kind]:
                raise bad
            return str(int(text))
        if kind in ("Double", "Float", "ApplicationTime"):
            float(text)
        elif kind == "Boolean":
            if text.strip().lower() not in ("true", "false", "1", "0"):
                raise bad
            return "true" if text.strip().lower() in ("true", "1") else "false"
        elif kind == "Binary":
            base64.b64decode(text, validate=True)
        elif kind == "CLSID" and not _GUID.fullmatch(text.strip("{}")):
            raise bad
        elif kind == "SystemTime":
            from .values import parse_time, wire_time

            moment = parse_time(text, path)
            return wire_time(moment) if moment.tzinfo else text
    except (ValueError, binascii.Error):
        raise bad from None
    return text


_SENSITIVITIES = ("Normal", "Personal", "Private", "Confidential")


def well_known(item: Item, key: PropertyKey) -> str | None:
    """The value of a property tag that mirrors a first-class property; None if it mirrors none here."""
    from .values import wire_time

    if key.tag is not None:
        mirrors: dict[int, Callable[[], str | None]] = {
            0x0037: lambda: item.get("item:Subject"),
            0x3001: lambda: item.get("contacts:DisplayName") or item.get("item:Subject"),
            0x3007: lambda: wire_time(item.created),
            0x3008: lambda: wire_time(item.modified),
            0x1000: lambda: item.get("item:Body").text if item.get("item:Body") else None,
            0x001A: lambda: _item_class(item),
            0x0E08: lambda: str(item.size),
            0x0036: lambda: str(_SENSITIVITIES.index(item.get("item:Sensitivity") or "Normal")),
            0x3A00: lambda: item.get("contacts:Alias"),
            0x3A06: lambda: item.get("contacts:GivenName"),
            0x3A11: lambda: item.get("contacts:Surname"),
            0x3A16: lambda: item.get("contacts:CompanyName"),
            0x3A17: lambda: item.get("contacts:JobTitle"),
        }
        mirror = mirrors.get(key.tag)
        return mirror() if mirror is not None else None
    if key.set == PROPERTY_SETS["Meeting"] and key.id in (3, 35):
        return _global_object_id(item, key.id)
    if key.set == PROPERTY_SETS["Appointment"] and key.id == 0x8208:
        location: str | None = item.get("calendar:Location")
        return location
    if key.set == PROPERTY_SETS["Address"] and key.id in (0x8083, 0x8093, 0x80A3):
        label = {0x8083: "EmailAddress1", 0x8093: "EmailAddress2", 0x80A3: "EmailAddress3"}[key.id]
        address: str | None = (item.get("contacts:EmailAddresses") or {}).get(label)
        return address
    return None


def _item_class(item: Item) -> str:
    from .properties import item_class

    return item_class(item)


def _global_object_id(item: Item, identifier: int) -> str | None:
    """PidLidGlobalObjectId (3) with the date of an occurrence in it, PidLidCleanGlobalObjectId (35) without."""
    uid = item.get("calendar:UID")
    if not uid:
        return None
    try:
        raw = bytearray.fromhex(uid)
    except ValueError:
        wrapped = b"vCal-Uid\x01\x00\x00\x00" + uid.encode() + b"\x00"
        raw = bytearray.fromhex("040000008200E00074C5B7101A82E008") + bytes(20)
        raw += len(wrapped).to_bytes(4, "little") + wrapped
    if identifier == 3 and item.original is not None and len(raw) >= 20:
        original: datetime = item.original
        raw[16:20] = original.year.to_bytes(2, "big") + bytes((original.month, original.day))
    return base64.b64encode(bytes(raw)).decode("ascii")


def is_mirror(key: PropertyKey) -> bool:
    """Whether a property may show a first-class one, even if it was never set."""
    return key.tag is not None or key.id is not None


def value_of(item: Item, key: PropertyKey) -> str | tuple[str, ...] | None:
    """The value of an extended property of an item, set or mirrored."""
    stored = item.extended.get(key)
    if stored is not None:
        return stored.value
    return well_known(item, key) if is_mirror(key) else None


def write(parent: Element, item: Item, wanted: list[tuple[PropertyKey, Element]]) -> None:
    """Append the t:ExtendedProperty elements that were asked for and that the item has."""
    for key, path in wanted:
        value = value_of(item, key)
        if value is None:
            continue
        stored = item.extended.get(key)
        if stored is not None and not _compatible(stored.type, path.get("PropertyType") or ""):
            continue
        node = add(parent, f"{T}ExtendedProperty")
        node.append(echo(path))
        if isinstance(value, tuple):
            several = add(node, f"{T}Values")
            for text in value:
                add(several, f"{T}Value", clean(text))
        else:
            add(node, f"{T}Value", clean(value))


def _compatible(stored: str, asked: str) -> bool:
    """A named property has one type in the store; asked for as another, it is not found."""
    return stored == asked


def echo(path: Element) -> Element:
    """The t:ExtendedFieldURI of a reply: that of the request, tags in hexadecimal."""
    attributes: dict[str, Any] = dict(path.attrib)
    if "PropertyTag" in attributes:
        attributes["PropertyTag"] = f"0x{_number(attributes['PropertyTag'], path):x}"
    return element(f"{T}ExtendedFieldURI", attributes)
