"""Bodies as they may be kept: no secret, and no word of a meeting. A body that cannot be told is left out whole.

Two ways, by what the connector says of itself (`sidefeed.connector.Recordable`). A CRM's JSON is kept with its
``values``, but for fields that a mapping reads or writes as the words of a meeting. Of a calendar only the ``shape`` is
kept: the text of what is on the connector's list of ids, times and codes; every other text gives way to a digest. A
digest is the same for the same text in one recording, and of no use to whoever wants to guess the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from sidefeed.calendars.redact import withheld

from .strip import SECRET_NAME, STRIPPED, Secrets

LONGEST = 8_000_000
"""Bytes of a body that is kept."""

_ICALENDAR = frozenset((
    "BEGIN END VERSION PRODID CALSCALE METHOD UID REV DTSTAMP DTSTART DTEND DUE DURATION CREATED LAST-MODIFIED "
    "SEQUENCE STATUS CLASS TRANSP RRULE RDATE EXDATE RECURRENCE-ID TZID TZNAME TZOFFSETFROM TZOFFSETTO TRIGGER ACTION "
    "X-MICROSOFT-CDO-BUSYSTATUS").split())
"""Properties of iCalendar and vCard whose values are nobody's words (RFC 5545, RFC 6350)."""
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_PROPERTY = re.compile(r"([A-Za-z0-9-]+)([;:].*)", re.DOTALL)
_SAID = ("message", "error_description", "messagetext", "faultstring")
"""Where the sentence of an error stands, which is kept without the words that it quotes."""
_LEARNT = 12
"""Characters of a secret in JSON that is looked for elsewhere: shorter ones may be yes, no or a state."""
_NAMING = ("propertyName", "property", "name", "field", "fieldName")
_VALUE = ("value", "values", "highValue", "previousValue")
"""Keys of a value whose field stands beside it, under one of ``_NAMING``."""
_CUT = 12
"""Characters by which the beginning of a word is known, where a system quotes it cut short."""
_SHORTEST = 3
"""Characters of a word that is looked for in other texts of the same exchange."""


class Left(Exception):
    """This body is left out; the message says why."""


