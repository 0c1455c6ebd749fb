"""requests as the connectors use it: an adapter that lets whoever listens to ``calls`` hear what passes."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from sidefeed.connector import Calls


class Adapter(HTTPAdapter):  # type: ignore[misc]
    """Everything else is requests' own. An answer that a listener hears is read whole before it is given back, so a
    connection that breaks in the middle of it raises here, as it does a moment later without one."""

    def __init__(self, calls: Calls, **options: Any) -> None:
        super().__init__(**options)
        self._calls = calls

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        if self._calls.listener is None:
            response: requests.Response = super().send(request, *arguments, **options)
            return response
        with self._calls.overheard(request.method or "", request.url or "", request.headers, request.body) as call:
            response = super().send(request, *arguments, **options)
            call.answered(response.status_code, response.headers, b"" if _shakes_hands(response) else response.content)
        return response


def _shakes_hands(response: requests.Response) -> bool:
    """Whether this is a step of NTLM: requests_ntlm looks for the server's certificate at the connection of an answer,
    which an answer that was read has no more."""
    asked = str(response.headers.get("www-authenticate", "")).lower()
    return bool(response.status_code == 401) and asked.startswith(("ntlm", "negotiate"))
