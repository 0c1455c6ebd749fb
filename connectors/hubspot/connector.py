"""The HubSpot connector: the contract's methods, put together from the rooms of this package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.hubspot import associations, owners, schema
from connectors.hubspot.codes import CODES
from connectors.hubspot.feed import Feed
from connectors.hubspot.portal import BATCH, HISTORY_BATCH, Portal
from connectors.hubspot.recorded import RECORDABLE
from connectors.hubspot.records import MERGEABLE, Reader, Wanted, missing_in
from connectors.hubspot.settings import Settings
from connectors.hubspot.transport import Transport
from connectors.hubspot.wire import Past, moment, outgoing
from connectors.hubspot.writer import Writer, key_missing
from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    Capabilities,
    Gone,
    Invalid,
    ObjectSchema,
    Onward,
    Outcome,
    Page,
    Quota,
    Remote,
    Rights,
    Stream,
    Unavailable,
    Write,
    chunked,
)
from sidefeed.connector import Past as Moment

HISTORY = frozenset({"contacts", "companies", "deals"})
OWNERS = "owners"


class HubSpotConnector:
    """One HubSpot portal.

    Objects: companies, contacts, deals, meetings, tasks (any type of the CRM object API works alike) and owners, which
    are read only. Values are HubSpot's property values, text or None, and the association fields of
    ``connectors.hubspot.associations``. A scope is not pushed down: search would hide the records that leave it.

    Settings: see ``connectors.hubspot.settings.Settings``.
    """

    system = "hubspot"
    codes = CODES
    recordable = RECORDABLE

    def __init__(self, settings: Settings, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.calls = Calls()
        self._settings = settings
        self._transport = Transport(settings, self.calls, sleep)
        self._portal = Portal(self._transport)
        self._reader = Reader(self._portal)
        self._feed = Feed(self._portal, self._reader, settings)
        self._writer = Writer(self._portal, settings.key_property)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> HubSpotConnector:
        """Raises Invalid, naming the setting at fault."""
        return cls(Settings.from_table(settings))

    def __repr__(self) -> str:
        return f"HubSpotConnector({self._settings.host}, {self._settings.api_version})"

    def marker(self) -> str:
        """The portal id. Raises AuthenticationFailed where the settings name another portal than the token's."""
        portal = str(self._portal.account()["portalId"])
        if self._settings.portal_id and self._settings.portal_id != portal:
            raise AuthenticationFailed(
                f"the access token belongs to HubSpot portal {portal}, the setting 'portal_id' says "
                f"{self._settings.portal_id}: give the token of the portal that is meant", code="wrong-portal",
            )
        return portal

    def streams(self, object: str) -> Sequence[Stream]:
        return (Stream(object),)

    def capabilities(self, object: str) -> Capabilities:
        if object == OWNERS:
            return Capabilities(writable=False, write_batch=BATCH, deletes=True)
        return Capabilities(
            history=object in HISTORY, settles=True, merges=object in MERGEABLE, unique_keys=True, write_batch=BATCH,
            read_batch=BATCH,
        )

    def describe(self, object: str) -> ObjectSchema:
        """Properties and association fields; stage and pipeline options come from the pipelines."""
        return owners.SCHEMA if object == OWNERS else schema.describe(self._portal, object)

    def add_roles(self, object: str, field: str, roles: Sequence[str], *, apply: bool) -> Sequence[str]:
        """See ``AddsRoles``: a role is an association label, of the same name from both ends."""
        return schema.add_labels(self._portal, object, field, roles, apply=apply)

    def rights(
        self, object: str, *, reads: Sequence[str], writes: Sequence[str], creates: bool, deletes: bool
    ) -> Rights:
        """The scopes of the access token; HubSpot has no rights of single properties."""
        try:
            return schema.rights(self._portal, object, [*reads, *writes], writes=bool(writes) or creates or deletes)
        except (Gone, Invalid):  # an OAuth token, of which this endpoint does not tell
            return Rights(())

    # Reading

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        """See ``connectors.hubspot.feed``. ``scope`` is left to the caller."""
        if stream.object == OWNERS:
            return owners.changes(self._portal, fields, cursor)
        return self._feed.changes(stream.object, fields, cursor)

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Remote]:
        if not ids:
            return ()
        if stream.object == OWNERS:
            return owners.fetch(self._portal, fields, ids)
        return self._reader.fetch(Wanted.of(stream.object, fields), ids)

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """By key, the ids that hold it: read by the unique property, which is no lagging index."""
        found: dict[str, list[str]] = {key: [] for key in keys}
        if stream.object == OWNERS:
            return found
        name = self._settings.key_property
        for chunk in chunked(found, BATCH):
            silent = set(chunk)
            for attempt in range(2):
                try:
                    content, _ = self._portal.read(
                        stream.object, sorted(silent), (name,), id_property=name, least=int(attempt == 0)
                    )
                except Invalid as error:
                    if error.field == name or name in error.message:
                        raise key_missing(stream.object, name) from None
                    raise
                for record in content.results:
                    key = record.properties.get(name) or ""
                    if key in found and record.id not in found[key]:
                        found[key].append(record.id)
                silent -= {key for key in chunk if found[key]} | missing_in(content.errors)
                if not silent:
                    break
            if silent:
                raise Unavailable(f"HubSpot did not say whether {len(silent)} {stream.object} exist by their keys")
        return found

    def find_deleted(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """By the list of archived records, which answers their properties: one call for each hundred, until every key
        is found. That a batch read finds archived records by a unique property is nowhere documented, and its silence
        would pass for the news that there is none."""
        name, wanted = self._settings.key_property, set(keys)
        found: dict[str, list[str]] = {}
        after: str | None = None
        places = Onward(f"HubSpot's list of archived {stream.object}")
        while stream.object != OWNERS:
            content, _ = self._portal.page(stream.object, (name,), after, archived=True)
            for record in content.results:
                if (key := record.properties.get(name) or "") in wanted:
                    found.setdefault(key, []).append(record.id)
            after = places.to(content.after)
            if not after or found.keys() == wanted:
                break
        return found

    def quota(self) -> Quota | None:
        """As the headers of the last answer told."""
        return self._transport.quota

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        if stream.object == OWNERS:
            yield from ((each.id, each.version) for each in owners.everyone(self._portal, ())[0])
            return
        after: str | None = None
        places = Onward(f"HubSpot's list of {stream.object}")
        while True:
            content, _ = self._portal.page(stream.object, ("hs_object_id",), after)
            yield from ((record.id, record.updated_at) for record in content.results)
            after = places.to(content.after)
            if not after:
                return

    # Writing

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """See ``connectors.hubspot.writer``."""
        if stream.object != OWNERS:
            return self._writer.write(stream.object, writes)
        error = Invalid("HubSpot owners are managed in its user settings only", code="read-only", owner="ops")
        return (Outcome(write.key, "refused", write.external_id, error=error) for write in writes)

    def overwritten(self, stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Mapping[str, Any]]:
        """From the properties' history: what stood just before our value and was not what we had decided on."""
        lost: dict[str, dict[str, Any]] = {}
        if stream.object not in HISTORY:
            return lost
        for ids in chunked(outcomes, HISTORY_BATCH):
            names = {name for each in ids for name in outcomes[each].values if not associations.is_association(name)}
            if not names:
                continue
            content, _ = self._portal.read(stream.object, ids, sorted(names), history=True)
            for record in content.results:
                if record.id in outcomes and (values := _lost(outcomes[record.id], record.properties_with_history)):
                    lost[record.id] = values
        return lost

    def history(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Moment]:
        """From the properties' history: the state at each moment at which one of them changed."""
        names = sorted(name for name in fields if not associations.is_association(name))
        if stream.object not in HISTORY or not names:
            return
        for chunk in chunked(ids, HISTORY_BATCH):
            content, _ = self._portal.read(stream.object, chunk, names, history=True)
            for record in content.results:
                yield from _moments(record.id, names, record.properties_with_history)

    # Setting up

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """The key property of each object: created, there already, or what an administrator must do."""
        name = self._settings.key_property
        return [schema.prepare(self._portal, each, name, apply=apply) for each in objects if each != OWNERS]

    def detach(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Archive the key property of each object, or say who must."""
        name = self._settings.key_property
        return [schema.detach(self._portal, each, name, apply=apply) for each in objects if each != OWNERS]

    def close(self) -> None:
        self._transport.close()


def _moments(id: str, names: Sequence[str], history: Mapping[str, Sequence[Past]]) -> Iterator[Moment]:
    """What a record held from each moment on; before the first value of a property it was blank."""
    changed: dict[datetime, dict[str, Past]] = {}
    for name in names:
        for past in history.get(name, ()):
            at = moment(past.timestamp)
            if at is not None:
                changed.setdefault(at, {})[name] = past
    image: dict[str, str | None] = dict.fromkeys(names)
    for at in sorted(changed):
        image.update({name: past.value or None for name, past in changed[at].items()})
        by = next((str(past.updated_by_user_id) for past in changed[at].values() if past.updated_by_user_id), None)
        yield Moment(id, at, dict(image), by)


def _lost(write: Write, history: Mapping[str, Sequence[Past]]) -> dict[str, Any]:
    """Values of other people that this write replaced without having seen them."""
    lost: dict[str, Any] = {}
    read_at = moment(write.version)
    for name, sent in write.values.items():
        past = list(history.get(name, ()))
        past.sort(key=lambda each: moment(each.timestamp) or _LONG_AGO, reverse=True)
        ours = next((n for n, each in enumerate(past) if _same(each.value, outgoing(sent))), None)
        if ours is None or ours + 1 >= len(past):
            continue
        before = past[ours + 1]
        value = before.value or None
        at = moment(before.timestamp)
        unseen = read_at is None or at is None or at > read_at
        if unseen and (name not in write.expected or not _same(value, outgoing(write.expected[name]))):
            lost[name] = value
    return lost


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _same(one: str | None, other: str | None) -> bool:
    """Equal as HubSpot stores it: e-mail in lower case, numbers in their shortest form, no space at the ends."""
    first, second = (one or "").strip().casefold(), (other or "").strip().casefold()
    if first == second:
        return True
    try:
        return Decimal(first) == Decimal(second)
    except InvalidOperation:
        return False
