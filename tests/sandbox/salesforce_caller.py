"""A plain HTTP caller of the Salesforce practice server for its tests: no SDK, no connector."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from sandbox.kit import Clock
from sandbox.salesforce import SalesforceServer

NOON = "2026-11-18T12:00:00Z"
"""The server's clock stands here in tests that name a time: a Wednesday in the fourth quarter."""
SCHEMA = {
    "objects": {
        "Account": {"fields": {"Ext__c": {"type": "string", "length": 40, "externalId": True, "unique": True}}},
        "Contact": {
            "fields": {
                "Sidefeed_Key__c": {"type": "string", "length": 80, "externalId": True, "unique": True},
                "Legacy__c": {"type": "string", "length": 20, "externalId": True},
                "Languages__c": {
                    "type": "multipicklist",
                    "values": ["English", "French", "German"],
                    "restricted": True,
                },
            }
        },
        "Project__c": {
            "label": "Project",
            "fields": {
                "Code__c": {"type": "string", "length": 10, "externalId": True, "required": True},
                "Account__c": {
                    "type": "reference",
                    "referenceTo": ["Account"],
                    "childRelationshipName": "Projects",
                    "cascadeDelete": True,
                },
                "Budget__c": {"type": "currency", "precision": 12, "scale": 2},
                "Size__c": {"type": "picklist", "values": ["Small", "Large"], "restricted": True},
                "Active__c": {"type": "boolean"},
                "Notes__c": {"type": "textarea"},
            },
        },
    }
}


class Caller:
    """One organisation and a client of it."""

    def __init__(self, server: SalesforceServer, version: str = "59.0") -> None:
        self.server = server
        self.version = version
        self.base = f"/services/data/v{version}"
        verify = ssl.create_default_context(cafile=server.ca_file) if server.ca_file else True
        self.http = httpx.Client(base_url=server.url, trust_env=False, timeout=60, verify=verify)
        self.token = server.connection_info()["session_id"]

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """A request to a path under the version root, or to an absolute one."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        target = path if path.startswith("/services") else f"{self.base}/{path}"
        return self.http.request(method, target, headers=headers, **options)

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        return self.request("GET", path, params=query, headers=headers or {})

    def query(self, soql: str, *, resource: str = "query", **headers: str) -> Any:
        """The answer of a query that succeeds."""
        answer = self.get(resource, headers=headers, q=soql)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, soql: str, *, resource: str = "query") -> list[dict[str, Any]]:
        """Rows of a query that succeeds, without their attributes."""
        found = self.query(soql, resource=resource)["records"]
        return [{k: v for k, v in row.items() if k != "attributes"} for row in found]

    def column(self, soql: str, *, resource: str = "query") -> list[Any]:
        """The first selected column."""
        return [next(iter(row.values())) for row in self.rows(soql, resource=resource)]

    def refusal(self, soql: str) -> tuple[int, str, str]:
        """Status, code and message of a query that is refused."""
        return refusal(self.get("query", q=soql))

    def make(self, kind: str, **fields: Any) -> str:
        """A record made over REST; its id."""
        answer = self.request("POST", f"sobjects/{kind}", fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def row(self, kind: str, key: str) -> dict[str, Any]:
        """A record read over REST."""
        answer = self.get(f"sobjects/{kind}/{key}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def change(self, kind: str, key: str, **fields: Any) -> None:
        """A record changed over REST."""
        answer = self.request("PATCH", f"sobjects/{kind}/{key}", fields)
        assert answer.status_code == 204, answer.text


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of a REST refusal: a list of one object."""
    body = answer.json()
    assert isinstance(body, list)
    assert len(body) == 1
    return answer.status_code, body[0]["errorCode"], body[0]["message"]


@contextmanager
def organisation(**options: Any) -> Iterator[Caller]:
    """A fresh organisation with the custom fields of `SCHEMA`, and a caller."""
    server = SalesforceServer(clock=Clock(NOON), control=False, **options)
    server.load_schema(SCHEMA)
    with server:
        caller = Caller(server)
        try:
            yield caller
        finally:
            caller.http.close()
            assert server.crashes == []
