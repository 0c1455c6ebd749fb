"""What every connector must do, as one class of tests that each connector's test module inherits.

Use::

    class TestContract(ConnectorContract):
        @pytest.fixture
        def kit(self) -> Iterator[Kit]: ...   # a practice server, a connector on it, and "people" who work there

``Kit`` is all that the tests know of a system. What the system cannot do is read from ``connector.capabilities`` and
such a test is skipped, so a connector never states by hand which tests it passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest

from sidefeed.connector import (
    Connector,
    ConnectorError,
    CursorExpired,
    Duplicate,
    Gone,
    Outcome,
    Page,
    RemembersKeys,
    Remote,
    Stream,
    Unavailable,
    Write,
)

HOSTILE = "Ünïcødé 漢字 🚀 'quoted' \"double\" back\\slash\ttab & <tag> %41 — end"


class Kit(Protocol):
    """One practice server, one connector that talks to it, and the people who use the system meanwhile.

    What people do goes to the server without the connector and without counting as calls.
    """

    connector: Connector
    stream: Stream
    fields: Sequence[str]
    """Raw fields that the tests read, ``text`` among them."""
    text: str
    """A writable text field of ``stream.object`` that can hold ``HOSTILE``."""
    blankable: str
    """A writable field among ``fields`` that may be blank."""
    secrets: Sequence[str]
    """Passwords, tokens and keys in the connector's settings."""

    def sample(self, tag: str) -> dict[str, Any]:
        """Raw values that a valid create needs; ``text`` holds ``tag`` and ``blankable`` is not blank."""
        ...

    def person_creates(self, values: Mapping[str, Any]) -> str: ...
    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None: ...
    def person_deletes(self, external_id: str) -> None: ...
    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        """What the server holds now (None: not there), not read through the connector."""
        ...

    def live_ids(self) -> set[str]: ...
    def unknown_id(self) -> str:
        """A well-formed id that never existed."""
        ...

    def reconnected(self) -> Connector:
        """A new connector with the same settings, as after a restart of the process."""
        ...

    def calls(self) -> int:
        """Requests the server has answered, by its own count."""
        ...

    def lose_next_reply(self) -> None:
        """The next write takes effect and its answer is lost."""
        ...

    def next_read_fails_once(self) -> None:
        """The next request is answered by a passing server error, before any effect."""
        ...

    def pass_time(self) -> None:
        """Let what was done become visible everywhere and the clock move on (index lag, one-second stamps)."""
        ...


