"""The nightly census as a flow: what it counts in a whole company, and the state that it ends in."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import StateType
from prefect.logging import disable_run_logger

from flows import census as flow
from flows.outcome import ATTENTION
from flows.sync import synchronise
from tests.flows.office import Office


@pytest.mark.slow
def test_a_whole_company_is_equal_after_its_syncs_and_a_stray_object_is_repaired(office: Office) -> None:
    with disable_run_logger():
        for _ in range(3):
            synchronise.fn(office.folder, None, approve=True, confirm_mapping=False)
        feeds = flow.count.fn(office.folder, None, True)
        assert [(one["object"], one["differences"]) for one in feeds if one["differences"]] == []
        assert {one["system"] for one in feeds if one["equal"]} == {"salesforce", "hubspot", "exchange"}
        assert flow.verdict(feeds).type == StateType.COMPLETED
        linked = {(one["system"], one["object"]): one["linked"] for one in feeds}
        assert linked[("salesforce", "Opportunity")] == linked[("hubspot", "deals")] > 20

        office.hubspot.call(lambda: office.hubspot.create("deals", dealname="Stray"))
        (odd,) = [one for one in flow.count.fn(office.folder, "hubspot", True) if one["differences"]]
    assert [(one["kind"], one["record"]) for one in odd["differences"]] == [("missed", None)]
    assert odd["repaired"] == 1
    assert "| hubspot | deals |" in flow.page(odd["differences"])


def test_what_is_not_repaired_needs_a_person_and_what_could_not_be_counted_fails() -> None:
    feed = {"system": "a", "object": "Deal", "equal": 1, "repaired": 0, "failed": "", "differences": [{}]}
    assert flow.verdict([feed]).name == ATTENTION
    assert flow.verdict([{**feed, "repaired": 1}]).name == "Completed"
    failed = flow.verdict([{**feed, "failed": "a does not answer"}])
    assert failed.type == StateType.FAILED and "a does not answer" in (failed.message or "")
