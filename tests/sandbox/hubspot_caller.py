"""A plain HTTP caller of the HubSpot practice server for its tests: no SDK, no connector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from sandbox.hubspot import HubSpotServer
from sandbox.kit import Clock

NOON = "2026-11-02T12:00:00.120Z"
"""The server's clock stands here in tests that name a time."""
PRIMARY = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]


class Caller:
    """One portal and a client of it."""

    def __init__(self, server: HubSpotServer) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.url, trust_env=False, timeout=30)
        self.token = server.access_token

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.request("GET", path, params=query)

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.request("POST", path, body)

    def make(self, type_name: str, **properties: Any) -> str:
        """A record made over the API; its id."""
        answer = self.post(f"/crm/v3/objects/{type_name}", {"properties": properties})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def read(self, type_name: str, record_id: str, *names: str) -> dict[str, Any]:
        """The properties of a record."""
        query = {"properties": ",".join(names)} if names else {}
        found: dict[str, Any] = self.get(f"/crm/v3/objects/{type_name}/{record_id}", **query).json()
        return dict(found["properties"])

    def search(self, type_name: str, *filters: dict[str, Any], **body: Any) -> Any:
        """The answer of a search with one filter group."""
        groups = [{"filters": list(filters)}] if filters else []
        answer = self.post(f"/crm/v3/objects/{type_name}/search", {"filterGroups": groups, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, type_name: str, *filters: dict[str, Any], **body: Any) -> list[str]:
        """Ids that a search finds."""
        return [str(record["id"]) for record in self.search(type_name, *filters, **body)["results"]]

    def unique(self, type_name: str, name: str = "sidefeed_key") -> None:
        """Create a property with unique values."""
        group = next(iter(self.server.portal.store.of(type_name).catalogue.groups))
        definition = {"name": name, "label": name, "type": "string", "fieldType": "text", "groupName": group}
        answer = self.post(f"/crm/v3/properties/{type_name}", {**definition, "hasUniqueValue": True})
        assert answer.status_code == 201, answer.text


@contextmanager
def portal(**options: Any) -> Iterator[Caller]:
    """A running portal; afterwards none of its handlers may have crashed."""
    with HubSpotServer(**options) as server:
        caller = Caller(server)
        yield caller
        caller.http.close()
        assert server.crashes == []


def at_noon(**options: Any) -> Any:
    """A portal whose clock stands at `NOON`."""
    return portal(clock=Clock(NOON), **options)


def where(name: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    """A search filter."""
    document = {"propertyName": name, "operator": operator, **more}
    return document if value is None else {**document, "value": value}