class ConnectorContract:
    """Inherit and give a ``kit`` fixture."""

    # Reading

    def test_the_first_read_gives_every_live_record_once(self, kit: Kit) -> None:
        made = {kit.person_creates(kit.sample(f"deal {n}")) for n in range(5)}
        kit.pass_time()
        records, _ = read(kit)
        ids = [record.id for record in records if record.state == "live"]
        assert made <= set(ids)
        assert len(ids) == len(set(ids))

    def test_records_carry_the_fields_asked_for_and_no_others(self, kit: Kit) -> None:
        made = kit.person_creates(kit.sample("narrow"))
        kit.pass_time()
        record = state_of(read(kit)[0], kit, made)
        assert record.values is not None
        assert set(record.values) == set(kit.fields)
        assert record.values[kit.text] == "narrow"

    def test_values_are_plain_data(self, kit: Kit) -> None:
        made = kit.person_creates(kit.sample("plain"))
        kit.pass_time()
        assert_plain(state_of(read(kit)[0], kit, made).values)

    def test_an_edit_appears_after_the_cursor(self, kit: Kit) -> None:
        made = kit.person_creates(kit.sample("before"))
        kit.pass_time()
        _, cursor = read(kit)
        kit.person_edits(made, {kit.text: "after"})
        kit.pass_time()
        records, _ = read(kit, cursor)
        values = state_of(records, kit, made).values
        assert values is not None and values[kit.text] == "after"

    def test_a_field_that_was_emptied_is_blank_not_missing(self, kit: Kit) -> None:
        made = kit.person_creates(kit.sample("blank"))
        kit.pass_time()
        _, cursor = read(kit)
        kit.person_edits(made, {kit.blankable: None})
        kit.pass_time()
        values = state_of(read(kit, cursor)[0], kit, made).values
        assert values is not None and values[kit.blankable] is None

    def test_a_deletion_appears_after_the_cursor(self, kit: Kit) -> None:
        if not kit.connector.capabilities(kit.stream.object).deletes:
            pytest.skip("deletions are not in this system's feed")
        made = kit.person_creates(kit.sample("short-lived"))
        kit.pass_time()
        _, cursor = read(kit)
        kit.person_deletes(made)
        kit.pass_time()
        (record,) = [record for record in read(kit, cursor)[0] if record.id == made]
        assert record.state == "deleted"
        assert record.merged_into is None

    def test_a_cursor_outlives_the_process(self, kit: Kit) -> None:
        kit.person_creates(kit.sample("early"))
        kit.pass_time()
        _, cursor = read(kit)
        made = kit.person_creates(kit.sample("late"))
        kit.pass_time()
        records, _ = read(kit, cursor, connector=kit.reconnected())
        assert made in {record.id for record in records}

    def test_every_read_ends_with_one_last_page(self, kit: Kit) -> None:
        pages = list(kit.connector.changes(kit.stream, kit.fields, None))
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]

    def test_a_read_of_nothing_new_still_moves_to_the_present_in_the_fewest_calls(self, kit: Kit) -> None:
        kit.person_creates(kit.sample("quiet"))
        kit.pass_time()
        _, cursor = read(kit)
        before, minimum, counted = kit.connector.calls.used, kit.connector.calls.minimum, kit.calls()
        pages = list(kit.connector.changes(kit.stream, kit.fields, cursor))
        assert len(pages) == 1 and pages[0].last
        assert kit.connector.calls.used - before == kit.connector.calls.minimum - minimum == kit.calls() - counted

    def test_a_cursor_of_another_make_is_refused_as_expired(self, kit: Kit) -> None:
        with pytest.raises(CursorExpired):
            list(kit.connector.changes(kit.stream, kit.fields, "not one of ours"))

    def test_a_passing_failure_of_a_read_is_repeated_by_the_connector(self, kit: Kit) -> None:
        made = kit.person_creates(kit.sample("patient"))
        kit.pass_time()
        kit.next_read_fails_once()
        assert made in {record.id for record in read(kit)[0]}

    # State by id

    def test_fetch_answers_every_id_exactly_once(self, kit: Kit) -> None:
        live = kit.person_creates(kit.sample("here"))
        gone = kit.person_creates(kit.sample("gone"))
        kit.person_deletes(gone)
        unknown = kit.unknown_id()
        answers = list(kit.connector.fetch(kit.stream, kit.fields, [unknown, live, gone]))
        assert sorted(answer.id for answer in answers) == sorted([live, gone, unknown])
        states = {answer.id: answer.state for answer in answers}
        assert states == {live: "live", gone: "deleted", unknown: "deleted"}

    def test_fetch_of_nothing_is_free(self, kit: Kit) -> None:
        assert list(kit.connector.fetch(kit.stream, kit.fields, [])) == []
        assert list(kit.connector.write(kit.stream, [])) == []
        assert not kit.connector.find(kit.stream, [])
        assert kit.connector.calls.used == 0

    def test_the_census_lists_exactly_the_live_ids(self, kit: Kit) -> None:
        kit.person_creates(kit.sample("counted"))
        gone = kit.person_creates(kit.sample("not counted"))
        kit.person_deletes(gone)
        kit.pass_time()
        listed = [external_id for external_id, _ in kit.connector.ids(kit.stream)]
        assert sorted(listed) == sorted(kit.live_ids())

    # Writing

    def test_a_create_can_be_found_by_its_key(self, kit: Kit) -> None:
        (outcome,) = write(kit, create(kit, "one", "rec-1:1"))
        assert outcome.status == "done" and outcome.external_id
        found = kit.connector.find(kit.stream, ["rec-1:1", "rec-2:1"])
        assert list(found["rec-1:1"]) == [outcome.external_id]
        assert not found.get("rec-2:1")

    def test_a_second_create_with_a_key_makes_no_second_object_where_keys_are_unique(self, kit: Kit) -> None:
        if not kit.connector.capabilities(kit.stream.object).unique_keys:
            pytest.skip("this system makes a second object with the same key")
        (first,) = write(kit, create(kit, "first", "rec-1:1"))
        there = kit.live_ids()
        (second,) = write(kit, create(kit, "second", "rec-1:1"))
        assert kit.live_ids() == there
        assert second.external_id == first.external_id or isinstance(second.error, Duplicate)

    def test_a_key_is_found_on_what_was_deleted_and_only_there(self, kit: Kit) -> None:
        if not isinstance(kit.connector, RemembersKeys):
            pytest.skip("this system forgets the key of what is deleted")
        gone, _live = write(kit, create(kit, "gone", "rec-1:1"), create(kit, "stays", "rec-2:1"))
        kit.person_deletes(gone.external_id or "")
        found = kit.connector.find_deleted(kit.stream, ["rec-1:1", "rec-2:1", "rec-3:1"])
        assert {key: list(ids) for key, ids in found.items()} == {"rec-1:1": [gone.external_id]}

    def test_every_write_has_exactly_one_outcome_under_its_own_key(self, kit: Kit) -> None:
        writes = [create(kit, f"deal {n}", f"rec-{n}:1") for n in range(7)]
        outcomes = write(kit, *writes)
        assert sorted(outcome.key for outcome in outcomes) == sorted(each.key for each in writes)
        for outcome in outcomes:
            assert outcome.status == "done" and outcome.external_id
            held = kit.holds(outcome.external_id)
            assert held is not None and held[kit.text] == outcome.key

    def test_text_survives_the_way_there_and_back(self, kit: Kit) -> None:
        (outcome,) = write(kit, create(kit, HOSTILE, "rec-1:1"))
        assert outcome.external_id, outcome
        (answer,) = kit.connector.fetch(kit.stream, kit.fields, [outcome.external_id])
        assert answer.values is not None and answer.values[kit.text] == HOSTILE

    def test_an_update_writes_only_what_it_names_and_none_clears(self, kit: Kit) -> None:
        record = created(kit, "stays")
        (outcome,) = write(kit, update(record, {kit.blankable: None}))
        assert outcome.status == "done" and outcome.external_id == record.id
        held = kit.holds(record.id)
        assert held is not None and held[kit.text] == "stays" and not held.get(kit.blankable)

    def test_a_delete_is_done_and_told_by_id(self, kit: Kit) -> None:
        record = created(kit, "to delete")
        (outcome,) = write(kit, Write("w", "delete", external_id=record.id, version=record.version))
        assert outcome.status == "done"
        assert kit.holds(record.id) is None
        (answer,) = kit.connector.fetch(kit.stream, kit.fields, [record.id])
        assert answer.state == "deleted"

    def test_an_update_of_what_is_gone_is_refused_as_gone(self, kit: Kit) -> None:
        record = created(kit, "vanishes")
        kit.person_deletes(record.id)
        (outcome,) = write(kit, update(record, {kit.text: "too late"}))
        assert outcome.status == "refused" and isinstance(outcome.error, Gone)

    def test_a_stale_update_is_refused_by_the_system_where_it_can(self, kit: Kit) -> None:
        if not kit.connector.capabilities(kit.stream.object).conditional:
            pytest.skip("this system has no condition on writes")
        record = created(kit, "read")
        kit.pass_time()
        kit.person_edits(record.id, {kit.text: "moved on"})
        (outcome,) = write(kit, update(record, {kit.text: "mine"}))
        assert outcome.status == "stale"
        held = kit.holds(record.id)
        assert held is not None and held[kit.text] == "moved on"

    def test_a_create_whose_answer_is_lost_is_unknown_never_repeated_and_found(self, kit: Kit) -> None:
        before = kit.live_ids()
        kit.lose_next_reply()
        (outcome,) = write(kit, create(kit, "lost reply", "rec-9:1"))
        assert outcome.status == "unknown"
        (made,) = kit.live_ids() - before
        kit.pass_time()
        assert list(kit.connector.find(kit.stream, ["rec-9:1"])["rec-9:1"]) == [made]

    def test_an_update_whose_answer_is_lost_is_unknown(self, kit: Kit) -> None:
        record = created(kit, "before")
        kit.lose_next_reply()
        (outcome,) = write(kit, update(record, {kit.text: "after"}))
        assert outcome.status == "unknown"
        assert isinstance(outcome.error, ConnectorError)
        held = kit.holds(record.id)
        assert held is not None and held[kit.text] == "after"

    # Itself

    def test_nothing_is_called_before_it_is_used(self, kit: Kit) -> None:
        fresh = kit.reconnected()
        assert (fresh.calls.used, fresh.calls.minimum) == (0, 0)

    def test_the_marker_names_the_same_place_after_a_restart(self, kit: Kit) -> None:
        assert kit.connector.marker()
        assert kit.connector.marker() == kit.reconnected().marker()

    def test_the_stream_is_one_of_its_object(self, kit: Kit) -> None:
        assert kit.stream in kit.connector.streams(kit.stream.object)

    def test_the_schema_names_the_fields_that_are_read(self, kit: Kit) -> None:
        schema = kit.connector.describe(kit.stream.object)
        assert set(kit.fields) <= set(schema.fields)
        assert schema.fields[kit.text].updateable

    def test_the_connector_counts_what_the_server_counts(self, kit: Kit) -> None:
        record = created(kit, "counted")
        write(kit, update(record, {kit.text: "again"}))
        read(kit)
        assert kit.connector.calls.used == kit.calls()
        assert kit.connector.calls.minimum <= kit.connector.calls.used

    def test_it_shows_no_secret(self, kit: Kit) -> None:
        kit.connector.marker()
        shown = repr(kit.connector) + str(kit.connector)
        assert not [secret for secret in kit.secrets if secret in shown]

    def test_an_outage_of_every_try_is_unavailable(self, kit: Kit) -> None:
        connector = kit.reconnected()
        for _ in range(20):
            kit.next_read_fails_once()
        with pytest.raises(Unavailable):
            list(connector.changes(kit.stream, kit.fields, None))


