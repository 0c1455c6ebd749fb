"""A cursor as a text that the core stores: its make, and what it remembers, packed."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

from sidefeed.connector import CursorExpired

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, zlib.error, binascii.Error)
"""What a text of another make raises, wherever it is taken apart."""


def pack(make: str, told: Any) -> str:
    packed = zlib.compress(json.dumps(told, separators=(",", ":")).encode())
    return make + base64.urlsafe_b64encode(packed).decode()


def unpack(make: str, text: str) -> Any:
    """Raises one of ``UNREADABLE`` for a text of another make."""
    if not text.startswith(make):
        raise ValueError("another make")
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(text[len(make):])))


def expired(error: Exception) -> CursorExpired:
    return CursorExpired(f"The cursor cannot be read ({type(error).__name__}).")
