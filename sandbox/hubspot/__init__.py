"""The HubSpot practice server."""

from .server import HubSpotServer

__all__ = ["HubSpotServer"]
