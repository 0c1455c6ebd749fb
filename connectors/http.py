"""httpx as the connectors use it: without what no connector asks of it, and with one TLS context for all mailboxes.

Where they are installed, httpx takes along its command line program (with click and rich) and zstandard, and httpcore
takes along HTTP/2. Together they cost more to import than all the rest; on a machine without them both go on, and so
they do here. A program that has httpx already, such as a flow, keeps it as it is. A context reads the certificates of
this machine, for about as long as a request takes.
"""

from __future__ import annotations

import ssl
import sys
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from sidefeed.connector import Calls

_UNWANTED = ("httpx._main", "zstandard", "h2")

_hidden = [] if "httpx" in sys.modules else [name for name in _UNWANTED if name not in sys.modules]
for _name in _hidden:
    sys.modules[_name] = None  # type: ignore[assignment]  # what Python itself does where there is no such module
try:
    import httpx

    httpx.HTTPTransport(verify=False).close()  # the first one imports httpcore, which later takes along what is there
finally:
    for _name in _hidden:
        del sys.modules[_name]

__all__ = ["Client", "httpx", "verify"]


class Client(httpx.Client):
    """httpx's client, which lets whoever listens to ``calls`` hear each request and its answer."""

    def __init__(self, calls: Calls, **options: Any) -> None:
        super().__init__(**options)
        self._calls = calls

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        if self._calls.listener is None:
            return super().send(request, **options)
        with self._calls.overheard(request.method, str(request.url), request.headers, request.read()) as call:
            answer = super().send(request, **options)
            call.answered(answer.status_code, answer.headers, answer.content)
        return answer


def verify(url: str, ca_file: str | None) -> ssl.SSLContext | bool:
    """What httpx is to hold a server's certificate against: a certificate authority of one's own, or this machine's."""
    return _context(ca_file) if urlsplit(url).scheme == "https" else False


@lru_cache(maxsize=8)
def _context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
