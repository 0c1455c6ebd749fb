"""One discrepancy of each kind, planted through the real APIs in an organisation whose systems agree.

What people meant stays the truth of `organisation`; what each bridge has to say of it is written down here, by step,
with the deals it is about. HubSpot is made read-only for what is decided against it at the end, as an operations
engineer does who trusts Salesforce more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sidefeed.project import Project
from sidefeed.workspace.report import decide_conflict
from tests.forecast.organisation import QUARTER, Organisation, Truth

READ_ONLY = (("amount: amount, currency: deal_currency_code}", "amount: amount, currency: deal_currency_code, "
                                                               "direction: read}"),
             ('field: closedate, as: datetime, at: "12:00", zone: UTC}',
              'field: closedate, as: datetime, at: "12:00", zone: UTC, direction: read}'),
             ("field: hs_manual_forecast_category", "field: hs_manual_forecast_category\n        direction: read"))
BEYOND = QUARTER[1] + timedelta(days=1)


@dataclass
class Planted:
    """``steps``: (system, which number) -> step -> what it adds or takes. The numbers are ``open`` and ``commit`` of
    the quarter, and ``bob``: the open one of one rep. ``deals``: step -> names, for HubSpot."""

    steps: dict[tuple[str, str], dict[str, Decimal]] = field(default_factory=dict)
    deals: dict[str, set[str]] = field(default_factory=dict)

    def add(self, step: str, amount: Decimal, deal: Truth, *, system: str = "hubspot", number: str = "open") -> None:
        steps = self.steps.setdefault((system, number), {})
        steps[step] = steps.get(step, Decimal(0)) + amount
        if system == "hubspot":
            self.deals.setdefault(step, set()).add(deal.name)


def plant(made: Organisation) -> Planted:
    """Everything that can differ, once; gives what the bridges have to say of it."""
    planted = Planted()
    _twice_typed(made, planted)
    _unknown_stage(made, planted)
    _too_fine(made, planted)
    deals = {what: _deal(made) for what in ("amount", "currency", "date or zone", "owner", "category", "conflict",
                                            "stale copy", "pending write")}
    made.sync()
    made.learn_ids()
    _trust_salesforce(made)
    for what in ("amount", "currency", "date or zone", "owner", "category"):
        _decided_against(made, what, deals[what], planted)
    _stale(made, deals["stale copy"], planted)
    _disputed(made, deals["conflict"], planted)
    _waiting_for_a_person(made, planted)
    _pending(made, deals["pending write"], planted)
    _only_here(made, planted)
    return planted


def _deal(made: Organisation, **values: Any) -> Truth:
    """Another deal of Ann's, in the quarter."""
    deal = made.begin(len(made.deals))
    for name, value in {"owner": "Ann", "close": QUARTER[0] + timedelta(days=len(made.deals) % 20), **values}.items():
        setattr(deal, name, value)
    made.write(deal)
    return deal


def _twice_typed(made: Organisation, planted: Planted) -> None:
    """One deal under two names, in both systems; HubSpot merges them, and Salesforce cannot."""
    from hubspot.crm.deals import PublicMergeInput

    kept = _deal(made)
    twin = _deal(made, amount=kept.amount, close=kept.close, account=kept.account)
    made.sync()
    made.learn_ids()
    made.hs.crm.deals.basic_api.merge(public_merge_input=PublicMergeInput(
        primary_object_id=kept.ids["hubspot"], object_id_to_merge=twin.ids["hubspot"]))
    twin.status = "merged"
    made.sync()
    planted.add("duplicates", -twin.amount, twin, system="salesforce")


def _unknown_stage(made: Organisation, planted: Planted) -> None:
    """A won deal that somebody moves to a stage which no mapping knows: HubSpot counts it as open."""
    deal = _deal(made)
    made.sync()
    made.learn_ids()
    deal.status = "won"
    made.write(deal, "salesforce")
    made.sync()
    stage = made.hs.crm.pipelines.pipeline_stages_api.create("deals", "default", pipeline_stage_input={
        "label": "In limbo", "displayOrder": 9, "metadata": {"probability": "0.5", "isClosed": "false"}})
    made.type("hubspot", deal, dealstage=stage.id)
    made.sync()
    planted.add("stage map", -deal.amount, deal)


def _too_fine(made: Organisation, planted: Planted) -> None:
    """An amount with a tenth of a cent, which the mapping of Salesforce cannot express: it keeps the older one."""
    deal = _deal(made)
    made.sync()
    made.learn_ids()
    old, deal.amount = deal.amount, Decimal("512.347")
    made.write(deal, "hubspot")
    made.sync()
    planted.add("stale copy", deal.amount - old, deal, system="salesforce")


