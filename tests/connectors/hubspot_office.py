"""A practice HubSpot with people at work in it, who use the plain SDK on connections of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hubspot import HubSpot

from connectors.hubspot import HubSpotConnector
from connectors.hubspot.settings import Settings
from sandbox.hubspot import HubSpotServer
from sidefeed.connector import Outcome, Remote, Stream, Write

KEYED = ("companies", "contacts", "deals", "meetings", "tasks")


class Office:
    """One portal: the connector under test, and a person who creates, edits and deletes beside it."""

    stream = Stream("deals")
    fields: Sequence[str] = ("dealname", "amount", "dealstage", "closedate", "hs_next_step")
    text = "dealname"
    blankable = "hs_next_step"

    def __init__(self, server: HubSpotServer, **settings: Any) -> None:
        self.server = server
        self.token = server.connection_info()["access_token"]
        self.secrets: Sequence[str] = [self.token]
        self.settings: dict[str, Any] = {
            "access_token": self.token, "host": server.url, "rate_per_10s": 100_000, "search_per_second": 100_000,
            **settings,
        }  # fmt: skip
        self.slept: list[float] = []
        self.connector = self.reconnected()
        self.person = HubSpot(access_token=self.token, host=server.url)
        self._objects = self.person.crm.objects.basic_api
        self._batches = self.person.crm.objects.batch_api
        self._links = self.person.crm.associations.v4.basic_api
        self._by_people = 0
        self._before = server.counters.calls

    def reconnected(self, **settings: Any) -> HubSpotConnector:
        return HubSpotConnector(Settings.from_table({**self.settings, **settings}), sleep=self.slept.append)

    def close(self) -> None:
        self.connector.close()

    # People

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        before = self.server.counters.calls
        yield
        self._by_people += self.server.counters.calls - before

    def creates(self, object: str, **values: str) -> str:
        with self._at_work():
            return str(self._objects.create(object, {"properties": values}).id)

    def creates_many(self, object: str, rows: Sequence[Mapping[str, str]]) -> set[str]:
        made: set[str] = set()
        with self._at_work():
            for start in range(0, len(rows), 100):
                chunk = rows[start : start + 100]
                inputs = [{"properties": dict(row), "objectWriteTraceId": str(n)} for n, row in enumerate(chunk)]
                made |= {each.id for each in self._batches.create(object, {"inputs": inputs}).results}
        return made

    def edits(self, object: str, record_id: str, **values: str) -> None:
        with self._at_work():
            self._objects.update(object, record_id, {"properties": values})

    def deletes(self, object: str, record_id: str) -> None:
        with self._at_work():
            self._objects.archive(object, record_id)

    def merges(self, object: str, primary: str, other: str) -> str:
        with self._at_work():
            api = getattr(self.person.crm, object).basic_api
            return str(api.merge({"primaryObjectId": primary, "objectIdToMerge": other}).id)

    def links(self, object: str, record_id: str, to: str, other: str, type_id: int) -> None:
        with self._at_work():
            types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
            self._links.create(object, record_id, to, other, types)

    def unlinks(self, object: str, record_id: str, to: str, other: str) -> None:
        with self._at_work():
            self._links.archive(object, record_id, to, other)

    def linked(self, object: str, record_id: str, to: str) -> dict[str, set[int]]:
        """Type ids by id of the record at the other end."""
        with self._at_work():
            rows = self._links.get_page(object, record_id, to).results
            return {str(row.to_object_id): {each.type_id for each in row.association_types} for row in rows}

    def adds_property(self, object: str, name: str) -> None:
        with self._at_work():
            self.person.crm.properties.core_api.create(object, {
                "name": name, "label": name, "type": "string", "fieldType": "text", "groupName": "dealinformation",
            })  # fmt: skip

    def drops_property(self, object: str, name: str) -> None:
        with self._at_work():
            self.person.crm.properties.core_api.archive(object, name)

    def holds_of(self, object: str, record_id: str, properties: Sequence[str]) -> dict[str, Any] | None:
        with self._at_work():
            try:
                return dict(self._objects.get_by_id(object, record_id, properties=list(properties)).properties)
            except Exception as error:
                assert getattr(error, "status", None) == 404
                return None

    def count(self, object: str) -> int:
        return len(self.ids_of(object))

    def ids_of(self, object: str) -> set[str]:
        with self._at_work():
            found: set[str] = set()
            after = None
            while True:
                page = self._objects.get_page(object, limit=100, after=after)
                found |= {each.id for each in page.results}
                if page.paging is None:
                    return found
                after = page.paging.next.after

    # The connector

    def read(
        self, object: str, fields: Sequence[str], cursor: str | None = None, connector: HubSpotConnector | None = None
    ) -> tuple[list[Remote], str]:
        pages = list((connector or self.connector).changes(Stream(object), fields, cursor))
        return [record for page in pages for record in page.records], pages[-1].cursor

    def write(self, object: str, *writes: Write) -> dict[str, Outcome]:
        return {outcome.key: outcome for outcome in self.connector.write(Stream(object), writes)}

    def fetch(self, object: str, fields: Sequence[str], *ids: str) -> dict[str, Remote]:
        return {each.id: each for each in self.connector.fetch(Stream(object), fields, ids)}

    # The kit of the contract

    def sample(self, tag: str) -> dict[str, Any]:
        return {
            "dealname": tag, "amount": "1200.5", "dealstage": "qualifiedtobuy", "closedate": "2026-12-31T12:00:00Z",
            "hs_next_step": "call",
        }  # fmt: skip

    def person_creates(self, values: Mapping[str, Any]) -> str:
        return self.creates("deals", **values)

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        self.edits("deals", external_id, **{name: value or "" for name, value in values.items()})

    def person_deletes(self, external_id: str) -> None:
        self.deletes("deals", external_id)

    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        return self.holds_of("deals", external_id, self.fields)

    def live_ids(self) -> set[str]:
        return self.ids_of("deals")

    def unknown_id(self) -> str:
        return "999999999999"

    def calls(self) -> int:
        return self.server.counters.calls - self._before - self._by_people

    def lose_next_reply(self) -> None:
        self.server.faults.add("drop_after", method="POST", path="*/batch/*")

    def next_read_fails_once(self) -> None:
        self.server.faults.add("html", status=503)

    def pass_time(self) -> None:
        self.server.clock.move(seconds=20)
