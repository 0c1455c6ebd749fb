"""The SOAP envelope of Exchange Web Services: namespaces, safe parsing, element building, replies and faults.

Source: EWS reference (SOAP 1.1 envelope, ServerVersionInfo, faults with ResponseCode, Message and MessageXml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree

Element = Any
"""An lxml element; lxml ships no types."""

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XML = "http://www.w3.org/XML/1998/namespace"

S, M, T, E = f"{{{SOAP}}}", f"{{{MESSAGES}}}", f"{{{TYPES}}}", f"{{{ERRORS}}}"

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>'
MAX_BODY = 64 * 1024 * 1024
"""Bytes. On premises the request limit (maxRequestLength of the virtual directory) is 64 MB."""


class BadXml(ValueError):
    """The request is not well-formed XML, or uses a document type."""


def parse(body: bytes) -> Element:
    """Parse a request without entities, document types or network. Raises `BadXml`."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadXml(str(error)) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadXml("a document type declaration is not allowed in a SOAP message")
    return root


def clean(text: str) -> str:
    """Text with the characters that XML 1.0 cannot carry replaced by a question mark."""
    return _ILLEGAL.sub("?", text)


def element(tag: str, attributes: Mapping[str, str] | None = None, text: str | None = None) -> Element:
    """A new element; `tag` is in Clark notation."""
    made = etree.Element(tag, attributes or {})
    if text is not None:
        made.text = text
    return made


def add(parent: Element, tag: str, text: str | None = None, attributes: Mapping[str, str] | None = None) -> Element:
    """Append a child; `tag` is in Clark notation."""
    child = etree.SubElement(parent, tag, attributes or {})
    if text is not None:
        child.text = text
    return child


def local(node: Element) -> str:
    """The tag without its namespace."""
    tag: str = node.tag
    return tag.rpartition("}")[2]


def child(parent: Element, name: str) -> Element | None:
    """The first child with a local name, whatever its EWS namespace."""
    for node in parent:
        if local(node) == name:
            return node
    return None


def text_of(parent: Element, name: str) -> str | None:
    """The text of the first child with a local name; None if there is no such child, "" if it is empty."""
    node = child(parent, name)
    return None if node is None else (node.text or "")


def flag(text: str | None) -> bool:
    """An xs:boolean of a request: true, false, 1, 0."""
    return (text or "").strip().lower() in ("true", "1")


def boolean(value: object) -> str:
    """An xs:boolean of a reply: Exchange writes true and false, never 1 and 0."""
    return "true" if value else "false"


def envelope(content: Element, version: Mapping[str, str]) -> bytes:
    """A reply with its ServerVersionInfo header."""
    root = etree.Element(f"{S}Envelope", nsmap={"s": SOAP})
    header = add(root, f"{S}Header")
    header.append(etree.Element(f"{T}ServerVersionInfo", version, nsmap={"h": TYPES}))
    add(root, f"{S}Body").append(content)
    return serialise(root)


def serialise(root: Element) -> bytes:
    """XML bytes with a declaration."""
    made: bytes = etree.tostring(root, encoding="utf-8")
    return _DECLARATION + made


def message_root(tag: str) -> Element:
    """The element under s:Body of a reply, with the prefixes that Exchange uses."""
    return etree.Element(tag, nsmap={"m": MESSAGES, "t": TYPES, "xsi": XSI})


def fault(
    code: str,
    message: str,
    values: Sequence[tuple[str, str]] = (),
    *,
    brief: str | None = None,
    named: Sequence[tuple[str, str]] = (),
) -> Element:
    """An s:Fault. In its MessageXml, `values` become t:Value elements and `named` elements of their own names.

    `brief` is the e:Message where Exchange says less there than in the faultstring.
    """
    made = etree.Element(f"{S}Fault", nsmap={"s": SOAP})
    name = etree.SubElement(made, "faultcode", nsmap={"a": TYPES})
    name.text = f"a:{code}"
    add(made, "faultstring", clean(message), {f"{{{XML}}}lang": "en-US"})
    detail = add(made, "detail")
    for tag, text in (("ResponseCode", code), ("Message", clean(message if brief is None else brief))):
        etree.SubElement(detail, f"{E}{tag}", nsmap={"e": ERRORS}).text = text
    if values or named:
        holder = etree.SubElement(detail, f"{T}MessageXml", nsmap={"t": TYPES})
        for key, value in named:
            add(holder, f"{T}{key}", clean(value))
        for key, value in values:
            add(holder, f"{T}Value", value, {"Name": key})
    return made
