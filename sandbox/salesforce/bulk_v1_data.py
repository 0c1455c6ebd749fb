"""What Bulk API 1.0 reads and writes: records as JSON, CSV or XML, and job and batch descriptions as JSON or XML.

Source: Bulk API guide ("Prepare Data Files", "Code Your Client Application", "Bulk API Reference").
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import orjson
from lxml import etree

from .bulk import cell_text, column_of
from .errors import Failure
from .results import Result, View
from .schema import SObject

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CONTENT_TYPES = {"JSON": "application/json", "CSV": "text/csv", "XML": "application/xml"}
"""Without a charset: salesforce-bulk compares the header with just these."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")


class BulkError(Exception):
    """A refusal in the shape of Bulk API 1.0."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def parse_xml(body: bytes) -> etree._Element:
    """The root of an XML body, with entities off. Raises BulkError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise BulkError(400, "InvalidJob", "Unable to parse Job") from None
    if root.getroottree().docinfo.doctype:
        raise BulkError(400, "InvalidJob", "A document type is not allowed")
    return root


def local(node: etree._Element) -> str:
    """The name of an element without its namespace."""
    return str(etree.QName(node).localname)


def elements(node: etree._Element) -> list[etree._Element]:
    """Child elements, without comments and instructions."""
    return [kid for kid in node if isinstance(kid.tag, str)]


def description(body: bytes, content_type: str) -> dict[str, Any]:
    """A job description sent as JSON or XML. Raises BulkError."""
    if "xml" in content_type:
        return {local(kid): kid.text or "" for kid in elements(parse_xml(body))}
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BulkError(400, "InvalidJob", f"Unable to parse Job: {error}") from None
    if not isinstance(found, dict):
        raise BulkError(400, "InvalidJob", "Unable to parse Job")
    return found


def as_xml(root: str, values: Mapping[str, Any]) -> str:
    """A description as XML; what is null is left out."""
    inner = "".join(f"<{key}>{_text(value)}</{key}>" for key, value in values.items() if value is not None)
    return f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="{NAMESPACE}">{inner}</{root}>'


def _text(value: Any) -> str:
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


# -- records in -------------------------------------------------------------------------------------------------------


def read(body: bytes, content_type: str, sobject: SObject) -> list[dict[str, Any]]:
    """The records of a batch. Null means "clear"; what is absent is left alone. Raises Failure with the code of a
    failed batch."""
    if content_type == "CSV":
        return _from_csv(body, sobject)
    records = _from_json(body) if content_type == "JSON" else _from_xml(body)
    for name in {name for record in records for name in record}:
        if name != "attributes" and sobject.parent(name) is None:
            column_of(sobject, name)
    return records


