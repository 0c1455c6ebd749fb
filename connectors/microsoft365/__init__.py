"""Microsoft 365, over Microsoft Graph: msal signs in, httpx does the talking.

``connector`` is the port; ``calendar`` and ``contacts`` are its feeds, ``meetings`` reads meetings by id, ``writer``
writes; ``door`` sends, waits and batches; ``values`` turns JSON into raw values and back, without a network. Raw fields
have the names and spellings of the Exchange connector, so that one meeting seen through both is one record.
"""

from .connector import Microsoft365Connector

__all__ = ["Microsoft365Connector"]
