"""Record ids: 15 characters that distinguish case, or 18 whose last three repeat the case of the first fifteen.

Source: SOAP API guide, "ID Field Type"; checked against pairs of real ids.
"""

from __future__ import annotations

import re
from functools import lru_cache

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\Z")


def suffix(id15: str) -> str:
    """The three check characters: per block of five, bit k is set where character k is upper case."""
    return "".join(
        _SUFFIX[sum(1 << bit for bit, char in enumerate(id15[start : start + 5]) if "A" <= char <= "Z")]
        for start in (0, 5, 10)
    )


@lru_cache(maxsize=65_536)
def to18(text: str) -> str | None:
    """The 18-character form of an id in either form; None when the text is no id.

    An 18-character id whose case was lost is repaired from its suffix, as the real system does.
    """
    if not _SHAPE.match(text):
        return None
    if len(text) == 15:
        return text + suffix(text)
    body, check = text[:15], text[15:].upper()
    repaired = []
    for block in range(3):
        bits = _SUFFIX.find(check[block])
        if bits < 0:
            return None
        for bit, char in enumerate(body[block * 5 : block * 5 + 5]):
            repaired.append(char.upper() if bits >> bit & 1 else char.lower())
    fixed = "".join(repaired)
    return fixed + check if suffix(fixed) == check else None


def mint(prefix: str, number: int, pod: str = "5g0") -> str:
    """The id of the number-th record of an object: key prefix, instance, and the number in base 62."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = ALPHABET[rest] + digits
    id15 = prefix + pod + digits.rjust(9, "0")
    return id15 + suffix(id15)
