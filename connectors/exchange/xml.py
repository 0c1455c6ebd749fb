"""EWS elements: namespaces, safe parsing, building and reading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lxml import etree

Element = Any
"""An lxml element; lxml ships no types."""

SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
M = "{http://schemas.microsoft.com/exchange/services/2006/messages}"
T = "{http://schemas.microsoft.com/exchange/services/2006/types}"
E = "{http://schemas.microsoft.com/exchange/services/2006/errors}"
_PREFIXES = {"m": M[1:-1], "t": T[1:-1]}
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(content: bytes) -> Element | None:
    """The root of a reply, without entities, DTD or network; None if it is not XML.

    Recovers from what Exchange lets through, such as references to control characters in bodies. A reply cut short is
    no concern here: the HTTP layer has refused it already.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, recover=True)
    root = etree.fromstring(content, parser) if content.strip() else None
    return None if root is None or root.getroottree().docinfo.internalDTD is not None else root


def element(tag: str, text: str | None = None, children: Iterable[Element] = (), **attributes: str) -> Element:
    """An element with prefix ``m:`` or ``t:``. Characters that XML cannot carry become ``?``, as in exchangelib."""
    prefix, _, name = tag.partition(":")
    made = etree.Element(f"{{{_PREFIXES[prefix]}}}{name}", attributes, nsmap=_PREFIXES)
    if text is not None:
        made.text = _ILLEGAL.sub("?", text)
    made.extend(children)
    return made


def at(node: Element | None, *names: str) -> Element | None:
    """The element at a path of ``t:`` names below a node."""
    for name in names:
        if node is None:
            return None
        node = node.find(T + name)
    return node


def text(node: Element | None, *names: str) -> str | None:
    """The text at a path; None where there is no such element or it is empty."""
    found = at(node, *names)
    return None if found is None else (found.text or "").strip("\x00") or None


def item_id(item: Element) -> tuple[str, str]:
    """Store id and change key of an item; empty where it has none."""
    node = at(item, "ItemId")
    return ("", "") if node is None else (node.get("Id", ""), node.get("ChangeKey", ""))


def flag(node: Element | None, *names: str) -> bool:
    """An xs:boolean at a path; both its spellings, false where it is absent."""
    return (text(node, *names) or "").strip().lower() in ("true", "1")


def each(node: Element | None, *names: str) -> Iterator[Element]:
    """The children of the element at a path."""
    return children(at(node, *names))


def children(node: Element | None) -> Iterator[Element]:
    """The children of an element, none of none: an lxml element without children is false, so ``or`` will not do."""
    return iter(()) if node is None else iter(node)


def local(node: Element) -> str:
    """The tag without its namespace."""
    name: str = node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
    return name
