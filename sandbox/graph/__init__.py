"""The practice Microsoft 365: Graph's calendars and contacts, and the login that guards them."""

from .server import GraphServer

__all__ = ["GraphServer"]
