"""The text of an iCalendar file, whatever wrote it."""

from __future__ import annotations

import codecs
import re

_FOLD = re.compile(rb"\r?\n[ \t]")
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_OUTLOOKS_OWN = re.compile(r'(TZID[:=]"?)tzone://Microsoft/', re.IGNORECASE)


def text_of(content: bytes) -> str:
    """Text in UTF-8 or, with its mark, UTF-16; what is neither is what Windows writes in the west.

    Lines may end in CR alone, and be folded in the middle of a character (RFC 5545 3.1). Control characters, which no
    line may hold and no database takes, are left out. A zone of Outlook's own, ``tzone://Microsoft/Custom``, gets a
    name that can be looked up among the zones of the file.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = content.decode("utf-16", "replace").encode()
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    return _OUTLOOKS_OWN.sub(r"\1Microsoft ", _ILLEGAL.sub("", _decoded(_FOLD.sub(b"", content))))


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")
