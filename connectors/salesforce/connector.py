"""The Salesforce connector: one organisation through its REST API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from sidefeed.connector import (
    Calls,
    Capabilities,
    ConnectorError,
    CursorExpired,
    Invalid,
    ObjectSchema,
    OddAnswer,
    Onward,
    Outcome,
    Page,
    Past,
    PermissionDenied,
    Quota,
    Raw,
    Remote,
    Rights,
    Stream,
    Write,
    chunked,
)

from . import schema
from .codes import CODES
from .feed import MERGING, SKEW, WITHOUT_DELETION, Position, Reading, decoder, living, once
from .junctions import JUNCTIONS, Junction
from .recorded import RECORDABLE
from .settings import Settings
from .soql import IDS_PER_QUERY, Query, full_id, instant, literal, object_name, own_id, quoted

if TYPE_CHECKING:
    from .client import Client

_NO_SUCH_OBJECT = "INVALID_TYPE"


FORECAST_CATEGORIES = {"Omitted": "Omitted", "Pipeline": "Pipeline", "BestCase": "Best Case",
                       "MostLikely": "Most Likely", "Forecast": "Commit", "Closed": "Closed"}
"""OpportunityHistory holds the category's API name, an opportunity its label (Object Reference, "Opportunity")."""


class SalesforceConnector:
    """One Salesforce organisation.

    The settings are those of ``Settings``. The client library is loaded, and the first call made, when a method needs
    it. Three list fields are made of junction rows: ``Opportunity.ContactRoles`` (``Decision Maker:003...``),
    ``Opportunity.ContactIds`` (the same people, whatever their roles) and ``Event.WhoIds``. They are read and
    written only where they are named, and cost calls of their own.
    """

    system = "salesforce"
    codes = CODES
    recordable = RECORDABLE

    def __init__(self, settings: Settings, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.calls = Calls()
        self._settings = settings
        self._sleep = sleep
        self._opened: Client | None = None
        self._marker = ""
        self._acts_as = ""
        self._absent: set[str] = set()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> SalesforceConnector:
        """Raises Invalid, naming the key at fault. The keys are the fields of ``Settings``."""
        return cls(Settings.from_table(settings))

    def __repr__(self) -> str:
        return f"<SalesforceConnector {self._settings.instance_url or self._settings.login_url}>"

    @property
    def _client(self) -> Client:
        if self._opened is None:
            from .client import Client

            self._opened = Client(self._settings, self.calls, sleep=self._sleep)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def marker(self) -> str:
        """The organisation's id."""
        if not self._marker:
            (row,) = self._rows(Query("Organization", ("Id",)))
            self._marker = full_id(row["Id"])
        return self._marker

    def streams(self, object: str) -> Sequence[Stream]:
        return (Stream(object_name(object)),)

    def capabilities(self, object: str) -> Capabilities:
        """Collections carry no conditions and answer no values; users are neither deleted nor written."""
        return Capabilities(
            deletes=object not in WITHOUT_DELETION,
            merges=object in MERGING,
            hides=True,
            unique_keys=True,
            write_batch=200,
            read_batch=IDS_PER_QUERY,
            writable=object not in WITHOUT_DELETION,
        )

    # Schema

    def describe(self, object: str) -> ObjectSchema:
        """One call, and one more for an object with a list of people in roles: the roles are the rows' picklist."""
        rows = {each.object for each in JUNCTIONS.get(object, ()) if each.role}
        return schema.object_schema(self._described(object), {each: self._described(each) for each in rows})

    def add_roles(self, object: str, field: str, roles: Sequence[str], *, apply: bool) -> Sequence[str]:
        """See ``AddsRoles``. Only an administrator adds a role: the list is one for the whole organisation."""
        known = self.describe(object).fields[field].options
        return [f"Add the role {role!r} in Setup, Object Manager, Contact Role on Opportunities, or map another one."
                for role in roles if role not in known]

    def rights(
        self, object: str, *, reads: Sequence[str], writes: Sequence[str], creates: bool, deletes: bool
    ) -> Rights:
        """Object and field permissions, as Setup names them."""
        return schema.rights_of(self._described(object), reads=reads, writes=writes, creates=creates, deletes=deletes)

    def _described(self, object: str) -> schema.Described:
        self.calls.minimum += 1
        path = f"sobjects/{object_name(object)}/describe"
        return self._client.get(path, schema.decode_described, f"describing {object}")

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Make the key field where it is missing, or say what an administrator must do."""
        said: list[str] = []
        for object in objects:
            if not self.capabilities(object).writable:
                continue
            faults = list(schema.faults_of_key(self._described(object), self._settings.key_field))
            if not faults:
                said.append(f"{object}.{self._settings.key_field} is ready")
            elif apply:
                said.append(self._make_key(object, faults))
            else:
                said.append(schema.instructions(object, self._settings.key_field, faults))
        return said

    def _make_key(self, object: str, faults: list[str]) -> str:
        key = self._settings.key_field
        self.calls.minimum += 1
        try:
            definition = schema.key_definition(object, key)
            self._client.send("POST", "tooling/sobjects/CustomField", definition, about=f"creating {object}.{key}")
        except ConnectorError as error:
            if error.code == "DUPLICATE_DEVELOPER_NAME":
                return schema.hidden(object, key)
            return f"{schema.instructions(object, key, faults)} (Sidefeed could not: {error.message})"
        if list(schema.faults_of_key(self._described(object), key)):
            return f"{object}.{key} was created. {schema.hidden(object, key)}"
        return f"{object}.{key} was created and is ready"

    def detach(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Drop the key field of these objects, or say who must."""
        places = dict.fromkeys("Activity" if object in ("Event", "Task") else object for object in objects)
        return [self._drop_key(place, apply=apply) for place in places]

    def _drop_key(self, place: str, *, apply: bool) -> str:
        key = self._settings.key_field
        by_hand = (f"{place}.{key} and the values in it are Sidefeed's only mark. An administrator deletes it in "
                   f"Setup, Object Manager, {place}, Fields & Relationships.")
        query = Query("CustomField", ("Id",), (f"DeveloperName = {quoted(key.removesuffix('__c'))}",
                                               f"TableEnumOrId = {quoted(place)}"))
        try:
            path = f"tooling/query?{urlencode({'q': str(query)})}"
            found = self._client.get(path, msgspec.json.decode, f"looking for {place}.{key}")
            ids = [full_id(row["Id"]) for row in found.get("records", ())]
            if not ids:
                return f"{place} carries no mark of Sidefeed."
            if not apply:
                return f"{place}.{key} would be deleted with its values; nothing else in {place} is ours."
            self._client.send("DELETE", f"tooling/sobjects/CustomField/{ids[0]}", about=f"deleting {place}.{key}")
        except ConnectorError as error:
            return f"{by_hand} (Sidefeed could not: {error.message})"
        return f"{place}.{key} was deleted with its values."

    # Reading

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        """See the contract. ``scope`` is a SOQL condition; deleted records come whatever it says, and records that left
        it do not come (see ``Reading.since``). Raises CursorExpired for a cursor of another make."""
        from .client import LocatorExpired

        position = Position.read(cursor)
        reading = Reading.of(stream.object, fields)
        seen: set[str] = set()
        while True:
            asked_from = position.after
            query = self._next_query(reading, position, scope)
            try:
                for rows, at, locator in self._pages(query, reading.decode):
                    position = self._opened_at(position, at)
                    records = self._completed(reading, reading.records(rows))
                    if reading.junction is not None:
                        seen.update(record.id for record in records)
                    if locator is None:
                        records += self._regrouped(reading, position, scope, seen)
                        records += self._left(reading, position, scope)
                        yield _last_page(position, records)
                        return
                    if records:
                        reached = _advanced(position, records[-1])
                        if reached == position:
                            raise OddAnswer(f"Salesforce's list of {stream.object} does not go beyond "
                                            f"{records[-1].id}")
                        position = reached
                    yield Page(tuple(records), str(position))
                    del rows, records
            except LocatorExpired:
                if position.after == asked_from:
                    raise

    def _next_query(self, reading: Reading, position: Position, scope: str | None) -> Query:
        if position.mark is None:
            return reading.from_the_start(position.after, scope)
        return reading.since(position.mark, self._overlap, position.after, scope)

    @property
    def _overlap(self) -> timedelta:
        return timedelta(seconds=self._settings.overlap_seconds)

    def _opened_at(self, position: Position, at: datetime | None) -> Position:
        """Fix where this reading will set the mark: the server's clock at its first answer, less the lag. Raises
        CursorExpired where that clock was ahead when the last mark was set: what changed since lies below it."""
        if position.end is not None:
            return position
        if at is not None and position.mark is not None and at < instant(position.mark) - max(self._overlap, SKEW):
            raise CursorExpired(f"Salesforce's clock says {literal(at)}, and said {position.mark} at the last read: "
                                "what changed between the two cannot be told by its time; everything is read again")
        if at is None:
            end = position.mark or literal(datetime.fromtimestamp(0, UTC))
        else:
            end = literal(at - timedelta(seconds=self._settings.lag_seconds))
        return msgspec.structs.replace(position, end=max(end, position.mark or end))

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Remote]:
        """State by id, under 18-character ids. Raises Invalid, before any call, for text that is not an id."""
        reading = Reading.of(stream.object, fields)
        missing = dict.fromkeys(full_id(each) for each in ids)
        for record in self._by_id(reading, reading.by_id(), list(missing)):
            missing.pop(record.id, None)
            yield record
        for external_id in missing:
            yield Remote(external_id, state="deleted")

    def history(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Past]:
        """Stage, amount, closing date and forecast category of opportunities, from OpportunityHistory, which Salesforce
        writes for every organisation (Object Reference, "OpportunityHistory"). Other objects keep none of it."""
        if stream.object != "Opportunity":
            return
        kept = ("StageName", "Amount", "CloseDate", "ForecastCategory")
        columns = ("OpportunityId", "CreatedDate", "CreatedById", *kept)
        for query in Query("OpportunityHistory", columns).for_each_of("OpportunityId", ids):
            for row in self._rows(query):
                values = {**row, "ForecastCategoryName": FORECAST_CATEGORIES.get(row["ForecastCategory"])}
                yield Past(full_id(row["OpportunityId"]), datetime.fromisoformat(row["CreatedDate"]),
                           {name: values[name] for name in fields if name in values}, row["CreatedById"])

    def _by_id(self, reading: Reading, query: Query, ids: Iterable[str]) -> Iterator[Remote]:
        for each in query.for_each_of("Id", ids):
            for rows, _, _ in self._pages(each, reading.decode):
                yield from self._completed(reading, reading.records(rows))

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Only keys that were found are in the answer."""
        return self._carriers(living(object_name(stream.object), ("Id", self._settings.key_field)), keys)

    def find_deleted(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Rows in the recycle bin keep their values, and queryAll answers them with their fields, the losers of merges
        too (REST API Developer Guide, "Execute a SOQL Query that Includes Deleted Items")."""
        return self._carriers(Query(
            object_name(stream.object), ("Id", self._settings.key_field), (*once(stream.object), "IsDeleted = true"),
            everything=True), keys)

    def acts_as(self, stream: Stream, made: str) -> str | None:
        """At an insert OwnerId is implicitly the current user (Object Reference, "Frequently Occurring Fields"), and so
        is CreatedById ("System Fields"), which no update can change: one row of ours tells who we are."""
        if not self._acts_as:
            query = Query(object_name(stream.object), ("CreatedById",), (f"Id = {quoted(full_id(made))}",),
                          everything=True)
            self._acts_as = next((full_id(row["CreatedById"]) for row in self._rows(query)), "")
        return self._acts_as or None

    def _carriers(self, query: Query, keys: Sequence[str]) -> dict[str, list[str]]:
        """The rows of a query by the keys that they carry."""
        key_field = self._settings.key_field
        asked = {key.casefold(): key for key in keys}  # the field ignores case
        found: dict[str, list[str]] = {}
        for each in query.for_each_of(key_field, list(asked.values())):
            for row in self._rows(each):
                key = asked.get(str(row[key_field]).casefold())
                if key is not None:
                    found.setdefault(key, []).append(own_id(row["Id"]))
        return found

    def quota(self) -> Quota | None:
        """As the header Sforce-Limit-Info of the last answer told (REST API Developer Guide, "Limit Info Header")."""
        if self._opened is None or self._opened.daily_limit is None:
            return None
        return Quota(self._opened.daily_limit, self._opened.used_today)

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        for row in self._rows(Reading.of(stream.object, ()).census()):
            yield own_id(row["Id"]), row["SystemModstamp"]

    def _pages(
        self, query: Query, decode: Callable[[bytes], Any]
    ) -> Iterator[tuple[list[dict[str, Any]], datetime | None, str | None]]:
        """Rows, the server's clock, and the address of the next page until the last."""
        self.calls.minimum += 1
        try:
            page, at = self._client.query(query, decode)
        except Invalid as error:
            if error.field == self._settings.key_field:
                raise schema.key_missing(query.object, self._settings.key_field) from None
            raise
        places = Onward(f"Salesforce's list of {query.object}")
        while True:
            locator = places.to(None if page.done else page.nextRecordsUrl)
            if locator is None and not page.done:
                raise OddAnswer(f"Salesforce says that there are more {query.object} records, and not where")
            yield page.rows(), at, locator
            if locator is None:
                return
            del page  # two pages at once would be most of what a long reading takes of memory
            self.calls.minimum += 1
            page, at = self._client.more(locator, decode)

    def _rows(self, query: Query) -> Iterator[dict[str, Any]]:
        for rows, _, _ in self._pages(query, decoder(query.fields)):
            yield from rows

    # Lists kept as junction rows

    def _completed(self, reading: Reading, records: list[Remote]) -> list[Remote]:
        """The same records, with their list field where one is wanted."""
        junction = reading.junction
        if junction is None:
            return records
        members = self._junction_rows(junction, [record.id for record in records if record.state == "live"])
        return [_with_list(record, junction, members.get(record.id, {}), reading.wanted) for record in records]

    def _junction_rows(self, junction: Junction, parents: Sequence[str]) -> dict[str, dict[str, str]]:
        """By parent, the row id of each member."""
        found: dict[str, dict[str, str]] = {}
        query = Query(junction.object, ("Id", junction.parent_field, *junction.columns))
        for each in query.for_each_of(junction.parent_field, parents):
            for row in self._junction(junction, each):
                if junction.counts(row[junction.target]):
                    found.setdefault(row[junction.parent_field], {}).setdefault(junction.member(row), row["Id"])
        return found

    def _regrouped(self, reading: Reading, position: Position, scope: str | None, seen: set[str]) -> Iterator[Remote]:
        """Records in scope whose junction rows came, changed or went: their own stamp does not move for it."""
        junction = reading.junction
        if junction is None or position.mark is None:
            return
        since = f"SystemModstamp >= {literal(instant(position.mark) - self._overlap)}"
        query = Query(junction.object, ("Id", junction.parent_field), (since,), everything=True)
        parents = dict.fromkeys(row[junction.parent_field] for row in self._junction(junction, query))
        yield from self._by_id(reading, reading.by_id(scope), [each for each in parents if each and each not in seen])

    def _junction(self, junction: Junction, query: Query) -> Iterator[dict[str, Any]]:
        if junction.object in self._absent:
            return
        try:
            yield from self._rows(query)
        except (Invalid, PermissionDenied) as error:
            if not (junction.optional and error.code == _NO_SUCH_OBJECT):
                raise
            self._absent.add(junction.object)

    def _left(self, reading: Reading, position: Position, scope: str | None) -> Iterator[Remote]:
        """Records changed in the window that do not meet the scope. SOQL can filter on a condition but not tell its
        value, and its negation is not the rest where fields are blank: so ids without the scope, less ids with it."""
        if scope is None or position.mark is None:
            return
        changed = reading.ids_since(position.mark, self._overlap)
        ids = [own_id(row["Id"]) for row in self._rows(changed)]
        within = {own_id(row["Id"]) for each in Query(reading.object, ("Id",), (f"({scope})",)).for_each_of("Id", ids)
                  for row in self._rows(each)}
        yield from (Remote(id, state="left") for id in ids if id not in within)

    # Writing

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """See the contract. One update alone carries its version as a condition, to the second; batches cannot.

        AuthenticationFailed and QuotaExhausted are raised after the outcome of every write has been given.
        """
        if not writes:
            return
        from .writing import Writer

        object = object_name(stream.object)
        if not self.capabilities(object).writable:
            error = PermissionDenied(f"Sidefeed does not write {object} records to Salesforce")
            yield from (Outcome(each.key, "refused", each.external_id, error=error) for each in writes)
            return
        writer = Writer(self._client, self.calls, object, self._settings.key_field, self._junction_rows)
        yield from writer.run(writes)

    def restore(self, stream: Stream, ids: Sequence[str]) -> Mapping[str, ConnectorError | None]:
        """See ``Restorer``. Salesforce keeps deleted records for 15 days, with everything that went with them."""
        from . import undelete

        told: dict[str, ConnectorError | None] = {}
        for chunk in chunked([full_id(each) for each in ids], undelete.BATCH):
            self.calls.minimum += 1
            body = self._client.soap(partial(undelete.request, ids=chunk), f"undeleting {len(chunk)} {stream.object}")
            told |= undelete.answers(body, chunk)
        return told

    def overwritten(self, stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Raw]:
        """Nothing: Salesforce keeps no history of the fields written (see ``capabilities``)."""
        return {}


def _last_page(position: Position, records: list[Remote]) -> Page:
    assert position.end is not None
    return Page(tuple(records), str(Position(mark=position.end)), last=True, complete_to=instant(position.end))


def _advanced(position: Position, last: Remote) -> Position:
    stamp = literal(instant(last.version)) if position.mark is not None else ""
    return msgspec.structs.replace(position, after=(stamp, last.id))


def _with_list(record: Remote, junction: Junction, members: Mapping[str, str], wanted: Sequence[str]) -> Remote:
    assert record.values is not None
    values = dict(record.values)
    first = values.get(junction.first) if junction.first else None
    if junction.first and junction.first not in wanted:
        values.pop(junction.first, None)
    if record.state == "live":
        values[junction.field] = junction.listed(first if junction.counts(first) else None, members)
    return Remote(record.id, values, record.version, record.modified, record.state, record.merged_into, record.actor)


