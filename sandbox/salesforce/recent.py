"""The resources that list recently viewed records.

Source: REST API guide ("Recently Viewed Items", "View Recently Viewed Records", "sObject Basic Information").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.kit.http import Response

from .errors import Failure
from .results import attributes
from .store import Row
from .views import KEPT

if TYPE_CHECKING:
    from .server import Call, SalesforceServer


def shown(server: SalesforceServer, call: Call, name: str | None = None) -> list[dict[str, Any]]:
    """What a user has seen (of one object) as the API lists it: Id and name."""
    hidden = server.records.rules.no_access
    found = server.records.views.newest(server.store, call.session.user, name)
    return [
        {"attributes": attributes(kind, row["Id"], call.base), "Id": row["Id"], **_name(server, kind, row)}
        for kind, row in found
        if kind not in hidden
    ]


def _name(server: SalesforceServer, kind: str, row: Row) -> dict[str, Any]:
    named = server.records.sobject(kind).name_field
    return {named.name: row.get(named.name)} if named else {}


def install(server: SalesforceServer) -> None:
    """Hang GET /recent into the server's router."""

    def recent(call: Call) -> Response:
        asked = call.request.param("limit")
        if asked is not None and not (asked.isascii() and asked.isdigit()):
            raise Failure(400, "INVALID_BATCH_SIZE", f"limit is not a number: {asked}")
        return Response.of_json(shown(server, call)[: int(asked) if asked else KEPT])

    server.router.add("GET", "recent", recent)
