"""Random frames of deals with small pools, so that every kind of difference meets every other."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pandas as pd

from sidefeed.forecast.frames import DEALS, frame
from sidefeed.forecast.systems import SYSTEM_DEALS

OWNERS = ("o1", "o2", None)
WHY = ("", "", "conflict", "pending write", "stale copy")


def values(chance: Random) -> dict[str, Any]:
    owner = chance.choice(OWNERS)
    stage = chance.choice(("prospecting", "proposal", "won", "lost", None))
    status = stage if stage in ("won", "lost") else "open"
    said = chance.choice(("commit", "best_case", "pipeline", None))
    return {"owner_id": owner, "owner": owner or "nobody", "stage": stage, "status": status,
            "category": {"won": "closed", "lost": "omitted"}.get(status, said or "pipeline"), "said_category": said,
            "close_date": chance.choice((None, *(date(2026, 1, 15) + timedelta(days=45 * n) for n in range(5)))),
            "currency": chance.choice(("EUR", "EUR", "USD", None)),
            "amount": chance.choice((None, Decimal(chance.randrange(-500, 5000)) / 100, Decimal(chance.randrange(9))))}


def changed(row: dict[str, Any], chance: Random) -> dict[str, Any]:
    """The same deal with a few of its fields replaced, consistently."""
    other = values(chance)
    names = chance.choice((["close_date"], ["amount"], ["currency"], ["owner_id", "owner"],
                           ["stage", "status", "category", "said_category"], list(other)))
    return {**row, **{name: other[name] for name in names}}


def here(chance: Random, number: int) -> list[dict[str, Any]]:
    return [{"record": f"r{index}", "name": f"Deal {index}", "account": "Acme", "next_step": None, "created": None,
             "changed": None, "disputed": "", "in_conflict": False, **values(chance)} for index in range(number)]


def there(rows: list[dict[str, Any]], chance: Random) -> list[dict[str, Any]]:
    """A system's view of them: some missing, some different, some twice, and some of its own."""
    found = []
    for index, row in enumerate(rows):
        if chance.random() < 0.2:
            continue
        held = row
        for _ in range(chance.randrange(3)):
            held = changed(held, chance)
        why = {f"why_{name}": chance.choice(WHY) for name in ("stage", "category", "close_date", "owner_id", "currency",
                                                               "amount")}
        said = "stage,category,close_date,owner_id,currency,amount".split(",")
        found.append({**held, **why, "external_id": f"x{index}", "role": "primary",
                      "said": ",".join(name for name in said if chance.random() > 0.1)})
        if chance.random() < 0.2:
            found.append({**changed(row, chance), "external_id": f"d{index}", "role": "duplicate", "said": ""})
    for index in range(chance.randrange(3)):
        found.append({**values(chance), "record": None, "external_id": f"u{index}", "role": "unmatched", "name": "new",
                      "said": ""})
    if chance.random() < 0.3:
        found.append({**values(chance), "record": "gone", "external_id": "g", "role": "primary", "name": "deleted here",
                      "said": ",".join(("stage", "amount"))})
    return found


def frames(chance: Random, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    ours = here(chance, number)
    theirs = there(ours, chance)
    chance.shuffle(ours)
    chance.shuffle(theirs)
    return frame(theirs, SYSTEM_DEALS), frame(ours, DEALS)
