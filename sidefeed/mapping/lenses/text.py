"""Text and what is written as text: addresses, numbers to call, names of people."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Value, shown
from .base import MISSING, Filler, Lens, OneField, Options, Raw, Reader, Refs, Scalar

if TYPE_CHECKING:
    from ..model import FieldSpec


class TextOptions(OneField):
    max_length: int | None = Field(None, ge=1, description="How many characters the system's field holds.")
    too_long: Literal["refuse", "truncate", "ellipsis"] = Field(
        "refuse",
        description="What happens to a longer text on its way out: `refuse` reports it, `truncate` cuts it, `ellipsis` "
        "cuts it and ends it with `…`. The workspace keeps the whole text. Default: refuse.",
    )
    blank_as: str | None = Field(
        None, min_length=1, description="Text written for a blank where the system insists on one; read back as blank."
    )


class Text(Scalar):
    """Text, trimmed. Line breaks become `\\n`, or one space in a field of one line; control characters are removed;
    the empty string is blank. `copy` is another name for it."""

    name = "text"
    types = frozenset({"text", "choice"})
    Options = TextOptions
    example = "name: {field: Name, max_length: 120, too_long: refuse}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.lines = "many" if spec.type == "text" and spec.lines == "many" else "one"
        self.blank_as = canonical.text(options.blank_as, lines=self.lines)
        self.blank_says_nothing = self.blank_as is None

    def _in(self, raw: Any) -> Any:
        value = canonical.text(raw, lines=self.lines)
        return None if value == self.blank_as else value

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        written = canonical.text(value, lines=self.lines)
        if written is None:
            return {self.field: self.blank_as}
        limit = self.options.max_length
        if limit is not None and len(written) > limit:
            if self.options.too_long == "refuse":
                raise LensError(
                    "too-long",
                    f"{shown(written)} has {len(written)} characters and {self.field} holds {limit}: shorten it, or "
                    "map it with `too_long: truncate`",
                )
            written = self._cut(written, limit)
        if written == self.blank_as:
            raise LensError("stands-for-blank", f"{shown(written)} stands for a blank in {self.field}")
        return {self.field: written}

    def reader(self) -> Reader:
        field, blank_as, slow, plain = self.field, self.blank_as, self.read, self._plain()

        def read(raw: Raw, refs: Refs) -> Value | Unknown:
            text = raw.get(field, MISSING)
            if text is None:
                return None
            if type(text) is str and plain(text):
                text = text.strip()
                return None if not text or text == blank_as else text
            return slow(raw, refs)

        return read

    def filler(self) -> Filler:
        field, blank_as, slow, plain = self.field, self.blank_as, self.write, self._plain()
        limit = sys.maxsize if self.options.max_length is None else self.options.max_length

        def fill(value: Value, refs: Refs, raw: dict[str, Any]) -> None:
            if type(value) is str and len(value) <= limit and plain(value):
                text = value.strip()
                if text and text != blank_as:
                    raw[field] = text
                    return
            raw.update(slow(value, refs))

        return fill

    def _plain(self) -> Callable[[str], bool]:
        """Whether a text has nothing to tidy but space at its ends."""
        if self.lines == "one":
            return str.isprintable
        return lambda text: text.isprintable() or text.replace("\n", "").isprintable()

    def _cut(self, text: str, limit: int) -> str:
        if len(text) <= limit:
            return text
        return f"{text[: limit - 1].rstrip()}…" if self.options.too_long == "ellipsis" else text[:limit].rstrip()

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        limit = self.options.max_length
        if writes and limit is not None:
            kept = "is refused and reported" if self.options.too_long == "refuse" else "is cut there"
            yield f"A text of more than {limit} characters {kept}."
        if writes and self.blank_as is not None:
            yield f"A blank is written as {self.blank_as!r}, which is read back as blank."

    def image(self, value: Value) -> Value:
        if self.options.max_length is None or self.options.too_long == "refuse" or not isinstance(value, str):
            return value
        return self._cut(value, self.options.max_length) or None

    def _same(self, sent: Any, seen: Any) -> bool:
        if sent == seen:
            return True
        limit = self.options.max_length
        return limit is not None and isinstance(sent, str) and len(sent) > limit and sent[:limit].rstrip() == seen


class _HTMLText(HTMLParser):
    """The text of an HTML fragment: line breaks and blocks become newlines, the rest of the markup is dropped."""

    _BLOCKS = frozenset({"p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote"})
    _SILENT = frozenset({"script", "style", "head", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self.silent += 1
        elif tag == "br" or (tag in self._BLOCKS and self.parts and not self.parts[-1].endswith("\n")):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self.silent = max(0, self.silent - 1)
        elif tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(re.sub(r"[ \t\r\n]+", " ", data) if "\n" in data or "\r" in data else data)


class RichText(Scalar):
    """Plain text kept in a field of HTML. Markup is dropped when read; it is lost when the text is edited elsewhere and
    written back, and stays as it is otherwise."""

    name = "rich_text"
    types = frozenset({"text"})
    example = "description: {lens: rich_text, field: hs_meeting_body}"

    def _in(self, raw: Any) -> Any:
        markup = canonical.text(raw)
        if markup is None or ("<" not in markup and "&" not in markup):
            return canonical.text(markup, lines=self.spec.lines)
        parser = _HTMLText()
        parser.feed(markup)
        parser.close()
        return canonical.text("".join(parser.parts), lines=self.spec.lines)

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if reads:
            yield "Markup is dropped when it is read."
        if writes:
            yield "Markup is lost when the text was edited elsewhere, and stays otherwise."

    def _out(self, value: Any) -> Any:
        return html.escape(str(value), quote=False).replace("\n", "<br>")


class Email(Scalar):
    """An e-mail address, trimmed and in lower case, as both CRMs store it; other spellings compare as equal."""

    name = "email"
    types = frozenset({"email"})
    example = "email: Email"

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        yield "Addresses are trimmed and in lower case; what is no address is reported."

    def _in(self, raw: Any) -> Any:
        return canonical.email(raw)


class PhoneOptions(OneField):
    region: str | None = Field(
        None, pattern="^[A-Z]{2}$", description="Country whose numbers are written without a prefix, such as `US`."
    )


class Phone(Scalar):
    """A telephone number in E.164 form with its extension. What cannot be parsed as a number is kept as the text it
    is."""

    name = "phone"
    types = frozenset({"phone"})
    Options = PhoneOptions
    example = "phone: {field: Phone, region: US}"

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        region = f"; a number without a country is taken to be in {self.options.region}" if self.options.region else ""
        yield f"Numbers are kept in E.164 form{region}. What is no number is kept as it is."

    def _in(self, raw: Any) -> Any:
        if raw is not None and not isinstance(raw, str):
            raw = canonical.text(raw)
        return canonical.phone(raw, self.options.region)


class Url(Scalar):
    """A web address; `https://` is put before one written without a scheme."""

    name = "url"
    types = frozenset({"url"})
    example = "website: Website"

    def _in(self, raw: Any) -> Any:
        return canonical.url(raw)


class Domain(Scalar):
    """The mail domain in a web or e-mail address: `https://www.acme.com/en` -> `acme.com`. One-way. A blank address
    says nothing about the domain."""

    name = "domain"
    types = frozenset({"text"})
    two_way = False
    example = "domain: {lens: domain, field: Website}"

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        yield f"It is taken from the address in {self.field}; a blank address says nothing about it."

    def _in(self, raw: Any) -> Any:
        written = canonical.text(raw, lines="one")
        if written is None:
            return UNKNOWN
        address = canonical.url(written.rpartition("@")[2] if "/" not in written else written)
        host = urlsplit(address or "").hostname or ""
        return host.removeprefix("www.") or UNKNOWN


class NameOptions(Options):
    first: str = Field(description="The system's field for given names.")
    last: str = Field(description="The system's field for the family name.")


class FullName(Lens):
    """One name in the workspace, given and family name in the system. Written, the last word is the family name; what
    the system holds is left alone as long as the full name is the same."""

    name = "full_name"
    types = frozenset({"text"})
    short = None
    Options = NameOptions
    example = "name: {lens: full_name, first: firstName, last: lastName}"

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if reads:
            yield f"It is {self.options.first} and {self.options.last} together."
        if writes:
            yield f"The last word is written to {self.options.last}, the rest to {self.options.first}."

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.raw = (options.first, options.last)

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if any(name not in raw for name in self.raw):
            return UNKNOWN
        parts = [canonical.text(raw[name], lines="one") for name in self.raw]
        return self.image(" ".join(part for part in parts if part) or None)

    def image(self, value: Value) -> Value:
        return " ".join(value.split()) if isinstance(value, str) else value

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        first, _, last = str(self.image(value) or "").rpartition(" ")
        return {self.options.first: first or None, self.options.last: last or None}
