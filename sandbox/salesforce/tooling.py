"""The Tooling API as far as administrators' tools need it to make and drop custom fields.

Source: Tooling API guide, "CustomField"; recorded answers. A field made this way is visible to nobody until a profile
or permission set grants it; `permission_restored` grants it here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.kit.http import Response

from .errors import Failure, NotImplementedHere, not_found
from .ids import mint, to18
from .schema import SchemaError, SObject

if TYPE_CHECKING:
    from .server import Call, SalesforceServer

ACTIVITIES = ("Event", "Task")
_TYPES = {
    "Text": "string", "Checkbox": "boolean", "Date": "date", "DateTime": "datetime", "Number": "double",
    "Currency": "currency", "Percent": "percent", "Email": "email", "Phone": "phone", "Url": "url",
    "TextArea": "textarea", "LongTextArea": "textarea",
}  # fmt: skip
_KEPT = ("label", "length", "precision", "scale", "unique", "externalId", "caseSensitive")
_QUERY = re.compile(
    r"SELECT\s+Id\s+FROM\s+CustomField\s+WHERE\s+DeveloperName\s*=\s*'(\w+)'\s+AND\s+TableEnumOrId\s*=\s*'(\w+)'",
    re.IGNORECASE,
)


class Tooling:
    """Custom fields by their Tooling ids. With `may_customize` false the user lacks Customize Application."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server
        self._ids: dict[tuple[str, str], str] = {}
        self.may_customize = True

    def create(self, call: Call) -> Response:
        """POST tooling/sobjects/CustomField."""
        self._check_rights()
        body = call.body()
        place, _, name = str(body.get("FullName") or "").partition(".")
        told = body.get("Metadata")
        if not name or not isinstance(told, dict):
            raise Failure(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [FullName, Metadata]")
        owners = self._owners(place)
        if any(owner.field(name) is not None for owner in owners):
            raise Failure(400, "DUPLICATE_DEVELOPER_NAME", f"There is already a field named {name} on {place}.", [])
        if place == "Activity" and (told.get("unique") or told.get("externalId")):
            raise Failure(400, "FIELD_INTEGRITY_EXCEPTION", "Activity fields cannot be unique or external ids.", [])
        self._add(owners, name, told)
        key = self._ids[(place, name)] = mint("00N", len(self._ids) + 1)
        return Response.of_json({"id": key, "success": True, "errors": [], "warnings": [], "infos": []}, status=201)

    def query(self, call: Call) -> Response:
        """GET tooling/query: a custom field's id by its name and object."""
        found = _QUERY.search(call.request.param("q") or "")
        if found is None:
            raise NotImplementedHere(
                "/tooling/query for anything but SELECT Id FROM CustomField WHERE DeveloperName = "
                "'...' AND TableEnumOrId = '...'"
            )
        place, name = found[2], f"{found[1]}__c"
        keys = [self._id(place, name)] if any(owner.field(name) for owner in self._owners(place)) else []
        rows = [{"attributes": {"type": "CustomField"}, "Id": key} for key in keys]
        return Response.of_json({"size": len(rows), "totalSize": len(rows), "done": True, "records": rows})

    def delete(self, call: Call, key: str) -> Response:
        """DELETE tooling/sobjects/CustomField/{id}: the field goes with its values."""
        self._check_rights()
        known = next((known for known, made in self._ids.items() if made == to18(key)), None)
        if known is None:
            raise not_found()
        place, name = known
        for owner in self._owners(place):
            self._server.condition("field_removed", object=owner.name, field=name)
        del self._ids[known]
        return Response(204)

    def _id(self, place: str, name: str) -> str:
        return self._ids.setdefault((place, name), mint("00N", len(self._ids) + 1))

    def _check_rights(self) -> None:
        if not self.may_customize:
            raise Failure(403, "INSUFFICIENT_ACCESS", "You do not have the permission Customize Application.")

    def _owners(self, place: str) -> list[SObject]:
        found = [self._server.schema.object(name) for name in (ACTIVITIES if place == "Activity" else (place,))]
        owners = [one for one in found if one is not None]
        if not owners or (place in ACTIVITIES):
            raise Failure(400, "INVALID_FIELD", f"Entity of type '{place}' is not available for custom fields.", [])
        return owners

    def _add(self, owners: list[SObject], name: str, told: dict[str, Any]) -> None:
        kind = _TYPES.get(str(told.get("type")))
        if kind is None:
            raise Failure(400, "INVALID_TYPE", f"the practice server makes no field of type {told.get('type')!r}", [])
        field: dict[str, Any] = {"type": kind}
        field |= {key: told[key] for key in _KEPT if key in told}
        try:
            self._server.load_schema({"objects": {owner.name: {"fields": {name: field}} for owner in owners}})
        except SchemaError as error:
            raise Failure(400, "FIELD_INTEGRITY_EXCEPTION", str(error), []) from None
        rules = self._server.records.rules
        for owner in owners:
            rules.hidden[owner.name] = rules.hidden.get(owner.name, frozenset()) | {name}
        self._server.schema_has_changed()


def install(server: SalesforceServer) -> Tooling:
    """Serve the resources; returns their keeper."""
    made = Tooling(server)
    add = server.router.add
    add("POST", "tooling/sobjects/CustomField", made.create)
    add("GET", "tooling/query", made.query)
    add("DELETE", "tooling/sobjects/CustomField/{id}", made.delete)
    return made
