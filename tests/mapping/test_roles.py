"""The people of a deal and the roles they have there, between Salesforce's contact roles and HubSpot's labels."""

from __future__ import annotations

from typing import Any

import pytest
from hubspot import HubSpot

from tests.test_command_line import Desk, desk  # noqa: F401 - a fixture

ROW = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}


class Deal:
    """One deal in both CRMs with Ann and Ben, and what each CRM says of them."""

    def __init__(self, at: Desk, **roles: str | None) -> None:
        self.desk = at
        self.api = HubSpot(access_token=at.settings["hubspot"]["access_token"], host=at.hubspot.url)
        self.contacts = {name: at.sf("Contact", LastName=name, Email=f"{name.lower()}@acme.example")
                         for name in ("Ann", "Ben")}
        self.id = at.sf("Opportunity", Name="Pumps", StageName="Prospecting", CloseDate="2027-01-15")
        for name, role in roles.items():
            self.gives(name, role)
        at("sync")
        at("sync")

    def gives(self, name: str, role: str | None) -> str:
        return self.desk.sf("OpportunityContactRole", OpportunityId=self.id, ContactId=self.contacts[name], Role=role)

    def rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.desk.salesforce.call(
            lambda: self.desk.salesforce.rows("OpportunityContactRole"))]

    def there(self) -> list[tuple[str, str | None]]:
        """(name, role) of each row in Salesforce."""
        names = {id: name for name, id in self.contacts.items()}
        return sorted((names[row["ContactId"]], row["Role"]) for row in self.rows())

    def labels(self) -> dict[str, list[str]]:
        """By name, the labels in HubSpot."""
        return {name: sorted(each.label for each in row.association_types if each.label)
                for row in self._links().get_page("deals", self.deal(), "contacts").results
                for name in [self._name(str(row.to_object_id))]}

    def labelled(self, name: str, *labels: str) -> None:
        """Somebody gives a person exactly these labels in HubSpot."""
        known = self.api.crm.associations.v4.schema.definitions_api.get_all("deals", "contacts").results
        types = [{"associationCategory": each.category, "associationTypeId": each.type_id}
                 for each in known if each.label in labels]
        assert len(types) == len(labels)
        self._links().create("deals", self.deal(), "contacts", self._id(name), [ROW, *types])

    def leaves(self, name: str) -> None:
        self._links().archive("deals", self.deal(), "contacts", self._id(name))

    def deal(self) -> str:
        (one,) = self.api.crm.deals.get_all()
        return str(one.id)

    def _links(self) -> Any:
        return self.api.crm.associations.v4.basic_api

    def _name(self, id: str) -> str:
        return str(self.api.crm.contacts.basic_api.get_by_id(id, properties=["lastname"]).properties["lastname"])

    def _id(self, name: str) -> str:
        return next(str(each.id) for each in self.api.crm.contacts.get_all(properties=["lastname"])
                    if each.properties["lastname"] == name)


@pytest.mark.slow
def test_roles_cross_both_ways_and_come_to_rest(desk: Desk) -> None:  # noqa: F811
    deal = Deal(desk, Ann="Decision Maker", Ben=None)
    assert deal.labels() == {"Ann": ["Decision maker"], "Ben": []}
    row = next(each["Id"] for each in deal.rows() if each["Role"] == "Decision Maker")
    deal.labelled("Ann", "Executive sponsor")
    deal.labelled("Ben", "Influencer", "Evaluator")
    desk("sync")
    assert deal.there() == [("Ann", "Executive Sponsor"), ("Ben", "Evaluator"), ("Ben", "Influencer")]
    assert row in {each["Id"] for each in deal.rows()}, "a role that changes keeps its row, and what hangs on it"
    desk.salesforce.call(lambda: desk.salesforce.update("OpportunityContactRole", row, Role="Other"))
    desk("sync")
    assert deal.labels() == {"Ann": ["Other"], "Ben": ["Evaluator", "Influencer"]}
    desk("sync")
    _code, report = desk("sync")
    assert (report["written"], report["absorbed"]) == ({}, {})


@pytest.mark.slow
def test_somebody_who_leaves_a_deal_leaves_it_in_both(desk: Desk) -> None:  # noqa: F811
    deal = Deal(desk, Ann="Decision Maker", Ben="Evaluator")
    deal.leaves("Ben")
    desk("sync")
    assert deal.there() == [("Ann", "Decision Maker")]


@pytest.mark.slow
def test_a_label_that_is_not_mapped_is_reported_and_takes_nobody_off(desk: Desk) -> None:  # noqa: F811
    desk.hubspot.call(desk.hubspot.load_schema, {
        "labels": [{"from": "deals", "to": "contacts", "label": "Gatekeeper"}]})
    deal = Deal(desk, Ann="Decision Maker")
    deal.labelled("Ann", "Gatekeeper")
    desk("sync")
    assert deal.there() == [("Ann", "Decision Maker")]
    _code, report = desk("check")
    (found,) = [one for one in report["findings"] if one["field"] == "contacts"]
    assert (found["code"], found["severity"]) == ("value-unmapped", "warning")
    assert "'Gatekeeper'" in found["message"]


@pytest.mark.slow
def test_a_portal_without_labels_keeps_the_roles_that_it_cannot_show(desk: Desk) -> None:  # noqa: F811
    path = desk.folder / "mappings" / "hubspot.yaml"
    head, _, rest = path.read_text().partition("      contacts:\n        # Association labels")
    path.write_text(f"{head}      contacts: associations.contacts\n    writes:{rest.partition('    writes:')[2]}")
    deal = Deal(desk, Ann="Decision Maker")
    assert deal.labels() == {"Ann": []}
    deal.labelled("Ben")
    desk("sync")
    assert deal.there() == [("Ann", "Decision Maker"), ("Ben", None)]
    deal.leaves("Ann")
    desk("sync")
    assert deal.there() == [("Ben", None)]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "old", "new", "code"), [
    ("salesforce.yaml", "decision_maker: Decision Maker", "decision_maker: Decision Makr", "value-missing"),
    ("hubspot.yaml", "decision_maker: Decision maker", "decision_maker: Decision makr", "value-missing"),
    ("salesforce.yaml", "field: ContactRoles", "field: ContactIds", "field-type"),
    ("hubspot.yaml", "associations.contacts.labels\n", "associations.contacts\n", "field-type"),
])
def test_a_role_that_a_system_does_not_have_is_found_by_check(
    desk: Desk, file: str, old: str, new: str, code: str  # noqa: F811
) -> None:
    desk.edit(file, old, new)
    _code, report = desk("check")
    found = [one for one in report["findings"] if one["field"] == "contacts" and one["code"] == code]
    assert found and found[0]["file"] == f"mappings/{file}"
    assert "Decision" in found[0]["remedy"] or "holds the roles" in found[0]["remedy"]
