"""What the real parser says of a body that is no JSON.

Source: answers quoted in public reports ("Unexpected character ('}' (code 125)): was expecting double-quote to start
field name at [line:1, column:2]") and suites written for live organisations (the text of an empty body). The column is
one past the offending character. Texts of truncated bodies are not verified.
"""

from __future__ import annotations

import orjson

from .errors import Failure

NO_BODY = "The HTTP entity body is required, but this request has no entity body."
_EXPECTED = {
    "expected a string key": "was expecting double-quote to start field name",
    "trailing comma": "was expecting double-quote to start field name",
    "expected ':'": "was expecting a colon to separate field name and value",
    "expected ',' or '}'": "was expecting comma to separate OBJECT entries",
    "expected ',' or ']'": "was expecting comma to separate ARRAY entries",
}
_VALUE = "expected a valid value (number, String, array, object, 'true', 'false' or 'null')"


def refusal(body: bytes, error: orjson.JSONDecodeError) -> Failure:
    """400 JSON_PARSER_ERROR for a body that could not be parsed."""
    if not body.strip():
        return Failure(400, "JSON_PARSER_ERROR", NO_BODY)
    text = body.decode("utf-8", "replace")
    at = error.pos + ("trailing comma" in error.msg)
    while at < len(text) and text[at].isspace():
        at += 1
    if "end of data" in error.msg or at >= len(text):
        reason, column = "Unexpected end-of-input", error.colno
    else:
        wanted = next((said for hint, said in _EXPECTED.items() if hint in error.msg), _VALUE)
        reason = f"Unexpected character ('{text[at]}' (code {ord(text[at])})): {wanted}"
        column = error.colno + at - error.pos + 1
    return Failure(400, "JSON_PARSER_ERROR", f"{reason} at [line:{error.lineno}, column:{column}]")