def read(
    kit: Kit, cursor: str | None = None, *, connector: Connector | None = None, **options: Any
) -> tuple[list[Remote], str]:
    """All records after ``cursor`` and the cursor at the present."""
    pages: list[Page] = list((connector or kit.connector).changes(kit.stream, kit.fields, cursor, **options))
    return [record for page in pages for record in page.records], pages[-1].cursor


def state_of(records: Sequence[Remote], kit: Kit, external_id: str) -> Remote:
    """The newest live observation of one record, fetched where the feed told only the id."""
    found = [record for record in records if record.id == external_id]
    assert found, f"{external_id} is not in the feed"
    if found[-1].values is not None:
        return found[-1]
    (record,) = kit.connector.fetch(kit.stream, kit.fields, [external_id])
    return record


def create(kit: Kit, tag: str, key: str) -> Write:
    return Write(tag, "create", kit.sample(tag), external_key=key)


def update(record: Remote, values: Mapping[str, Any]) -> Write:
    expected = {name: (record.values or {}).get(name) for name in values}
    return Write("w", "update", values, external_id=record.id, version=record.version, expected=expected)


def created(kit: Kit, tag: str) -> Remote:
    """A record that a person made, as the connector sees it."""
    made = kit.person_creates(kit.sample(tag))
    (record,) = kit.connector.fetch(kit.stream, kit.fields, [made])
    return record


def write(kit: Kit, *writes: Write) -> list[Outcome]:
    return list(kit.connector.write(kit.stream, writes))


def assert_plain(value: Any) -> None:
    """Only what the contract calls a raw value."""
    match value:
        case None | bool() | int() | str():
            pass
        case dict():
            for name, item in value.items():
                assert isinstance(name, str)
                assert_plain(item)
        case list() | tuple():
            for item in value:
                assert_plain(item)
        case _:
            raise AssertionError(f"{value!r} is not plain data")
