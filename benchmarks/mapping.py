"""What a mapping file costs against code: compiling the defaults, and translating a record.

    python -m benchmarks.mapping [--json FILE]

Each translation stands beside a function written by hand for the same record, which gives the same values.
Figures are of processor time, the best of many rounds, so that a busy machine changes them little.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Any

from sidefeed.mapping import Mapping, load
from sidefeed.mapping.lenses import SameIds

COMPILE_TARGET_MS = 50.0
RATIO_TARGET = 2.0
ROUNDS = 30
RECORDS = 300

DEFAULTS = Path(__file__).resolve().parents[1] / "mappings"
REFS = SameIds()
SALESFORCE_STAGES = {
    "Prospecting": "prospecting", "Qualification": "qualification", "Needs Analysis": "needs_analysis",
    "Value Proposition": "needs_analysis", "Id. Decision Makers": "needs_analysis",
    "Perception Analysis": "needs_analysis", "Proposal/Price Quote": "proposal", "Negotiation/Review": "negotiation",
    "Closed Won": "won", "Closed Lost": "lost",
}  # fmt: skip
CATEGORIES = {"Omitted": "omitted", "Pipeline": "pipeline", "Best Case": "best_case", "Commit": "commit",
              "Closed": "closed"}
STAGES_BACK = {"prospecting": "Prospecting", "qualification": "Qualification", "needs_analysis": "Needs Analysis",
               "proposal": "Proposal/Price Quote", "negotiation": "Negotiation/Review", "won": "Closed Won",
               "lost": "Closed Lost"}
ROLES = {"Business User": "business_user", "Decision Maker": "decision_maker", "Economic Buyer": "economic_buyer",
         "Economic Decision Maker": "economic_decision_maker", "Evaluator": "evaluator",
         "Executive Sponsor": "executive_sponsor", "Influencer": "influencer", "Technical Buyer": "technical_buyer",
         "Other": "other"}
ROLES_BACK = {ours: theirs for theirs, ours in ROLES.items()}
CATEGORIES_BACK = {ours: theirs for theirs, ours in CATEGORIES.items()}


def deals() -> list[dict[str, Any]]:
    """Salesforce opportunities as a page of them arrives."""
    stages, categories = list(SALESFORCE_STAGES), list(CATEGORIES)
    return [{
        "Id": f"006{number:012d}", "Name": f"Pump station {number}", "Amount": f"{1000 + number}.50",
        "CloseDate": f"2027-{number % 12 + 1:02d}-15", "StageName": stages[number % len(stages)],
        "NextStep": "Send the quote" if number % 2 else None, "ForecastCategoryName": categories[number % 5],
        "Probability": str(number % 100), "Description": "Two pumps.\nDelivery in May.", "AccountId": f"001{number}",
        "OwnerId": f"005{number % 7}", "ContactRoles": [f"003{number}", f"Decision Maker:003{number + 1}"],
    } for number in range(RECORDS)]


def _text(raw: Any) -> str | None:
    if raw is None:
        return None
    text = str(raw).replace("\r\n", "\n").strip()
    return text or None


def _line(raw: Any) -> str | None:
    text = _text(raw)
    return " ".join(text.split("\n")) if text else None


def _number(raw: Any) -> str | None:
    if raw is None or raw == "":
        return None
    written = format(Decimal(str(raw)), "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _people(raw: list[str], roles: dict[str, str], lookup: Callable[[str, str], str | None]) -> list[str]:
    """People in their roles, under the ids and role names of the other side, each listed once."""
    people = set()
    for each in raw:
        role, _, person = each.rpartition(":")
        people.add(f"{roles[role]}:{lookup('contact', person)}" if role else str(lookup("contact", person)))
    return sorted(people - {each.rpartition(":")[2] for each in people if ":" in each})


def read_by_hand(raw: dict[str, Any]) -> dict[str, Any]:
    """A Salesforce opportunity as the workspace holds it."""
    amount, stage = _number(raw["Amount"]), raw["StageName"]
    return {
        "name": _line(raw["Name"]), "money": None if amount is None else {"amount": amount, "currency": "USD"},
        "close_date": raw["CloseDate"] or None, "stage": SALESFORCE_STAGES[stage] if stage else None,
        "next_step": _line(raw["NextStep"]), "forecast_category": CATEGORIES[raw["ForecastCategoryName"]],
        "probability": _number(raw["Probability"]), "description": _text(raw["Description"]),
        "account": REFS.record("account", raw["AccountId"]), "owner": REFS.record("user", raw["OwnerId"]),
        "contacts": _people(raw["ContactRoles"], ROLES, REFS.record) or None,
    }


def write_by_hand(values: dict[str, Any]) -> dict[str, Any]:
    """What Salesforce is sent for it."""
    name, step, description = _line(values["name"]), _line(values["next_step"]), _text(values["description"])
    for text, limit in ((name, 120), (step, 255), (description, 32000)):
        if text is not None and len(text) > limit:
            raise ValueError(f"{text!r} is too long")
    money = values["money"]
    if money is not None and money["currency"] != "USD":
        raise ValueError("another currency")
    amount = _number(money["amount"]) if money else None
    if amount is not None and len(amount.partition(".")[2]) > 2:
        raise ValueError("too precise")
    return {
        "Name": name, "Amount": amount, "CloseDate": values["close_date"], "StageName": STAGES_BACK[values["stage"]],
        "NextStep": step, "ForecastCategoryName": CATEGORIES_BACK[values["forecast_category"]],
        "Description": description, "AccountId": REFS.external("account", values["account"]),
        "OwnerId": REFS.external("user", values["owner"]),
        "ContactRoles": _people(values["contacts"] or [], ROLES_BACK, REFS.external),
    }


def measure() -> dict[str, float]:
    """The figures: milliseconds to compile, and how many times the hand-written function a translation takes."""
    load(DEFAULTS)
    compiled = min(_timed(lambda: load(DEFAULTS)) for _ in range(5))
    mapping = load(DEFAULTS)
    return {"compile_ms": round(compiled * 1000, 1), **_ratios(mapping)}


def _ratios(mapping: Mapping) -> dict[str, float]:
    om = mapping.of("salesforce", "Opportunity")
    raws = deals()
    records = [om.read(raw, REFS)[0] for raw in raws]
    names = [each.name for each in om.fields]
    assert records == [read_by_hand(raw) for raw in raws], "both must give the same values"
    assert [om.write(one, names, REFS)[0] for one in records] == [write_by_hand(one) for one in records]
    return {
        "read_ratio": _ratio(lambda: [om.read(raw, REFS) for raw in raws], lambda: [read_by_hand(raw) for raw in raws]),
        "write_ratio": _ratio(lambda: [om.write(one, names, REFS) for one in records],
                              lambda: [write_by_hand(one) for one in records]),
    }


def _ratio(mapped: Callable[[], Any], by_hand: Callable[[], Any]) -> float:
    ours = theirs = float("inf")
    for _ in range(ROUNDS):
        ours, theirs = min(ours, _timed(mapped)), min(theirs, _timed(by_hand))
    return round(ours / theirs, 2)


def _timed(what: Callable[[], Any]) -> float:
    start = process_time()
    what()
    return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    found = measure()
    targets = {"compile_ms": COMPILE_TARGET_MS, "read_ratio": RATIO_TARGET, "write_ratio": RATIO_TARGET}
    for name, value in found.items():
        print(f"{name:12} {value:8.2f}   target <= {targets[name]}")
    if told.json:
        told.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
