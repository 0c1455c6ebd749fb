"""What a forecast of a million deals costs, beside a plain pandas merge of the same size.

    python -m benchmarks.forecast [--deals 1000000] [--rounds 3] [--json FILE]

CPU seconds of this process, the least of the rounds; only the ratios of one run mean anything. The plain merge does
less: it joins two frames on an id, in floats, and sums a difference by owner, quarter and category; it explains
nothing, and its sums are not exact. What the roll-up gives is checked against exact sums before its time counts.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from sidefeed.forecast import DEALS, SYSTEM_DEALS, Hierarchy, Scope, bridge, frame, rollup, totals, waterfall
from sidefeed.forecast.frames import deals_in, total
from sidefeed.forecast.rollup import Cells

OWNERS = [f"owner-{number}" for number in range(200)]
TREE = Hierarchy({**{owner: f"team-{number % 20}" for number, owner in enumerate(OWNERS)},
                  **{f"team-{number}": f"area-{number % 4}" for number in range(20)}}, frozenset(OWNERS))
QUARTER = Scope("open", date(2026, 1, 1), date(2026, 3, 31))
TARGETS = {"roll-up": 1 / 3, "500 changes": 1 / 100}
"""The most that each may cost: the roll-up of the plain merge, 500 changes of the whole roll-up."""


def main() -> int:
    """Run and print; 1 if a target is missed."""
    options = _options()
    here, there, later = _deals(options.deals)
    plain_here, plain_there = _floats(here), _floats(there)
    tree = rollup(here, QUARTER, TREE)
    assert total(tree.loc[tree["node"] == "everyone", "open"]) == total(totals(here, QUARTER).values())
    cells = Cells.of(here, QUARTER)
    moved = list(zip(list(deals_in(here.head(500))), list(deals_in(later.head(500))), strict=True))
    work: dict[str, Callable[[], Any]] = {
        "plain pandas merge": lambda: _plain(plain_here, plain_there),
        "roll-up": lambda: rollup(here, QUARTER, TREE),
        "bridge": lambda: bridge(there, here, QUARTER),
        "waterfall": lambda: waterfall(here, later, QUARTER),
        "500 changes": lambda: [cells.move(before, after) for before, after in moved],
    }
    least = {name: min(_cpu(one) for _ in range(options.rounds)) for name, one in work.items()}
    whole = {**dict.fromkeys(("roll-up", "bridge", "waterfall"), least["plain pandas merge"]),
             "500 changes": least["roll-up"]}
    missed = []
    for name, seconds in least.items():
        line = f"{name:<20} {seconds:>9.4f} CPU-s"
        if name in whole:
            share = seconds / whole[name]
            line += f"   {share:.4f} of the {'roll-up' if name == '500 changes' else 'merge'}"
        if name in TARGETS:
            line += f", target {TARGETS[name]:.4f}"
            missed += [name] if share > TARGETS[name] else []
        print(line)
    print(f"{options.deals:,} deals; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most; "
          + (f"missed: {', '.join(missed)}" if missed else "targets held"))
    if options.json:
        options.json.write_text(json.dumps({"deals": options.deals, "cpu_seconds": least, "missed": missed}, indent=2))
    return 1 if missed else 0


def _deals(number: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Ours; a system's, of which one in a hundred differs; and ours a week later, with as many moves."""
    chance = random.Random(1)
    days = [date(2026, 1, 1) + timedelta(days=day) for day in range(365)]
    here, there, later = [], [], []
    for index in range(number):
        row = {"record": f"r{index}", "name": f"Deal {index}", "account": "Acme", "owner_id": OWNERS[index % 200],
               "owner": OWNERS[index % 200], "stage": "proposal", "status": "open",
               "category": ("pipeline", "best_case", "commit")[index % 3], "close_date": days[index % 365],
               "currency": "EUR", "amount": Decimal(chance.randrange(100, 10_000_000)) / 100, "disputed": "",
               "in_conflict": False}
        other = {**row, "amount": row["amount"] + 1} if index % 100 == 0 else row
        here.append(row)
        there.append({**other, "external_id": f"x{index}", "role": "primary"})
        later.append(other)
    return frame(here, DEALS), frame(there, SYSTEM_DEALS).drop(columns="said"), frame(later, DEALS)


def _floats(table: pd.DataFrame) -> pd.DataFrame:
    plain = table[["record", "owner", "category", "close_date"]].copy()
    plain["amount"] = table["amount"].astype(float)
    return plain


def _plain(here: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    merged = here.merge(there, on="record", how="outer", suffixes=("", "_there"))
    merged["difference"] = merged["amount"] - merged["amount_there"]
    merged["quarter"] = merged["close_date"].dt.quarter
    return merged.groupby(["owner", "quarter", "category"], as_index=False)[["amount", "difference"]].sum()


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
