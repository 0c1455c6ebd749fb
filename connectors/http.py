"""httpx as the connectors use it: without its command line program, and with one TLS context for all mailboxes.

click and rich, which that program needs, cost more to import than all the rest of httpx; on a machine without them
httpx goes on without its program, and so it does here. A context reads the certificates of this machine, for about as
long as a request takes.
"""

from __future__ import annotations

import ssl
import sys
from functools import lru_cache
from urllib.parse import urlsplit

_PROGRAM = "httpx._main"

_hidden = "httpx" not in sys.modules and _PROGRAM not in sys.modules
if _hidden:
    sys.modules[_PROGRAM] = None  # type: ignore[assignment]  # what Python itself does where there is no such module
try:
    import httpx
finally:
    if _hidden:
        del sys.modules[_PROGRAM]

__all__ = ["httpx", "verify"]


def verify(url: str, ca_file: str | None) -> ssl.SSLContext | bool:
    """What httpx is to hold a server's certificate against: a certificate authority of one's own, or this machine's."""
    return _context(ca_file) if urlsplit(url).scheme == "https" else False


@lru_cache(maxsize=8)
def _context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
