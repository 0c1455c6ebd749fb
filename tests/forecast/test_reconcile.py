"""The bridge over a real workspace, after real syncs: each cause in its step, with who wrote what, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast import Bridge, Scope, ScopeError, deals_as_of, reconcile, totals
from sidefeed.forecast.frames import to_bytes, total
from sidefeed.workspace import Draft
from tests.forecast.office import Office

EVERYTHING = Scope("open")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


def steps(found: Bridge) -> dict[str, Decimal]:
    return {row["step"]: row["amount"] for row in found.steps.to_dict("records") if row["amount"]}


def test_systems_in_agreement_have_an_empty_bridge(office: Office) -> None:
    office.deal(office.a, "Pump", "100.10")
    office.sync()
    for system, found in reconcile(office.store, office.mappings, EVERYTHING).items():
        assert steps(found) == {f"{system} total": Decimal("100.10"), "reconciled total": Decimal("100.10")}
        assert found.deals.empty


def test_a_newer_value_here_is_a_pending_write(office: Office) -> None:
    deal = office.deal(office.a, "Pump", "100")
    office.sync()
    office.a.person_edits("Deal", deal, {"Amount": "130"}, actor="ann")
    office.sync("a")
    found = reconcile(office.store, office.mappings, EVERYTHING)["b"]
    assert steps(found) == {"b total": 100, "pending write": 30, "reconciled total": 130}
    row = found.deals.iloc[0]
    assert (row["there"], row["here"], row["source"], row["actor"], row["age_days"]) == (
        Decimal(100), Decimal(130), "a", "ann", 0)


def test_a_system_that_is_only_read_keeps_stale_copies(tmp_path: Path) -> None:
    office = Office(tmp_path, readonly_b=True)
    deal = office.deal(office.a, "Pump", "100")
    office.deal(office.b, "Pump", "100")
    office.sync()
    office.a.person_edits("Deal", deal, {"Amount": "130"})
    office.sync()
    found = reconcile(office.store, office.mappings, EVERYTHING)["b"]
    assert steps(found) == {"b total": 100, "stale copy": 30, "reconciled total": 130}
    assert "not written to b" in found.deals["note"].iloc[0]
    office.store.close()


def test_a_refused_write_is_a_stale_copy_with_its_reason(office: Office) -> None:
    deal = office.deal(office.a, "Pump", "100")
    office.sync()
    office.b.refuse = lambda _object, write: "Amount" if "Amount" in write.values else None
    office.a.person_edits("Deal", deal, {"Amount": "130"})
    office.sync()
    found = reconcile(office.store, office.mappings, EVERYTHING)["b"]
    assert steps(found) == {"b total": 100, "stale copy": 30, "reconciled total": 130}
    assert found.deals["note"].tolist() == ["b refused money"]


def test_a_dispute_is_a_conflict_in_the_bridge_of_the_other_system(office: Office) -> None:
    deal = office.deal(office.a, "Pump", "100")
    office.sync()
    other = next(iter(office.b.rows["Deal"]))
    office.a.person_edits("Deal", deal, {"Amount": "130"})
    office.b.person_edits("Deal", other, {"Amount": "90"})
    office.sync()
    found = reconcile(office.store, office.mappings, EVERYTHING)
    assert "conflict" not in steps(found["a"])
    assert steps(found["b"]) == {"b total": 90, "conflict": 40, "reconciled total": 130}


def test_duplicates_are_counted_by_the_system_and_not_by_us(office: Office) -> None:
    office.deal(office.a, "Pump", "100")
    office.sync()
    kept = next(iter(office.a.rows["Deal"]))
    with office.store.read() as tx:
        record = tx.known_as("a", "Deal", [kept])[kept][0]
    second = office.deal(office.a, "Pump again", "40")
    office.sync("a")
    with office.store.read() as tx:
        other = tx.known_as("a", "Deal", [second])[second][0]
    with office.store.write() as tx:  # a person says that both are one deal
        tx.remember("a", "Deal", second, "opportunity", record, "duplicate")
        link = tx.links("a", "Deal", [other])[other]
        link.state = "detached"
        tx.save_link(link)
        tx.append([Draft("opportunity", other, {"_deleted": True}, "ops", "workspace", reason=f"merged into {record}")])
        tx.mark_merged(other, record)
    found = reconcile(office.store, office.mappings, EVERYTHING)["a"]
    assert steps(found) == {"a total": 140, "duplicates": -40, "reconciled total": 100}


def test_a_duplicate_seen_by_a_sync_keeps_its_own_values(office: Office) -> None:
    office.deal(office.a, "Pump", "100")
    office.sync()
    with office.store.write() as tx:
        (record,) = tx.linked("a", "Deal")
        tx.remember("a", "Deal", "aD0002", "opportunity", record, "duplicate")
    office.deal(office.a, "Pump", "60")
    office.sync("a")
    found = reconcile(office.store, office.mappings, EVERYTHING)["a"]
    assert steps(found) == {"a total": 160, "duplicates": -60, "reconciled total": 100}


def test_what_waits_for_a_person_is_only_there(office: Office) -> None:
    office.deal(office.a, "Pump", "100")
    office.sync("a")
    office.deal(office.b, "Pump", "100")
    office.deal(office.b, "Pump", "100")
    office.sync("b")
    found = reconcile(office.store, office.mappings, EVERYTHING)["b"]
    assert steps(found) == {"b total": 200, "only there": -200, "only here": 100, "reconciled total": 100}
    assert all("a person to match it" in note for note in found.deals["note"].dropna())


def test_deleted_here_and_kept_there_is_only_there(office: Office) -> None:
    office.deal(office.a, "Pump", "100")
    office.sync()
    with office.store.write() as tx:
        (record,) = tx.linked("a", "Deal")
        tx.append([Draft("opportunity", record, {"_deleted": True}, "ann", "workspace")])
    assert steps(reconcile(office.store, office.mappings, EVERYTHING)["a"]) == {"a total": 100, "only there": -100}


def test_a_system_without_deals_is_refused_by_name(office: Office) -> None:
    with pytest.raises(ScopeError, match="choose from a, b"):
        reconcile(office.store, office.mappings, EVERYTHING, ["c"])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_bridges_of_random_histories_sum_to_the_reconciled_total(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = Random(seed)
    office = Office(tmp_path_factory.mktemp("world"), readonly_b=chance.random() < 0.3)
    try:
        for _ in range(chance.randrange(4, 16)):
            _act(office, chance)
        for measure in ("open", "won", "all"):
            scope = Scope(measure)
            ours = totals(deals_as_of(office.store), scope)
            for found in reconcile(office.store, office.mappings, scope).values():
                for currency, part in found.steps.groupby("currency"):
                    amounts = part["amount"].tolist()
                    assert total(amounts[:-1]) == amounts[-1] == ours.get(str(currency), Decimal(0))
    finally:
        office.store.close()


def _act_apart(office: Office, chance: Random, token: int) -> None:
    """An edit that nobody makes alike in the other system."""
    system = chance.choice([office.a, office.b])
    live = sorted(system.live("Deal"))
    if not live or chance.random() < 0.3:
        office.deal(system, f"Deal {token}", str(token), currency=chance.choice(["EUR", "USD"]))
    elif chance.random() < 0.2:
        system.person_deletes("Deal", chance.choice(live))
    else:
        system.person_edits("Deal", chance.choice(live), chance.choice(
            [{"Amount": str(token)}, {"Close": f"2026-12-{token % 28 + 1:02d}"}, {"Amount": str(token), "Stage": "P"}]))
    if chance.random() < 0.3:
        office.sync(system.system)
    office.world.tick += 5


def _act(office: Office, chance: Random) -> None:
    system = chance.choice([office.a, office.b])
    live = sorted(system.live("Deal"))
    actions: list[Callable[[], object]] = [
        lambda: office.deal(system, f"Deal {chance.randrange(4)}", str(chance.randrange(1, 900)),
                            currency=chance.choice(["EUR", "USD"])),
        lambda: office.sync(), lambda: office.sync(system.system)]
    if live:
        id = chance.choice(live)
        actions += [
            lambda: system.person_edits("Deal", id, {"Amount": str(chance.randrange(1, 900))}),
            lambda: system.person_edits("Deal", id, {"Stage": chance.choice("PWL")}),
            lambda: system.person_deletes("Deal", id)]
    chance.choice(actions)()
    office.world.tick += chance.randrange(5)


def test_a_past_bridge_says_what_each_system_held_then(tmp_path: Path) -> None:
    office = Office(tmp_path, deletes="propagate")
    deal = office.deal(office.a, "Pump", "100")
    office.deal(office.a, "Valve", "40")
    office.sync()
    office.a.person_edits("Deal", deal, {"Amount": "130"}, actor="ann")
    office.sync("a")
    then = office.store.now()
    reported = reconcile(office.store, office.mappings, EVERYTHING)["b"]
    assert steps(reported) == {"b total": 140, "pending write": 30, "reconciled total": 170}
    office.world.tick += 1000
    office.sync()
    office.a.person_deletes("Deal", deal)
    office.sync()
    assert steps(reconcile(office.store, office.mappings, EVERYTHING)["b"]) == {"b total": 40, "reconciled total": 40}
    past = reconcile(office.store, office.mappings, EVERYTHING, moment=then)["b"]
    assert to_bytes(past.steps) == to_bytes(reported.steps)
    assert to_bytes(past.deals) == to_bytes(reported.deals)
    office.store.close()


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_past_bridge_is_the_one_that_was_reported(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """And asked for again, whatever has arrived since, it is the same to the byte."""
    chance = Random(seed)
    office = Office(tmp_path_factory.mktemp("world"), readonly_b=chance.random() < 0.3, deletes="propagate")
    try:
        told, past, tokens = [], [], iter(range(1, 1000))
        for _ in range(chance.randrange(3, 8)):
            for _ in range(chance.randrange(1, 4)):
                _act_apart(office, chance, next(tokens))
            if chance.random() < 0.5:
                office.sync()
            moment = office.store.now()
            told.append((moment, {system: to_bytes(found.steps) for system, found in reconcile(
                office.store, office.mappings, EVERYTHING).items()}))
            past.append({system: to_bytes(found.deals) for system, found in reconcile(
                office.store, office.mappings, EVERYTHING, moment=moment).items()})
        for (moment, reported), before in zip(told, past, strict=True):
            again = reconcile(office.store, office.mappings, EVERYTHING, moment=moment)
            assert {system: to_bytes(found.steps) for system, found in again.items()} == reported
            assert {system: to_bytes(found.deals) for system, found in again.items()} == before
    finally:
        office.store.close()