def _trust_salesforce(made: Organisation) -> None:
    """From now on HubSpot's amounts, dates, categories and owners are only read."""
    file = made.folder / "mappings" / "hubspot.yaml"
    before, deals = file.read_text(encoding="utf-8").split("\n  deals:\n")
    for old, new in (*READ_ONLY, ("owner: hubspot_owner_id", "owner: {field: hubspot_owner_id, direction: read}")):
        assert old in deals
        deals = deals.replace(old, new, 1)
    file.write_text(f"{before}\n  deals:\n{deals}", encoding="utf-8")
    made.project.close()
    made.project = Project.load(made.folder, environment={})
    with made.project.engine() as engine:
        engine.sync(approve=True, confirm_mapping=True)


def _decided_against(made: Organisation, what: str, deal: Truth, planted: Planted) -> None:
    """Two people say different things, and a third decides for Salesforce, or the policy of the field does."""
    old = deal.amount
    if what == "amount":
        deal.amount = old + 20
        made.type("salesforce", deal, Amount=float(deal.amount))
        made.type("hubspot", deal, amount=str(old - 5))
        planted.add(what, Decimal(25), deal)
    elif what == "currency":
        deal.amount = old + 7
        made.type("salesforce", deal, Amount=float(deal.amount))
        made.type("hubspot", deal, amount=str(deal.amount), deal_currency_code="EUR")
        planted.add(what, deal.amount, deal)
    elif what == "date or zone":
        # Typed late on the last evening of the quarter in New York: by HubSpot's clock that is the day after.
        deal.close = QUARTER[1]
        made.type("salesforce", deal, CloseDate=deal.close.isoformat())
        made.type("hubspot", deal, closedate=f"{BEYOND}T03:00:00Z")
        planted.add(what, deal.amount, deal)
    elif what == "owner":
        deal.owner = "Bob"
        made.type("salesforce", deal, OwnerId=made.users["Bob"]["salesforce"])
        made.type("hubspot", deal, hubspot_owner_id=made.users["Cara"]["hubspot"])
        planted.add(what, deal.amount, deal, number="bob")
    else:
        made.type("salesforce", deal, ForecastCategoryName="Commit")
        made.type("hubspot", deal, hs_manual_forecast_category="BEST_CASE")
        planted.add(what, deal.amount, deal, number="commit")
    made.sync("salesforce")
    made.sync("hubspot")
    if what != "owner":  # its policy prefers Salesforce
        name = {"amount": "money", "currency": "money", "date or zone": "close_date", "category": "forecast_category"}
        decide_conflict(made.project.store(), made.record_of(deal), name[what], system="salesforce", actor="ops")


def _stale(made: Organisation, deal: Truth, planted: Planted) -> None:
    """A newer amount that nothing writes to HubSpot any more."""
    deal.amount += Decimal("40.04")
    made.type("salesforce", deal, Amount=float(deal.amount))
    made.sync("salesforce")
    planted.add("stale copy", Decimal("40.04"), deal)


def _disputed(made: Organisation, deal: Truth, planted: Planted) -> None:
    """Two people say different amounts, and nobody has decided."""
    there, deal.amount = deal.amount - Decimal("0.01"), deal.amount + 100
    made.type("salesforce", deal, Amount=float(deal.amount))
    made.type("hubspot", deal, amount=str(there))
    made.sync("salesforce")
    made.sync("hubspot")
    planted.add("conflict", deal.amount - there, deal)


def _pending(made: Organisation, deal: Truth, planted: Planted) -> None:
    """Won in Salesforce a moment ago; the next sync tells HubSpot."""
    deal.status = "won"
    made.type("salesforce", deal, StageName="Closed Won")
    made.sync("salesforce")
    planted.add("pending write", -deal.amount, deal)


def _waiting_for_a_person(made: Organisation, planted: Planted) -> None:
    """Typed twice into HubSpot under the name of one deal: a person has to say which of them it is."""
    deal = Truth("Asked", "Ann", "Customer 1", Decimal("333.33"), QUARTER[1])
    company = next(one.id for one in made.hs.crm.companies.get_all(properties=["name"])
                   if one.properties["name"] == deal.account)
    made.write(deal, "salesforce")
    made.deals.append(deal)
    made.sync("salesforce")
    for _copy in range(2):
        made.hs.crm.deals.basic_api.create({
            "properties": {"dealname": deal.name, "amount": str(deal.amount), "pipeline": "default",
                           "dealstage": "decisionmakerboughtin", "closedate": f"{deal.close}T12:00:00Z",
                           "hubspot_owner_id": made.users["Ann"]["hubspot"]},
            "associations": [{"to": {"id": company}, "types": [
                {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 5}]}]})
    made.sync("hubspot")
    planted.add("only there", -2 * deal.amount, deal)
    planted.add("only here", deal.amount, deal)


def _only_here(made: Organisation, planted: Planted) -> None:
    """Known from Salesforce, and not yet in HubSpot."""
    late = Truth("Late deal", "Ann", "Customer 0", Decimal("777.77"), QUARTER[1])
    made.write(late, "salesforce")
    made.deals.append(late)
    made.sync("salesforce")
    planted.add("only here", late.amount, late)
