"""A sales organisation with known truth, typed into both CRMs through their own SDKs: every number is the true one, every
move and every planted discrepancy is in its step, to the cent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest

from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.forecast import (
    Bridge,
    Period,
    Scope,
    deals_as_of,
    explain,
    forecast,
    reconcile,
    submit,
    to_bytes,
    totals,
    view,
)
from sidefeed.forecast.bridge import STEPS
from sidefeed.forecast.hierarchy import People, import_memberships
from sidefeed.workspace import Store
from tests.forecast.organisation import BIAS, QUARTER, TEAMS, Organisation, Round
from tests.forecast.planting import Planted, plant

pytestmark = pytest.mark.slow

OPEN = Scope("open", *QUARTER)
PERIOD = Period("2027-Q1", *QUARTER)


@dataclass
class Lived:
    organisation: Organisation
    store: Store
    rounds: list[Round]
    planted: Planted
    before: dict[str, dict[str, Decimal]]


@pytest.fixture(scope="module", params=[1, 2])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        made = Organisation(tmp_path_factory.mktemp("organisation"), salesforce, hubspot, request.param)
        for number in range(12):
            made.begin(number)
        store = made.project.store()
        rounds = []
        for number in range(4):
            rounds.append(made.round())
            rounds[-1].reported = to_bytes(deals_as_of(store))
            if number == 0:
                reorganise(store, TEAMS)
            with store.write() as tx:
                for team, people in TEAMS.items():
                    submit(tx, node=team, period=PERIOD, currency="USD", actor=team.lower(), measure="open",
                           amount=made.total(*people) * BIAS[team])
        lived = Lived(made, store, rounds, Planted(), {})
        lived.before = {system: differences(bridged(lived, system, "open")) for system in ("salesforce", "hubspot")}
        lived.planted = plant(made)
        yield lived
        store.close()
        made.project.close()


def reorganise(store: Store, teams: dict[str, tuple[str, ...]]) -> None:
    with store.write() as tx:
        import_memberships(tx, [{"team": team, "member": f"{name} Rep"} for team, names in teams.items()
                                for name in names], "ops")


def bridged(lived: Lived, system: str, number: str) -> Bridge:
    owners = None
    if number == "bob":
        with lived.store.read() as tx:
            owners = frozenset({str(People(tx).find("Bob Rep"))})
    scope = Scope("commit" if number == "commit" else "open", *QUARTER, owners)
    return reconcile(lived.store, lived.organisation.project.mappings(), scope, [system])[system]


def differences(found: Bridge) -> dict[str, Decimal]:
    """What each step adds to, or takes from, the number in dollars."""
    return {row["step"]: row["amount"] for row in found.steps.to_dict("records")
            if row["currency"] == "USD" and row["amount"] and row["step"] in STEPS}


def test_the_reconciled_total_is_the_truth(lived: Lived) -> None:
    for one in lived.rounds:
        assert totals(deals_as_of(lived.store, one.moment), OPEN) == {"USD": one.total}
    assert totals(deals_as_of(lived.store), OPEN) == {"USD": lived.organisation.total()}


def test_any_round_is_rebuilt_as_it_was_reported(lived: Lived) -> None:
    for one in lived.rounds:
        assert to_bytes(deals_as_of(lived.store, one.moment)) == one.reported


def test_every_move_is_in_its_step(lived: Lived) -> None:
    for one, other in zip(lived.rounds, lived.rounds[1:], strict=False):
        steps = explain(lived.store, one.moment, other.moment, OPEN).steps
        assert {row["step"]: row["amount"] for row in steps.to_dict("records")
                if row["amount"] and row["step"] not in ("start", "end")} == other.moved


def test_systems_that_were_synchronised_agree(lived: Lived) -> None:
    assert lived.before == {"salesforce": {}, "hubspot": {}}
    for one in lived.rounds:
        for found in reconcile(lived.store, lived.organisation.project.mappings(), OPEN, moment=one.moment).values():
            assert differences(found) == {}
            assert found.steps["amount"].tolist()[-1] == one.total


def test_each_planted_difference_is_in_its_step_to_the_cent_and_nothing_else_is(lived: Lived) -> None:
    told = set()
    for (system, number), steps in lived.planted.steps.items():
        assert differences(bridged(lived, system, number)) == steps, (system, number)
        told |= steps.keys()
    assert told == set(STEPS), "a step of the bridge that nothing was planted for"


def test_each_step_lists_the_deals_that_were_planted_in_it(lived: Lived) -> None:
    for step, names in lived.planted.deals.items():
        number = {"category": "commit", "owner": "bob"}.get(step, "open")
        listed = bridged(lived, "hubspot", number).deals
        assert set(listed[listed["step"] == step]["name"]) == names, step


def test_a_dispute_leaves_a_range_and_names_its_deal(lived: Lived) -> None:
    with lived.store.read() as tx:
        about = view(tx, measure="open", period="2027-Q1")
    found = forecast(lived.store, lived.organisation.project.mappings(), about)
    row = found.stamp.range.iloc[0]
    assert (row["deals"], row["high"], row["high"] - row["low"]) == (1, lived.organisation.total(),
                                                                    lived.planted.steps["hubspot", "open"]["conflict"])


def test_submissions_stand_beside_the_truth_with_their_bias(lived: Lived) -> None:
    last = lived.rounds[-1]
    with lived.store.read() as tx:
        about = view(tx, measure="open", period="2027-Q1").at(lived.organisation.project.now())
        people = People(tx)
    found = forecast(lived.store, lived.organisation.project.mappings(), about)
    rows = {row["node"]: row for row in found.nodes.to_dict("records")}
    for team, names in TEAMS.items():
        assert rows[team]["open"] == lived.organisation.total(*names)
        assert {people.name(child) for child in rows if rows[child]["parent"] == team} <= {f"{name} Rep" for name in names}
    assert last.total == sum((row["open"] for row in forecast(
        lived.store, lived.organisation.project.mappings(), about.at(last.moment)).nodes.to_dict("records")
        if row["kind"] == "team"), Decimal(0))


def test_moving_a_rep_moves_the_open_deals_and_no_history(lived: Lived) -> None:
    """Ann goes to South: North's number falls by hers from that moment, and no report before it changes."""
    made, store = lived.organisation, lived.store
    with store.read() as tx:
        north = view(tx, measure="open", period="2027-Q1", node="North")
        reported = north.at(lived.rounds[-1].moment)
        before = forecast(store, made.project.mappings(), reported).number
    start = made.project.now()
    reorganise(store, {"North": ("Bob",), "South": ("Ann", "Cara", "Dev")})
    try:
        with store.read() as tx:
            now = north.at(made.project.now())
            scopes = now.scopes(tx, start)
        found = explain(store, start, made.project.now(), scopes)
        moved = {row["step"]: row["amount"] for row in found.steps.to_dict("records") if row["amount"]}
        assert moved.get("owner out", Decimal(0)) == -made.total("Ann")
        assert moved.get("end", Decimal(0)) == made.total("Bob")
        assert forecast(store, made.project.mappings(), reported).number == before
    finally:
        reorganise(store, TEAMS)
