"""What of HubSpot's requests and answers may be kept in a recording.

The headers are those of its documentation, "API usage guidelines" and "Error handling".
"""

from __future__ import annotations

from sidefeed.connector import Recordable

RECORDABLE = Recordable(
    request_ids=("X-HubSpot-Correlation-Id",),
    headers=("X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Daily-Remaining", "X-HubSpot-RateLimit-Max",
             "X-HubSpot-RateLimit-Remaining", "X-HubSpot-RateLimit-Interval-Milliseconds"),
    bodies="values",
    # Only in an error: a record may well have a property of that name.
    codes=r'(?s)"status"\s*:\s*"error".{0,4000}?"(?:category|errorType)"\s*:\s*"([A-Z_]+)"',
)