class Redaction:
    """How the bodies of one system are kept. ``secrets`` grows by the tokens that answers bring."""

    def __init__(
        self, how: Literal["none", "values", "shape"], plain: frozenset[str], names: frozenset[str], secrets: Secrets,
        key: bytes,
    ) -> None:
        self._how = how
        self._plain = plain
        self._names = names
        self._secrets = secrets
        self._key = key

    def pair(
        self, sent: tuple[bytes, str], got: tuple[bytes, str], *, failed: bool
    ) -> tuple[str | None, str | None, str]:
        """Both bodies of an exchange, from their bytes and content types, and why one is left out.

        What ``failed`` may quote withheld words anywhere, and not only in the sentence of an error.
        """
        why: list[str] = []
        words = Words(everywhere=failed)
        kept: list[Callable[[], str] | None] = []
        for which, (body, kind) in (("request", sent), ("answer", got)):
            try:
                kept.append(self._kept(body, kind, words))
            except Left as left:
                kept.append(None)
                why.append(f"{which}: {left}")
        texts = [None if write is None else self._secrets.strip(write()) for write in kept]
        return texts[0], texts[1], "; ".join(why)

    def _kept(self, body: bytes, kind: str, words: Words) -> Callable[[], str]:
        """Takes note of the words that are withheld; what it gives writes the body without them."""
        if not body:
            return str
        if "form" in kind:
            raise Left("a form, which signs in")
        if self._how == "none":
            raise Left("the connector does not say what of it is safe")
        if len(body) > LONGEST:
            raise Left(f"{len(body):,} bytes")
        if "json" in kind:
            return self._json(body, words)
        if self._how == "shape" and "xml" in kind:
            return self._xml(body, words)
        if self._how == "shape" and ("text/calendar" in kind or "vcard" in kind):
            text = self._icalendar(body.decode("utf-8", "replace"), words)
            return lambda: text
        raise Left(kind.partition(";")[0] or "no content type")

    # JSON

    def _json(self, body: bytes, words: Words) -> Callable[[], str]:
        try:
            found = _DECODER.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Left("not the JSON that it says it is") from None
        masked = self._walk(found, "", words)
        return lambda: _ENCODER.encode(words.taken_out_of(masked)).decode()

    def _walk(self, node: Any, name: str, words: Words) -> Any:
        if isinstance(node, dict):
            told = next((node[key] for key in _NAMING if isinstance(node.get(key), str)), "")
            return {key: self._value(key, told, value, words) for key, value in node.items()}
        if isinstance(node, list):
            return [self._walk(each, name, words) for each in node]
        return node if self._how == "values" or not isinstance(node, str) else self._text(name, node, words)

    def _value(self, key: str, told: str, value: Any, words: Words) -> Any:
        if SECRET_NAME.fullmatch(key) and isinstance(value, str):
            if len(value) >= _LEARNT:
                self._secrets.learn((value,))
            return STRIPPED
        if key in self._names or (told in self._names and key in _VALUE):
            return self._mask(value, words)
        return self._walk(value, key, words)

    def _text(self, name: str, text: str, words: Words) -> Any:
        return text if name.lower() in self._plain or name in _SAID else self._mask(text, words)

    def _mask(self, value: Any, words: Words) -> Any:
        words.add(_texts(value))
        return withheld(value, self._key)

    # XML and iCalendar

    def _xml(self, body: bytes, words: Words) -> Callable[[], str]:
        from lxml import etree

        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
                                 remove_pis=True)
        try:
            root = etree.fromstring(body, parser)
        except etree.XMLSyntaxError:
            raise Left("not the XML that it says it is") from None
        if root.getroottree().docinfo.doctype:
            raise Left("XML with a document type")
        for node in root.iter():
            self._element(node, etree.QName(node).localname.lower(), words)

        def written() -> str:
            for node in root.iter():
                if node.text and etree.QName(node).localname.lower() in _SAID:
                    node.text = words.cleaned(node.text)
            return str(etree.tostring(root, encoding="unicode"))

        return written

    def _element(self, node: Any, name: str, words: Words) -> None:
        if node.text and node.text.strip() and name not in self._plain and name not in _SAID:
            is_calendar = node.text.lstrip().startswith("BEGIN:V")
            node.text = self._icalendar(node.text, words) if is_calendar else self._mask(node.text, words)
        if node.tail and node.tail.strip():
            node.tail = self._mask(node.tail, words)
        for attribute, value in node.attrib.items():
            name = attribute.rpartition("}")[2].lower()
            if value and name not in self._plain and f"@{name}" not in self._plain:
                node.set(attribute, self._mask(value, words))

    def _icalendar(self, text: str, words: Words) -> str:
        lines = re.sub(r"\r?\n[ \t]", "", text).splitlines()
        return "\r\n".join(self._line(line, words) for line in lines) + "\r\n"

    def _line(self, line: str, words: Words) -> str:
        found = _PROPERTY.fullmatch(line)
        if found is None:
            return ""
        return line if found[1].upper() in _ICALENDAR else f"{found[1]}:{self._mask(found[2][1:], words)}"


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


class Words:
    """What was withheld of one exchange, and is looked for where an error may quote it. ``everywhere``: in every text,
    and not only in the sentences of errors."""

    def __init__(self, *, everywhere: bool) -> None:
        self._everywhere = everywhere
        self._words: set[str] = set()

    def add(self, texts: Iterable[str]) -> None:
        self._words.update(text for text in texts if len(text.strip()) >= _SHORTEST)

    def cleaned(self, text: str) -> str:
        """A text without these words; nothing of one that quotes the beginning of such a word."""
        for word in sorted(self._words, key=len, reverse=True):
            text = text.replace(word, "(withheld)")
        cut = any(word[:_CUT] in text for word in self._words if len(word) > _CUT)
        return "(withheld)" if cut else text

    def taken_out_of(self, node: Any, name: str = "") -> Any:
        """JSON without these words where they may be quoted."""
        if isinstance(node, dict):
            return {key: self.taken_out_of(value, key) for key, value in node.items()}
        if isinstance(node, list):
            return [self.taken_out_of(value, name) for value in node]
        quoting = isinstance(node, str) and not node.startswith("(withheld ") and (self._everywhere or name in _SAID)
        return self.cleaned(node) if quoting else node
