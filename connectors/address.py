"""Whether what is sent to an address travels guarded."""

from __future__ import annotations

from urllib.parse import SplitResult

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_guarded(address: SplitResult) -> bool:
    """Over TLS, or in plain http that never leaves this machine, as a practice server is reached."""
    return address.scheme == "https" or (address.scheme == "http" and address.hostname in _LOOPBACK)
