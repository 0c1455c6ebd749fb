"""The chain: whatever honestly happens, it holds; whatever is done to what was sealed is found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidefeed.audit import Head, chain, seal
from sidefeed.audit.verify import Verdict, verify
from sidefeed.workspace import Store, StoreError
from sidefeed.workspace import tables as t
from tests.audit.ledger import Ledger

CALM = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

STEPS = st.lists(st.one_of(
    st.tuples(st.just("edits"), st.integers(0, 2), st.sampled_from(["Big", "Größe", "x" * 50, ""])),
    st.tuples(st.just("writes"), st.sampled_from(["Big", "Small"]), st.booleans()),
    st.tuples(st.just("answered"), st.integers(1, 6)),
    st.tuples(st.just("decides"), st.sampled_from(["approve", "skip", "rule"])),
    st.tuples(st.just("redacts"), st.integers(0, 9)),
    st.tuples(st.just("run")), st.tuples(st.just("seal"))), min_size=4, max_size=14)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty workspace, closed; each history works on a copy."""
    path = tmp_path_factory.mktemp("audit") / "workspace.db"
    Store.open(path).close()
    return path


@pytest.fixture
def ledger(migrated: Path, tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(shutil.copy(migrated, tmp_path / "workspace.db"))
    yield ledger
    ledger.store.close()


def live(ledger: Ledger, steps: list[tuple[Any, ...]]) -> Head:
    """Do the steps; returns the head after the last seal, with something of every kind in it."""
    ledger.edits(0, "first")
    ledger.edits(0, "second")
    ledger.writes("first", settled=False)
    ledger.writes("second")
    ledger.decides("approve")
    ledger.seal()
    for what, *told in steps:
        if what == "writes":
            ledger.writes(told[0], settled=told[1])
        elif what == "redacts":
            ledger.redacts(ledger.changes[told[0] % len(ledger.changes)])
        else:
            getattr(ledger, what)(*told)
    ledger.decides("skip")
    return ledger.seal()


@st.composite
def tamperings(draw: st.DrawFn) -> tuple[str, int, int]:
    return draw(st.sampled_from(sorted(TAMPERINGS))), draw(st.integers(0, 1000)), draw(st.integers(0, 1000))


@given(steps=STEPS, tampering=tamperings())
@settings(max_examples=5, deadline=None, suppress_health_check=CALM)
def test_an_honest_history_verifies_and_any_one_tampering_with_it_is_found(
    migrated: Path, tmp_path: Path, steps: list[tuple[Any, ...]], tampering: tuple[str, int, int]
) -> None:
    tried(migrated, tmp_path, steps, tampering)


@pytest.mark.slow
@given(steps=STEPS, tampering=tamperings())
@settings(max_examples=100, deadline=None, suppress_health_check=CALM)
def test_a_hundred_histories_and_a_tampering_with_each(
    migrated: Path, tmp_path: Path, steps: list[tuple[Any, ...]], tampering: tuple[str, int, int]
) -> None:
    tried(migrated, tmp_path, steps, tampering)


def tried(migrated: Path, tmp_path: Path, steps: list[tuple[Any, ...]], tampering: tuple[str, int, int]) -> None:
    ledger = Ledger(shutil.copy(migrated, tmp_path / "workspace.db"))
    try:
        head = live(ledger, steps)
        honest = verify(ledger.store, str(head))
        assert honest.findings == []
        assert honest.head == head
        assert sum(honest.redacted.values()) <= len(ledger.redacted)
        ledger.store.close()
        what, *numbers = tampering
        assert TAMPERINGS[what](ledger, *numbers), f"{what} changed nothing"
        ledger.store = Store.open(ledger.place, now=ledger.now)
        assert verify(ledger.store, str(head)).findings
        with suppress(StoreError):  # a newest seal that is no bytes any more is not continued
            seal(ledger.store)  # the next run, which knows nothing of it, does not make it good
        assert verify(ledger.store, str(head)).findings
    finally:
        ledger.store.close()


# -- what somebody may do to the file: each returns how many rows it changed ------------------------------------------

KEYS = {"change": "rev", "intent": "id", "journal": "id"}


def _sealed(ledger: Ledger, number: int) -> tuple[str, str, int]:
    """A table, its key, and one of its sealed rows."""
    rows = [(table, key, id) for table, key in KEYS.items() for (id,) in ledger.rows(
        f"SELECT {key} FROM {table}" + (" WHERE state != 'open'" if table == "intent" else ""))]
    return rows[number % len(rows)]


def _edit(ledger: Ledger, number: int, other: int) -> int:
    table, key, id = _sealed(ledger, number)
    columns = [column for column in t.metadata.tables[table].c if column.name != key]
    column = columns[other % len(columns)]
    other_value = f"coalesce({column.name}, 0) + 1000" if isinstance(column.type, sa.Integer) else (
        f"coalesce({column.name}, '') || ' '")
    return ledger.tamper(f"UPDATE {table} SET {column.name} = {other_value} WHERE {key} = ?", id)


def _move(ledger: Ledger, number: int, _other: int) -> int:
    table, key, id = _sealed(ledger, number)
    return ledger.tamper(f"UPDATE {table} SET {key} = 100000 WHERE {key} = ?", id)


def _delete(ledger: Ledger, number: int, _other: int) -> int:
    table, key, id = _sealed(ledger, number)
    return ledger.tamper(f"DELETE FROM {table} WHERE {key} = ?", id)


def _swap(ledger: Ledger, number: int, other: int) -> int:
    revs = sorted(ledger.changes)
    one, two = revs[number % len(revs)], revs[other % len(revs)]
    one, two = (one, two) if one != two else (revs[0], revs[1])
    return sum(ledger.tamper("UPDATE change SET rev = ? WHERE rev = ?", to, of)
               for of, to in ((one, -1), (two, one), (-1, two)))


def _insert(ledger: Ledger, number: int, _other: int) -> int:
    table, key, id = _sealed(ledger, number)
    columns = [column.name for column in t.metadata.tables[table].c if column.name not in (key, "seq")]
    names, also = ", ".join(columns), ", seq" if table == "change" else ""
    return ledger.tamper(f"INSERT INTO {table} ({key}, {names}{also}) SELECT -5, {names}{', -5' if also else ''} "
                         f"FROM {table} WHERE {key} = ?", id)


def _truncate(ledger: Ledger, number: int, _other: int) -> int:
    """The last seals and everything that they hold: what is left was once a whole chain."""
    seals = ledger.rows("SELECT number, kind, high FROM seal ORDER BY number")
    kept = 1 + number % (len(seals) - 1)
    highs = {table: max((high for one, kind, high in seals if one <= kept and kind == table), default=0)
             for table in KEYS}
    for table, key in KEYS.items():
        ledger.tamper(f"DELETE FROM {table} WHERE {key} > ?", highs[table])
    return ledger.tamper("DELETE FROM seal WHERE number > ?", kept)


def _unseal(ledger: Ledger, number: int, _other: int) -> int:
    seals = [one for (one,) in ledger.rows("SELECT number FROM seal ORDER BY number")]
    return ledger.tamper("DELETE FROM seal WHERE number = ?", seals[number % len(seals)])


def _seal_anew(ledger: Ledger, _number: int, _other: int) -> int:
    """Everything written anew and sealed by the rules: only a head kept elsewhere can tell."""
    ledger.tamper("UPDATE change SET actor = 'mallory' WHERE rev = 1")
    done = ledger.tamper("DELETE FROM seal")
    ledger.tamper("DELETE FROM journal WHERE what = 'redaction'")
    store = Store.open(ledger.place)
    seal(store)
    store.close()
    return done


def _break(ledger: Ledger, number: int, other: int) -> int:
    seals = ledger.rows("SELECT number FROM seal ORDER BY number")
    change = ("kind = 'change ' || kind", "first = first + 1", "count = count + 1", "low = low - 1", "high = high + 1",
              "ids = x'00'", "salts = randomblob(length(salts))", "hashes = randomblob(length(hashes))",
              "number = number + 1000", "salts = x''", "hashes = x'00' || hashes",
              "hashes = CAST(x'00' || hashes AS BLOB)")[other % 12]
    return ledger.tamper(f"UPDATE seal SET {change} WHERE number = ?", seals[number % len(seals)][0])


def _redact_otherwise(ledger: Ledger, number: int, _other: int) -> int:
    """What a redaction left, written over: with another salt, the digest could not be right by chance."""
    rev = ledger.changes[number % len(ledger.changes)]
    return ledger.tamper("UPDATE change SET fields = '{\"amount\":\"99\",\"name\":\"sha256:00\"}' WHERE rev = ?", rev)


TAMPERINGS = {
    "edit a field": _edit, "renumber a row": _move, "delete a row": _delete, "swap two": _swap, "insert one": _insert,
    "cut off the end": _truncate, "remove a seal": _unseal, "seal anew": _seal_anew, "break a seal": _break,
    "edit what is left": _redact_otherwise}


@pytest.mark.parametrize("what", sorted(TAMPERINGS))
def test_each_tampering_is_found(ledger: Ledger, what: str) -> None:
    for number in range(3):
        ledger.edits(number, "Big")
    ledger.writes("Big")
    ledger.decides("approve")
    ledger.seal()
    ledger.redacts(2)
    ledger.decides("skip")
    head = ledger.seal()
    assert verify(ledger.store, str(head)).ok
    ledger.store.close()
    assert TAMPERINGS[what](ledger, 1, 3)
    ledger.store = Store.open(ledger.place, now=ledger.now)
    assert not verify(ledger.store, str(head)).ok


# -- what is told, and the bounds -----------------------------------------------------------------------------------


def told(verdict: Verdict) -> list[str]:
    return [str(one) for one in verdict.findings]


def test_a_newest_seal_that_cannot_be_read_is_a_finding_and_is_not_continued(ledger: Ledger) -> None:
    ledger.edits(0, "Big")
    ledger.decides("approve")
    ledger.seal()
    assert ledger.tamper("UPDATE seal SET hashes = x'00' || hashes WHERE number = (SELECT max(number) FROM seal)") == 1
    assert "seal" in {one.what for one in verify(ledger.store).findings}
    ledger.decides("skip")
    with pytest.raises(StoreError, match="audit verify"):
        seal(ledger.store)


def test_the_first_bad_entry_is_named_and_the_others_still_hold(ledger: Ledger) -> None:
    for number in range(5):
        ledger.edits(number, f"Deal {number}")
    ledger.seal()
    ledger.tamper("UPDATE change SET fields = replace(fields, 'Deal 2', 'Deal 9') WHERE rev = 3")
    assert told(verify(ledger.store)) == [
        f"entry 3: change 3 of 2026-11-02 00:00 about record {ledger.records[2]} by ann@example.com was changed after "
        f"it was sealed"]


def test_a_redaction_is_told_and_nothing_of_the_words_or_their_salt_stays(ledger: Ledger) -> None:
    ledger.edits(0, "Secret")
    ledger.edits(1, "Other")
    ledger.seal()
    salts = ledger.rows("SELECT salts FROM seal")[0][0]
    ledger.redacts(1)
    head = ledger.seal()
    assert verify(ledger.store, str(head)).redacted == {
        ("2026-11-02T00:00:02.000Z", "policy:private", "asked to"): 1}
    after = ledger.rows("SELECT salts FROM seal")[0][0]
    assert after[:16] != salts[:16] and after[16:] == salts[16:]
    assert "Secret" not in str(ledger.rows("SELECT fields FROM change UNION ALL SELECT detail FROM journal"))


def test_what_is_redacted_twice_and_what_was_not_sealed_yet_still_verify(ledger: Ledger) -> None:
    ledger.edits(0, "Secret")
    ledger.redacts(1)
    ledger.seal()
    ledger.redacts(1)
    ledger.redacts(1)
    assert verify(ledger.store).ok and verify(ledger.store, str(ledger.seal())).ok


def test_a_row_in_use_is_sealed_once_it_is_settled(ledger: Ledger) -> None:
    ledger.writes("one", settled=False)
    ledger.writes("two")
    assert ledger.seal().number == 1
    assert ledger.seal().number == 1
    assert verify(ledger.store).ok
    ledger.answered(1)
    assert ledger.seal().number == 2
    assert verify(ledger.store).ok
    assert ledger.rows("SELECT low, high FROM seal ORDER BY number") == [(2, 2), (1, 2)]


def test_a_quiet_workspace_is_not_sealed_again_and_nothing_is_written(ledger: Ledger) -> None:
    ledger.edits(0, "Big")
    head = ledger.seal()
    before = ledger.rows("PRAGMA data_version"), ledger.rows("SELECT count(*) FROM seal")
    statements: list[str] = []
    sa.event.listen(ledger.store.engine, "before_cursor_execute",
                    lambda _c, _cur, statement, *_rest: statements.append(statement))
    assert ledger.seal() == head
    assert (ledger.rows("PRAGMA data_version"), ledger.rows("SELECT count(*) FROM seal")) == before
    assert len(statements) == 3 and all(one.startswith("SELECT") for one in statements)


def test_a_backup_verifies_and_a_newer_head_tells_that_it_is_older(ledger: Ledger, tmp_path: Path) -> None:
    ledger.edits(0, "Big")
    old = ledger.seal()
    with ledger.store.engine.connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{tmp_path / 'backup.db'}'")
    ledger.edits(0, "Bigger")
    new = ledger.seal()
    backup = Store.open(tmp_path / "backup.db")
    assert verify(backup, str(old)).ok
    assert [(one.what, str(one)) for one in verify(backup, str(new)).findings] == [("older", (
        "this workspace ends with entry 1, and the head is of entry 2: it is older than what was exported (an old "
        "backup, or a copy), or its end was cut off"))]
    backup.close()
    assert verify(ledger.store, str(old)).ok and verify(ledger.store, old.hash).ok


@pytest.mark.parametrize("head", ["", "12", "5:abc", "x" * 64, f"-1:{'0' * 64}", f"1:{'0' * 64}:2"])
def test_what_is_no_head_is_refused(ledger: Ledger, head: str) -> None:
    with pytest.raises(StoreError, match="no head of an audit trail"):
        verify(ledger.store, head)


def test_two_writers_continue_one_chain_and_a_dead_run_is_sealed_by_the_next(workspace: str | Path) -> None:
    one, two = Ledger(workspace), Ledger(workspace)
    for number in range(3):
        one.run()
        one.edits(0, f"one {number}")
        two.run()
        two.writes(f"two {number}", settled=False)  # this run dies before it is answered
        one.seal()
        two.edits(0, f"two {number}")
        two.seal()
    verdict = verify(one.store)
    assert verdict.ok and verdict.entries == 6
    with one.store.write() as tx:
        tx.connection.execute(t.intent.update().values(state="recovered"))
    head = one.seal()
    assert head.number == 9 and verify(two.store, str(head)).ok
    with one.store.write() as tx:
        tx.connection.execute(t.change.update().where(t.change.c.rev == 4).values(actor="mallory"))
    assert [(one.what, one.id) for one in verify(two.store).findings] == [("changed", 4)]
    one.store.close()
    two.store.close()


def test_many_entries_are_sealed_in_parts_and_one_fault_among_them_is_found(ledger: Ledger) -> None:
    with ledger.store.write() as tx:
        row = {"site": "s", "hlc": "h", "at": "2026-11-02", "actor": "ann", "source": "a", "run": None,
               "entity": "account", "record": "r", "fields": {"name": "Big"}, "base": {}, "reason": None}
        tx.connection.execute(t.change.insert(), [{**row, "rev": rev, "seq": rev} for rev in range(1, 2502)])
    assert ledger.seal().number == 2501
    assert ledger.rows("SELECT count FROM seal ORDER BY number") == [(1000,), (1000,), (501,)]
    assert verify(ledger.store).entries == 2501
    ledger.tamper("UPDATE change SET actor = 'mallory' WHERE rev = 2001")
    assert [(one.what, one.id, one.number) for one in verify(ledger.store).findings] == [("changed", 2001, 2001)]
    assert chain.AT_ONCE == 1000
