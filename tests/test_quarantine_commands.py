"""The quarantine as an ops engineer meets it: what was refused, by whom to be mended, and asked again once it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.test_command_line import Desk, desk

__all__ = ["desk"]


def wizard(desk: Desk) -> None:
    """A contact whose title is no option of HubSpot's property."""
    desk.sf("Contact", LastName="Ito", Email="ito@acme.example", Title="Wizard")
    desk.property("contacts", name="role_here", type="enumeration", options=["Buyer"])
    desk.edit("hubspot.yaml", "title: jobtitle", "title: role_here")
    assert desk("sync")[0] == 1


def admin_adds_option(desk: Desk, option: str) -> None:
    options = [{"label": value, "value": value} for value in ("Buyer", option)]
    answer = httpx.patch(f"{desk.hubspot.url}/crm/v3/properties/contacts/role_here", json={"options": options},
                         headers={"Authorization": f"Bearer {desk.settings['hubspot']['access_token']}"})
    assert answer.status_code == 200, answer.text


def test_status_says_who_must_act_and_what_mends_it(desk: Desk) -> None:
    wizard(desk)
    code, status = desk("status")
    (refusal,) = [one for one in status["refusals"] if one["field"] == "role_here"]
    assert code == 0
    assert (refusal["system"], refusal["object"], refusal["code"], refusal["owner"]) == (
        "hubspot", "contacts", "INVALID_OPTION", "admin")
    assert refusal["label"] == "Ito"
    assert "Add the option" in refusal["fix"]
    assert refusal["next_try"] is not None, "an option may be added without our seeing it, so it is tried every night"
    shown = subprocess.run([sys.executable, "-m", "sidefeed", "status", "-C", str(desk.folder)], text=True,
                           capture_output=True, check=True).stdout
    assert "INVALID_OPTION for admin, 1: Add the option to the property" in shown


def test_retry_asks_again_once_the_option_is_there(desk: Desk) -> None:
    wizard(desk)
    _code, again = desk("retry", "--code", "INVALID_OPTION")
    assert [problem["code"] for problem in again["problems"]] == ["INVALID_OPTION"], "refused again, and said again"
    admin_adds_option(desk, "Wizard")
    code, marked = desk("retry", "--code", "INVALID_OPTION", "--later")
    assert (code, [one["field"] for one in marked["retry"]]) == (0, ["role_here"])
    _code, report = desk("retry", "--record", "Ito", "--system", "hubspot")
    assert report["written"] == {"hubspot contacts": {"update": 1}}
    assert {problem["code"] for problem in report["problems"]} == {"unresolved"}, "her owner is nobody in HubSpot"
    assert desk.hs_names("contacts", "role_here") == ["Wizard"]
    assert {one["code"] for one in desk("status")[1]["refusals"]} == {"unresolved"}


def test_retry_of_something_unknown_says_where_to_look(desk: Desk) -> None:
    desk("sync")
    code, told = desk("retry", "--record", "nobody")
    assert code == 2 and "sidefeed status" in told["error"]
    assert desk("retry", "--code", "INVALID_OPTION") == (0, {"ok": True, "retry": []})


def test_errors_explains_a_code_and_refuses_a_misspelt_one(tmp_path: Path) -> None:
    known = subprocess.run([sys.executable, "-m", "sidefeed", "errors", "UNABLE_TO_LOCK_ROW"], text=True,
                           capture_output=True, check=True).stdout
    assert "20 minutes" in known
    unknown = subprocess.run([sys.executable, "-m", "sidefeed", "errors", "UNABLE"], text=True, capture_output=True)
    assert unknown.returncode == 2 and "no code" in unknown.stderr
