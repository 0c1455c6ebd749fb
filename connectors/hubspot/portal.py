"""HubSpot's endpoints that Sidefeed uses, one method each: plain values in, decoded answers out.

Batch sizes and page sizes are HubSpot's own ("API usage guidelines and limits"); callers keep to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from connectors.hubspot.transport import Answer, Transport
from connectors.hubspot.wire import (
    AssociationPairs,
    Associations,
    AssociationTypes,
    Record,
    Records,
    check_ids,
    failures_in,
)
from sidefeed.connector import UnknownOutcome

LIST_PAGE = 100
SEARCH_PAGE = 200
BATCH = 100
HISTORY_BATCH = 50
ASSOCIATION_READ = 1000
PRIMARY = ("HUBSPOT_DEFINED", "Primary")
"""A label that says which company is the first one: no role."""

Body = Mapping[str, Any]


class Portal:
    """One portal's API. Raises the contract's errors; knows nothing of cursors, keys or outcomes."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._labels: dict[tuple[str, str], dict[tuple[str, int], str]] = {}
        self._types: dict[tuple[str, str], frozenset[tuple[str, int]]] = {}

    # Records

    def page(
        self, object: str, properties: Sequence[str], after: str | None = None, *, archived: bool = False
    ) -> Answer[Records]:
        """One page of all live records, or of all archived ones, in the order of their ids."""
        return _checked(self._transport.send(
            Records, self._objects.basic_api.get_page, object, what=f"HubSpot {object}", limit=LIST_PAGE,
            properties=list(properties), archived=archived or None, after=after or None,
        ), object)

    def search(self, object: str, body: Body) -> Answer[Records]:
        return _checked(self._transport.send(
            Records, self._objects.search_api.do_search, object, body, what=f"changed HubSpot {object}"
        ), object)

    def read(
        self, object: str, ids: Sequence[str], properties: Sequence[str], *, id_property: str | None = None,
        archived: bool = False, history: bool = False, least: int = 1,
    ) -> Answer[Records]:
        """Up to 100 records by id (50 with history), or by the value of a unique property."""
        body: dict[str, Any] = {
            "properties": [] if history else list(properties),
            "propertiesWithHistory": list(properties) if history else [],
            "inputs": [{"id": each} for each in ids],
        }
        if id_property:
            body["idProperty"] = id_property
        return _checked(self._transport.send(
            Records, self._objects.batch_api.read, object, body, what=_named(object, ids), least=least,
            archived=archived or None,
        ), object)

    def one(self, object: str, record_id: str, properties: Sequence[str]) -> Record:
        """One live record by id; after a merge it is the survivor that answers, under its own id."""
        record = self._transport.send(
            Record, self._objects.basic_api.get_by_id, object, record_id, what=_named(object, [record_id]), least=0,
            properties=list(properties),
        ).content
        check_ids([record], object)
        return record

    def create(self, object: str, inputs: Sequence[Body], least: int = 1) -> Records:
        return self._transport.send(
            Records, self._objects.batch_api.create, object, {"inputs": list(inputs)}, reads=False, least=least,
            what=f"{len(inputs)} new HubSpot {object}" if len(inputs) > 1 else f"the new HubSpot {object} record",
        ).content

    def update(self, object: str, inputs: Sequence[Body], least: int = 1) -> Records:
        return self._transport.send(
            Records, self._objects.batch_api.update, object, {"inputs": list(inputs)}, reads=False, least=least,
            what=_named(object, [str(each["id"]) for each in inputs]),
        ).content

    def archive(self, object: str, ids: Sequence[str], least: int = 1) -> list[dict[str, Any]]:
        """Returns what HubSpot could not archive, as it says it."""
        what = _named(object, ids)
        return _failures(self._transport.send(
            bytes, self._objects.batch_api.archive, object, {"inputs": [{"id": each} for each in ids]}, reads=False,
            least=least, what=what,
        ), what)

    # Associations

    def associations(self, object: str, to: str, inputs: Sequence[Body], least: int = 1) -> Associations:
        """The associations of up to 1,000 records with one other type."""
        return self._transport.send(
            Associations, self._associations.get_page, object, to, {"inputs": list(inputs)}, least=least,
            what=f"associations of {len(inputs)} HubSpot {object} with {to}",
        ).content

    def labels(self, object: str, to: str) -> Mapping[tuple[str, int], str]:
        """The labels that associations from one type to another may carry, by (category, type id); kept once read.
        Without those of a primary record."""
        if (object, to) not in self._labels:
            self.read_labels(object, to)
        return self._labels[object, to]

    def knows_types(self, object: str, to: str, types: Iterable[tuple[str, int]]) -> bool:
        return self._types.get((object, to), frozenset()) >= set(types)

    def read_labels(self, object: str, to: str) -> None:
        """Read the labels anew, as somebody may have made one."""
        answer = self._transport.send(
            AssociationTypes, self._transport.sdk.crm.associations.v4.schema.definitions_api.get_all, object, to,
            what=f"association labels from HubSpot {object} to {to}",
        ).content
        self._types[object, to] = frozenset((each.category, each.type_id) for each in answer.results)
        self._labels[object, to] = {(each.category, each.type_id): each.label for each in answer.results
                                    if each.label and (each.category, each.label) != PRIMARY}

    def create_label(self, object: str, to: str, label: str) -> None:
        """A label of the portal's own, the same from both ends."""
        name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
        self._transport.send(
            bytes, self._transport.sdk.crm.associations.v4.schema.definitions_api.create, object, to,
            {"label": label, "name": name}, reads=False, what=f"the new HubSpot label {label!r} from {object} to {to}",
        )

    def unlabel(self, object: str, to: str, inputs: Sequence[Body]) -> list[dict[str, Any]]:
        """Take some types off pairs of records, which stay associated. Returns what could not be done."""
        what = f"association labels of HubSpot {object} with {to}"
        return _failures(self._transport.send(
            bytes, self._associations.archive_labels, object, to, {"inputs": list(inputs)}, reads=False, what=what,
        ), what)

    def associate(self, object: str, to: str, inputs: Sequence[Body]) -> AssociationPairs:
        return self._transport.send(
            AssociationPairs, self._associations.create, object, to, {"inputs": list(inputs)}, reads=False,
            what=f"associations of HubSpot {object} with {to}",
        ).content

    def dissociate(self, object: str, to: str, inputs: Sequence[Body]) -> list[dict[str, Any]]:
        """Returns what could not be done."""
        what = f"associations of HubSpot {object} with {to}"
        return _failures(self._transport.send(
            bytes, self._associations.archive, object, to, {"inputs": list(inputs)}, reads=False, what=what,
        ), what)

    # The portal itself

    def owners(self, after: str | None, *, archived: bool) -> Answer[dict[str, Any]]:
        return self._transport.send(
            dict[str, Any], self._transport.sdk.crm.owners.owners_api.get_page, what="HubSpot owners", limit=LIST_PAGE,
            archived=archived or None, after=after or None,
        )

    def properties(self, object: str) -> list[dict[str, Any]]:
        """Definitions of all properties of one type that are not archived."""
        answer = self._transport.send(
            dict[str, Any], self._transport.sdk.crm.properties.core_api.get_all, object,
            what=f"HubSpot properties of {object}",
        )
        return list(answer.content.get("results") or ())

    def create_property(self, object: str, definition: Body) -> None:
        self._transport.send(
            bytes, self._transport.sdk.crm.properties.core_api.create, object, definition, reads=False,
            what=f"the new HubSpot property {definition['name']} of {object}",
        )

    def archive_property(self, object: str, name: str) -> None:
        self._transport.send(
            bytes, self._transport.sdk.crm.properties.core_api.archive, object, name, reads=False,
            what=f"the HubSpot property {name} of {object}",
        )

    def pipelines(self, object: str) -> list[dict[str, Any]]:
        answer = self._transport.send(
            dict[str, Any], self._transport.sdk.crm.pipelines.pipelines_api.get_all, object,
            what=f"HubSpot pipelines of {object}",
        )
        return list(answer.content.get("results") or ())

    def account(self) -> dict[str, Any]:
        """Portal id, time zone and currency (account information API; the SDK has no method for it)."""
        path = "/account-info/v3/details"
        details = self._transport.get(dict[str, Any], path, what="HubSpot account details").content
        self._transport.zone = details.get("timeZone")
        return details

    def scopes(self) -> frozenset[str]:
        """The scopes of the token in use, as far as HubSpot tells ("Private apps, access token info")."""
        token = self._transport.token()
        answer = self._transport.post(
            dict[str, Any], "/oauth/v2/private-apps/get/access-token-info", {"tokenKey": token},
            what="the scopes of the HubSpot token",
        )
        return frozenset(map(str, answer.content.get("scopes") or ()))

    @cached_property
    def _objects(self) -> Any:
        """The SDK's generic objects API serves every type from one module, the smallest import."""
        return self._transport.sdk.crm.objects

    @property
    def _associations(self) -> Any:
        return self._transport.sdk.crm.associations.v4.batch_api


def _failures(answer: Answer[bytes], what: str) -> list[dict[str, Any]]:
    try:
        return failures_in(answer.content)
    except ValueError:
        raise UnknownOutcome(
            f"{what}: HubSpot's answer is not the documented JSON, so this may have happened or not") from None


def _checked(answer: Answer[Records], object: str) -> Answer[Records]:
    check_ids(answer.content.results, object)
    return answer


def _named(object: str, ids: Sequence[str]) -> str:
    return f"HubSpot {object} {ids[0]}" if len(ids) == 1 else f"{len(ids)} HubSpot {object}"
