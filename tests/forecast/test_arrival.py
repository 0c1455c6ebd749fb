"""In which order, and in how many pieces, the systems' news arrive makes no difference to any number."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast import Scope, deals_as_of, explain, reconcile, totals
from tests.forecast.office import Office

OPEN = Scope("open")
Numbers = tuple[dict[str, Decimal], dict[tuple[str, str], Decimal], dict[str, Decimal]]


def live(folder: Path, seed: int, arrivals: list[tuple[str, ...]], *, together: bool) -> Numbers:
    """Ten deals in both systems; then people edit some in one system and the rest in the other, and the news arrive."""
    chance = Random(seed)
    office = Office(folder)
    try:
        for number in range(10):
            office.deal(office.a, f"Deal {number}", str(chance.randrange(1, 900)))
        office.sync()
        names = {name: {row.values["Name"]: id for id, row in office.world.systems[name].rows["Deal"].items()}
                 for name in ("a", "b")}
        start = office.store.now()
        for number in range(10):
            system = office.world.systems[chance.choice("ab")]
            deal = names[system.system][f"Deal {number}"]
            system.person_edits("Deal", deal, chance.choice((
                {"Amount": str(chance.randrange(1, 900))}, {"Stage": chance.choice("WL")}, {"Close": "2027-01-31"})))
            if not together:
                office.sync(*arrivals[number % len(arrivals)])
        for systems in arrivals:
            office.sync(*systems)
        office.sync()
        bridges = reconcile(office.store, office.mappings, OPEN)
        steps = explain(office.store, start, office.store.now(), OPEN).steps
        return (totals(deals_as_of(office.store), OPEN),
                {(name, row["step"]): row["amount"] for name, made in bridges.items()
                 for row in made.steps.to_dict("records")},
                {row["step"]: row["amount"] for row in steps.to_dict("records")})
    finally:
        office.store.close()


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_and_the_batches_of_arrival_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    ways = [([("a",), ("b",)], True), ([("b",), ("a",)], True), ([("a", "b")], True), ([("b",), ("a", "b")], False)]
    one, *others = (live(tmp_path_factory.mktemp("way"), seed, arrivals, together=together)
                    for arrivals, together in ways)
    assert all(other == one for other in others)
    assert one[0] and len(one[2]) > 10
