"""CalDAV and CardDAV: any server that keeps calendars by RFC 4791 and address books by RFC 6352."""

from .connector import CalDavConnector

__all__ = ["CalDavConnector"]
