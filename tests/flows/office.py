"""A company in practice Salesforce, HubSpot and Exchange, and a project folder as ``sidefeed init`` writes it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sandbox import company
from sandbox.exchange import ExchangeServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.project import Project
from sidefeed.workspace.report import workspace_status


class Office:
    """Open it to start the servers. ``session_id`` replaces the working one in the project's settings."""

    def __init__(self, folder: Path, *, session_id: str | None = None, systems: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self._session_id = session_id
        self._systems = systems
        self._stack = ExitStack()

    def __enter__(self) -> Office:
        self.salesforce = self._stack.enter_context(SalesforceServer(tls=True))
        self.hubspot = self._stack.enter_context(HubSpotServer())
        self.exchange = self._stack.enter_context(ExchangeServer())
        self.company = company.found(self.salesforce, self.hubspot, self.exchange)
        self.session_id = self.salesforce.connection_info()["session_id"]
        self._prepare_systems()
        write_project(self.folder, settings=settings_text({
            name: table for name, table in self._settings().items() if not self._systems or name in self._systems}))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _settings(self) -> dict[str, dict[str, Any]]:
        boxes = {box["address"]: box["password"] for box in self.exchange.connection_info()["mailboxes"]}
        return {
            "salesforce": {"auth": "session", "instance_url": self.salesforce.url,
                           "session_id": self._session_id or self.session_id,
                           "ca_file": str(self.salesforce.ca_file)},
            "hubspot": {"access_token": self.hubspot.connection_info()["access_token"], "host": self.hubspot.url},
            "exchange": {"endpoint": self.exchange.connection_info()["ews"], "auth": "basic", "access": "own",
                         "mailboxes": list(boxes), "credentials": {
                             address: {"username": address, "password": boxes[address]} for address in boxes}},
        }

    def _prepare_systems(self) -> None:
        """What an administrator does once: the key fields, with credentials of their own."""
        from connectors.hubspot import HubSpotConnector

        settings = self._settings()
        hubspot = HubSpotConnector.from_settings(settings["hubspot"])
        hubspot.prepare(company.KEY_OBJECTS["hubspot"], apply=True)
        hubspot.close()

    def workspace(self) -> dict[str, Any]:
        """What the workspace holds, as far as it does not depend on when: records, links, what waits and is asked."""
        store = Project.load(self.folder).store()
        try:
            status = workspace_status(store)
        finally:
            store.close()
        return {"records": status["records"], "conflicts": status["conflicts"],
                "questions": len(status["questions"]), "refusals": len(status["refusals"]),
                "linked": {feed["feed"]: feed["linked"] for feed in status["feeds"]},
                "inbox": {feed["feed"]: feed["inbox"] for feed in status["feeds"]}}

    def last_run(self) -> dict[str, Any]:
        store = Project.load(self.folder).store()
        try:
            last: dict[str, Any] = workspace_status(store)["runs"][0]
        finally:
            store.close()
        return last

    def deals(self) -> list[str]:
        """Ids of Salesforce's deals."""
        return [str(row["Id"]) for row in self.salesforce.call(self.salesforce.rows, "Opportunity")]

    def hubspot_deals(self) -> list[dict[str, Any]]:
        """HubSpot's deals, read with its own library."""
        from hubspot import HubSpot

        client = HubSpot(access_token=self.hubspot.connection_info()["access_token"], host=self.hubspot.url)
        return [dict(row.properties) for row in client.crm.deals.get_all(properties=["dealname"])]

    def delete_deals(self, number: int) -> None:
        for id in self.deals()[:number]:
            self.salesforce.call(self.salesforce.delete, "Opportunity", id)
