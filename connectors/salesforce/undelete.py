"""Taking records out of the recycle bin. REST has no call for it; SOAP's ``undelete`` does it, with the same token.

Source: SOAP API Developer Guide, "undelete()": up to 200 ids a call, one result each, in the order asked; records stay
in the recycle bin for 15 days.
"""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from sidefeed.connector import ConnectorError, Gone, UnknownOutcome

from .answers import row_error

BATCH = 200

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER = "urn:partner.soap.sforce.com"


def request(token: str, ids: Sequence[str]) -> bytes:
    """The SOAP message that asks for these records back."""
    root = etree.Element(f"{{{_ENVELOPE}}}Envelope", nsmap={"soapenv": _ENVELOPE, None: _PARTNER})
    header = etree.SubElement(root, f"{{{_ENVELOPE}}}Header")
    session = etree.SubElement(header, f"{{{_PARTNER}}}SessionHeader")
    etree.SubElement(session, f"{{{_PARTNER}}}sessionId").text = token
    call = etree.SubElement(etree.SubElement(root, f"{{{_ENVELOPE}}}Body"), f"{{{_PARTNER}}}undelete")
    for id in ids:
        etree.SubElement(call, f"{{{_PARTNER}}}ids").text = id
    return bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))


def answers(body: bytes, ids: Sequence[str]) -> dict[str, ConnectorError | None]:
    """None for each record that is back, or why it is not. Raises UnknownOutcome for an answer that tells nothing."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise UnknownOutcome("Salesforce sent an answer that cannot be read, after an undelete") from None
    results = [node for node in root.iter() if _name(node) == "result"]
    if len(results) != len(ids):
        told = _text(root, "faultstring") or f"{len(results)} answers for {len(ids)} records"
        raise UnknownOutcome(f"Salesforce did not undelete: {told}")
    return {id: _result(id, node) for id, node in zip(ids, results, strict=True)}


def _result(id: str, node: etree._Element) -> ConnectorError | None:
    if _text(node, "success") == "true":
        return None
    code, message = _text(node, "statusCode"), _text(node, "message")
    if code == "UNDELETE_FAILED":
        return Gone(f"{id} cannot be taken out of the recycle bin: {message}", code=code)
    return row_error({"statusCode": code, "message": message}, about=f"the undelete of {id}")


def _name(node: etree._Element) -> str:
    return etree.QName(node).localname if isinstance(node.tag, str) else ""


def _text(parent: etree._Element, name: str) -> str:
    return next((node.text or "" for node in parent.iter() if _name(node) == name), "")
