"""HubSpot, through hubspot-api-client: companies, contacts, deals, meetings, tasks and owners.

``connector`` holds the contract's methods; ``feed`` finds what changed, ``records`` reads by id, ``writer`` writes,
``associations`` makes links look like fields, ``transport`` is the SDK with its flaws mended.
"""

from connectors.hubspot.connector import HubSpotConnector

__all__ = ["HubSpotConnector"]
