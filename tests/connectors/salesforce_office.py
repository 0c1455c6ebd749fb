"""A practice Salesforce with people at work in it, who use the plain SDK on connections of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests
from simple_salesforce import Salesforce

from connectors.salesforce import SalesforceConnector
from connectors.salesforce.settings import Settings
from connectors.salesforce.soql import full_id
from sandbox.salesforce import SalesforceServer
from sandbox.salesforce.records import Actor
from sidefeed.connector import Remote, Stream, Write

KEY = "Sidefeed_Key__c"
KEYED = ("Account", "Contact", "Opportunity", "Event", "Task")


def practice_server() -> SalesforceServer:
    """Over TLS, because the SDK knows nothing else, with the key field on every object that is written."""
    server = SalesforceServer(tls=True, control=False)
    key = {"type": "string", "length": 80, "externalId": True, "unique": True}
    server.connection_info()  # makes the key pair of the connected app, which belongs in every snapshot
    server.load_schema({"objects": {name: {"fields": {KEY: key}} for name in KEYED}})
    return server.start()


class Office:
    """One organisation: the connector under test, and a person who creates, edits and deletes beside it."""

    stream = Stream("Opportunity")
    fields: Sequence[str] = ("Name", "Amount", "StageName", "CloseDate", "NextStep")
    text = "Name"
    blankable = "NextStep"

    def __init__(self, server: SalesforceServer) -> None:
        self.server = server
        info = server.connection_info()
        self.token = info["session_id"]
        self.secrets: Sequence[str] = [self.token]
        self.settings: dict[str, Any] = {
            "auth": "session", "instance_url": server.url, "session_id": self.token, "ca_file": str(server.ca_file),
            "overlap_seconds": 600,
        }  # fmt: skip
        self.slept: list[float] = []
        self.connector = self.reconnected()
        self._before = server.counters.calls
        self._by_people = 0
        session = requests.Session()
        session.trust_env = False
        session.verify = str(server.ca_file)
        self.person = Salesforce(session_id=self.token, instance_url=server.url, session=session)

    def reconnected(self, **settings: Any) -> SalesforceConnector:
        return SalesforceConnector(Settings.from_table({**self.settings, **settings}), sleep=self.slept.append)

    def close(self) -> None:
        self.connector.close()
        self.person.session.close()

    # People

    @contextmanager
    def _person(self) -> Iterator[Salesforce]:
        before = self.server.counters.calls
        yield self.person
        self._by_people += self.server.counters.calls - before

    def creates(self, object: str, **values: Any) -> str:
        with self._person() as sf:
            return str(getattr(sf, object).create(values)["id"])

    def edits(self, object: str, external_id: str, **values: Any) -> None:
        with self._person() as sf:
            getattr(sf, object).update(external_id, values)

    def deletes(self, object: str, external_id: str) -> None:
        with self._person() as sf:
            getattr(sf, object).delete(external_id)

    def asks(self, soql: str) -> list[dict[str, Any]]:
        with self._person() as sf:
            return [dict(row) for row in sf.query_all(soql)["records"]]

    def calls(self) -> int:
        return self.server.counters.calls - self._before - self._by_people

    # The kit of the contract

    def sample(self, tag: str) -> dict[str, Any]:
        deal = {"StageName": "Prospecting", "CloseDate": "2026-12-31", "Amount": "1200.5", "NextStep": "call"}
        return {"Name": tag, **deal}

    def person_creates(self, values: Mapping[str, Any]) -> str:
        return self.creates("Opportunity", **values)

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        self.edits("Opportunity", external_id, **values)

    def person_deletes(self, external_id: str) -> None:
        self.deletes("Opportunity", external_id)

    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        found = self.asks(f"SELECT {', '.join(self.fields)} FROM Opportunity WHERE Id = '{external_id}'")
        return found[0] if found else None

    def live_ids(self) -> set[str]:
        return {row["Id"] for row in self.asks("SELECT Id FROM Opportunity")}

    def unknown_id(self) -> str:
        return full_id("0065g0000NoSuch")

    def lose_next_reply(self) -> None:
        for method in ("POST", "PATCH", "DELETE"):
            self.server.faults.add("drop_after", method=method)

    def next_read_fails_once(self) -> None:
        self.server.faults.add("html", method="GET", status=503)

    def pass_time(self) -> None:
        self.server.clock.move(seconds=3)

    # Bad days

    def locators_expire(self) -> None:
        self._happens("locators_expire")

    def tokens_expire(self) -> None:
        """All but the one that people use."""
        self._happens("session_expired")
        self.server.call(self.server.issue_session, token=self.token)

    def refresh_tokens_rotate(self) -> str:
        """From now on each works once; the first one to use."""
        self.server.app.rotate = True
        return self.server.call(self.server.oauth.issue_refresh_token, self.server.app.client_id, self.server.admin_id)

    def next_save_was_stamped_earlier(self, object: str, seconds: float) -> None:
        """As when a transaction commits long after it has stamped its rows."""
        self._happens("late_commit", seconds=seconds, object=object)

    def next_save_finds_a_lock(self, object: str) -> None:
        self._happens("row_lock", object=object)

    def administrator_adds_a_duplicate_rule(self, object: str, *fields: str) -> None:
        self._happens("duplicate_rule", object=object, fields=fields)

    def administrator_hides(self, object: str) -> None:
        self._happens("permission_removed", object=object)

    def merges(self, object: str, winner: str, loser: str) -> None:
        self.server.call(self.server.records.merge, object, winner, [loser], {}, Actor(self.server.admin_id))

    def _happens(self, condition: str, **args: Any) -> None:
        self.server.call(self.server.condition, condition, **args)

    # Short forms for the connector

    def read(
        self, object: str, fields: Sequence[str], cursor: str | None = None, **options: Any
    ) -> tuple[list[Remote], str]:
        pages = list(self.connector.changes(Stream(object), fields, cursor, **options))
        return [record for page in pages for record in page.records], pages[-1].cursor

    def write(self, object: str, *writes: Write) -> list[Any]:
        return list(self.connector.write(Stream(object), writes))
