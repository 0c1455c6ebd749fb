"""What of Salesforce's requests and answers may be kept in a recording.

``Sforce-Limit-Info`` is documented (REST API Developer Guide, "Limit Info Header"); the request ids are what its edge
servers send, though no page tells of them. Bodies of the SOAP API hold the session and are XML, which is left out.
"""

from __future__ import annotations

from sidefeed.connector import Recordable

RECORDABLE = Recordable(
    request_ids=("X-SFDC-Request-Id", "X-Request-Id"),
    headers=("Sforce-Limit-Info", "Sforce-Call-Options", "SOAPAction"),
    bodies="values",
    codes=r'"(?:errorCode|statusCode|error)"\s*:\s*"([A-Za-z_]+)"',
    asked=r"\bFROM (\w+)",
    sent=r'"attributes":\s*\{"type":\s*"(\w+)"',
)