def _from_json(body: bytes) -> list[dict[str, Any]]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Failure(400, "INVALIDBATCH", f"InvalidBatch : Failed to parse JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Failure(400, "INVALIDBATCH", "InvalidBatch : Records not found: an array of objects is expected")
    return found


def _from_csv(body: bytes, sobject: SObject) -> list[dict[str, Any]]:
    lines = csv.reader(io.StringIO(body.decode("utf-8-sig", "replace"), newline=""))
    try:
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise Failure(400, "INVALIDBATCH", f"InvalidBatch : Failed to parse CSV: {error}") from None
    if not rows:
        raise Failure(400, "INVALIDBATCH", "InvalidBatch : Failed to parse the CSV header row")
    columns = [column_of(sobject, name.strip()) for name in rows[0]]
    return [_of_cells(columns, row) for row in rows[1:]]


def _of_cells(columns: list[tuple[str, ...]], row: list[str]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for path, cell in zip(columns, row, strict=False):
        value = None if cell == "#N/A" else cell
        if cell == "":
            continue
        if len(path) == 1:
            record[path[0]] = value
        elif value is not None:
            record[path[0]] = {**({"attributes": {"type": path[2]}} if len(path) == 3 else {}), path[1]: value}
    return record


def _from_xml(body: bytes) -> list[dict[str, Any]]:
    try:
        return [_of_element(one) for one in elements(parse_xml(body))]
    except BulkError as error:
        raise Failure(400, "INVALIDBATCH", f"InvalidBatch : Failed to parse XML: {error.message}") from None


def _of_element(node: etree._Element) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for kid in elements(node):
        nested = elements(kid)
        name = local(kid)
        if nested:
            record[name] = {
                local(one): one.text for one in elements(nested[0]) or nested if local(one) not in ("type", "sObject")
            }
        elif kid.get(f"{{{XSI}}}nil") in ("true", "1"):
            record[name] = None
        elif name != "type":
            record[name] = kid.text or ""
    return record


# -- results out ------------------------------------------------------------------------------------------------------


def results(rows: list[dict[str, Any]], content_type: str) -> bytes:
    """The outcome of each record of a batch, in its order."""
    if content_type == "JSON":
        return orjson.dumps(rows)
    if content_type == "CSV":
        return _csv(["Id", "Success", "Created", "Error"], (_outcome_cells(row) for row in rows))
    inner = "".join(_outcome_xml(row) for row in rows)
    return f'<?xml version="1.0" encoding="UTF-8"?><results xmlns="{NAMESPACE}">{inner}</results>'.encode()


def _outcome_cells(row: Mapping[str, Any]) -> list[str]:
    errors = [f"{e['statusCode']}:{e['message']}:{' '.join(e['fields'])} --" for e in row["errors"]]
    return [row["id"] or "", str(row["success"]).lower(), str(row["created"]).lower(), " ".join(errors)]


def _outcome_xml(row: Mapping[str, Any]) -> str:
    errors = "".join(
        f"<errors>{''.join(f'<fields>{escape(name)}</fields>' for name in one['fields'])}"
        f"<message>{escape(one['message'])}</message><statusCode>{one['statusCode']}</statusCode></errors>"
        for one in row["errors"]
    )
    key = f"<id>{row['id']}</id>" if row["id"] else f'<id xmlns:xsi="{XSI}" xsi:nil="true"/>'
    return (
        f"<result>{errors}{key}<success>{_text(row['success'])}</success>"
        f"<created>{_text(row['created'])}</created></result>"
    )


def query_rows(result: Result, rows: Iterable[Any], view: View, content_type: str) -> bytes:
    """Rows of a query; JSON has times as milliseconds since 1970, CSV and XML as text."""
    columns = result.columns() or []
    if content_type == "JSON":
        return orjson.dumps([_epochs(result.show(row, view)) for row in rows])
    if content_type == "CSV":
        return _csv(
            [name for name, _, _ in columns], ([_time(cell_text(g(r), f)) for _, f, g in columns] for r in rows)
        )
    inner = "".join(_record_xml(result.show(row, view)) for row in rows)
    spaces = f'xmlns="{NAMESPACE}" xmlns:xsi="{XSI}"'
    return f'<?xml version="1.0" encoding="UTF-8"?><queryResult {spaces}>{inner}</queryResult>'.encode()


def _time(cell: str) -> str:
    return cell.replace("+0000", "Z") if _STAMP.fullmatch(cell) else cell


def _epochs(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _epochs(one) for key, one in value.items()}
    if isinstance(value, str) and _STAMP.fullmatch(value):
        return int(datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000)
    return value


def _record_xml(shown: Mapping[str, Any], tag: str = "records") -> str:
    parts = []
    for name, value in shown.items():
        if name == "attributes":
            parts.append(f"<type>{value['type']}</type>")
        elif isinstance(value, dict):
            parts.append(_record_xml(value, name))
        elif value is None:
            parts.append(f'<{name} xsi:nil="true"/>')
        else:
            parts.append(f"<{name}>{_text(_time(value) if isinstance(value, str) else value)}</{name}>")
    return f'<{tag} xsi:type="sObject">{"".join(parts)}</{tag}>'


def _csv(header: list[str], rows: Iterable[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()
