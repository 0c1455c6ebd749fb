"""The laws of the lenses over what real systems held: exports of accounts and deals, texts of calendars, describes."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sidefeed.mapping import UNKNOWN, LensError, Mapping
from sidefeed.mapping.lenses import Lens, SameIds, filler_of, reader_of
from tests.mapping.test_laws import lens

REFS = SameIds()


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def column(found: Iterable[dict[str, str]], *names: str) -> set[str]:
    return {row[name] for row in found for name in names if row.get(name)}


def calendar_texts(folder: Path) -> set[str]:
    """The text of every property of every event there, unfolded and unescaped."""
    found: set[str] = set()
    for path in folder.rglob("*.ics"):
        text = re.sub("\r?\n[ \t]", "", path.read_text(encoding="utf-8", errors="replace"))
        found.update(line.partition(":")[2].replace("\\n", "\n").replace("\\,", ",") for line in text.splitlines())
    return found


@pytest.fixture(scope="module")
def real(reference_data: Path) -> dict[str, set[str]]:
    crm = reference_data / "crm"
    accounts, deals = rows(crm / "accounts.csv"), rows(crm / "sales_pipeline.csv")
    files = reference_data / "salesforce" / "csv"
    bulk = [*rows(files / "accounts_quoted_newlines.csv"), *rows(files / "accounts_backquote.csv", "`")]
    return {
        "text": column(accounts, "account", "sector", "subsidiary_of") | column(deals, "sales_agent", "product")
        | column(bulk, *bulk[0]) | calendar_texts(reference_data / "calendars"),
        "number": column(accounts, "revenue", "employees", "year_established") | column(deals, "close_value"),
        "date": column(deals, "engage_date", "close_date"),
        "phone": column(bulk, "PHONE", "FAX"), "url": column(bulk, "WEBSITE"),
        "country": column(accounts, "office_location") | column(bulk, "BILLINGCOUNTRY", "SHIPPINGCOUNTRY"),
        "state": column(bulk, "BILLINGSTATE", "SHIPPINGSTATE"),
    }


LENSES: list[tuple[str, Lens]] = [
    ("text", lens("text", "text", field="F")),
    ("text", lens("text", "text", spec={"lines": "many"}, field="F", max_length=255, too_long="truncate")),
    ("text", lens("rich_text", "text", spec={"lines": "many"}, field="F")),
    ("number", lens("number", "number", field="F", scale=2)),
    ("number", lens("money", "money", amount="F", default_currency="USD", scale=2)),
    ("date", lens("date", "date", field="F")),
    ("date", lens("date", "date", field="F", zone="America/New_York", **{"as": "datetime"})),
    ("phone", lens("phone", "phone", field="F", region="US")),
    ("url", lens("url", "url", field="F")),
    ("country", lens("country", "text", field="F")),
    ("country", lens("country", "text", field="F", **{"as": "code"})),
    ("state", lens("state", "text", field="F", countries=["US", "GB", "FR"])),
]


@pytest.mark.parametrize(("kind", "made"), LENSES, ids=[f"{kind}-{made.name}-{n}" for n, (kind, made) in
                                                       enumerate(LENSES)])
def test_every_lens_keeps_its_laws_over_real_values(kind: str, made: Lens, real: dict[str, set[str]]) -> None:
    crossed = 0
    for told in sorted(real[kind]):
        raw = {"F": told}
        try:
            value = made.read(raw, REFS)
        except LensError as error:
            assert error.message, "a value that cannot cross says why"
            continue
        assert value is not UNKNOWN and reader_of(made)(raw, REFS) == value
        if value is None:
            continue
        sent = made.write(value, REFS)
        filled: dict[str, Any] = {}
        filler_of(made)(value, REFS, filled)
        assert filled == sent
        assert made.read(sent, REFS) == made.image(value), told
        assert made.settled(sent, raw) or made.image(value) != value, told
        crossed += 1
    assert crossed >= 0.9 * len(real[kind]) > 0, "real values are what a lens is for"


@pytest.mark.parametrize(("describe", "field", "mapped"), [
    ("OpportunityContactRole", "Role", "contacts"),
    ("Opportunity", "StageName", "stage"),
    ("Opportunity", "ForecastCategoryName", "forecast_category"),
])
def test_the_default_tables_cover_a_real_organisation(
    describe: str, field: str, mapped: str, reference_data: Path, mapping: Mapping
) -> None:
    path = reference_data / "salesforce" / "describe" / f"{describe}_describe.json"
    (described,) = [one for one in json.loads(path.read_text("utf-8"))["fields"] if one["name"] == field]
    values = {one["value"] for one in described["picklistValues"] if one["active"]}
    table = mapping.of("salesforce", "Opportunity").field(mapped).lens.pairs()
    assert values == {raw for raws in table.values() for raw in raws}
