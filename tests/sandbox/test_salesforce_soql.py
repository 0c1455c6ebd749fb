"""The grammar accepts what Salesforce accepts, and points at the first wrong word of the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.salesforce import Failure
from sandbox.salesforce.soql import parse, parse_by_shape

from .salesforce_caller import Caller, organisation


@pytest.fixture(scope="module")
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def verdict(text: str) -> bool:
    try:
        parse(text)
    except Failure:
        return False
    return True


def test_public_valid_queries_parse(reference_data: Path) -> None:
    cases = json.loads((reference_data / "salesforce" / "soql_cases.json").read_text("utf-8"))
    assert [text for text in cases["valid_examples"] if not verdict(text)] == []


def test_public_verdicts_agree_without_exception(reference_data: Path) -> None:
    cases = json.loads((reference_data / "salesforce" / "soql_cases.json").read_text("utf-8"))
    assert len(cases["validity"]) > 80
    assert [case["soql"] for case in cases["validity"] if verdict(case["soql"]) != case["isValid"]] == []


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("SELECT Id FROM Account WHERE", 29, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = foo", 37, "unexpected token: 'foo'"),
        ("SELECT Name, FROM Account", 14, "unexpected token: 'FROM'"),
        ("SELECT Id FROM Account FROM Contact", 24, "unexpected token: 'FROM'"),
        ("SELECT Id FROM Account HAVING COUNT(Id) > 1", 24, "unexpected token: 'HAVING'"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", 56, "unexpected token: 'OR'"),
        ("SELECT Id FROM Account WHERE Name = :name", 37, "Bind variables only allowed in Apex code"),
        ("SELECT Id FROM Account LIMIT -1", 30, "unexpected token: '-1'"),
        ("DELETE FROM Account", 1, "unexpected token: 'DELETE'"),
    ],
)
def test_syntax_errors_repeat_the_query_and_point_at_the_word(org: Caller, text: str, column: int, reason: str) -> None:
    expected = f"\n{text}\n{' ' * (column - 1)}^\nERROR at Row:1:Column:{column}\n{reason}"
    assert org.refusal(text) == (400, "MALFORMED_QUERY", expected)


def test_rows_count_in_queries_of_several_lines(org: Caller) -> None:
    status, code, message = org.refusal("SELECT Id\nFROM Account\nWHERE Nope = 'x'")
    assert (status, code) == (400, "INVALID_FIELD")
    assert message.startswith("\nSELECT Id\nFROM Account\nWHERE Nope = 'x'\n      ^\nERROR at Row:3:Column:7\n")


def test_unknown_objects_and_fields_have_the_recorded_texts(org: Caller) -> None:
    assert org.refusal("SELECT Id FROM Foo") == (
        400,
        "INVALID_TYPE",
        "\nSELECT Id FROM Foo\n               ^\nERROR at Row:1:Column:16\nsObject type 'Foo' is not supported. If you are "
        "attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or "
        "the describe call for the appropriate names.",
    )
    assert org.refusal("SELECT Id, Nope FROM Account") == (
        400,
        "INVALID_FIELD",
        "\nSELECT Id, Nope FROM Account\n           ^\nERROR at Row:1:Column:12\nNo such column 'Nope' on entity 'Account'. If "
        "you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference "
        "your WSDL or the describe call for the appropriate names.",
    )


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("SELECT Id FROM Account WHERE CreatedDate > '2026-01-01T00:00:00Z'", "INVALID_FIELD",
         "value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE CreatedDate > 2026-01-01", "INVALID_FIELD",
         "value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD",
         "value of filter criterion for field 'Name' must be of type string and should be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE NumberOfEmployees = '5'", "INVALID_FIELD",
         "value of filter criterion for field 'NumberOfEmployees' must be of type int and should not be enclosed in quotes"),
        ("SELECT Id FROM Opportunity WHERE IsWon = 'true'", "INVALID_FIELD",
         "value of filter criterion for field 'IsWon' must be of type boolean and should not be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD",
         "field 'Description' can not be filtered in a query call"),
        ("SELECT Id FROM Account ORDER BY Description", "MALFORMED_QUERY",
         "field 'Description' can not be sorted in a query call"),
        ("SELECT Amount, COUNT(Id) FROM Opportunity GROUP BY Amount", "MALFORMED_QUERY",
         "field 'Amount' can not be grouped in a query call"),
        ("SELECT Id FROM Account WHERE Id = 'foo'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: foo"),
        ("SELECT Id FROM Account WHERE Id LIKE '001%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT FIELDS(CUSTOM) FROM Lead LIMIT 1", "MALFORMED_QUERY", "must result in at least one field"),
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT Id, (SELECT Id FROM Nopes) FROM Account", "INVALID_TYPE",
         "Didn't understand relationship 'Nopes' in FROM part of query call."),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Nope' in field path."),
        ("SELECT Id FROM Account WHERE Id IN (SELECT Name FROM Contact)", "MALFORMED_QUERY",
         "semi join sub-selects can only query id fields, cannot use: 'Name'"),
        ("SELECT Id FROM Account WHERE Id IN (SELECT Id FROM Account)", "MALFORMED_QUERY",
         "The inner and outer selects should not be on the same object type"),
        ("SELECT Id FROM Account WHERE Name = 'x' OR Id IN (SELECT AccountId FROM Contact)", "MALFORMED_QUERY",
         "Semi join sub-selects are not allowed with the 'OR' operator"),
        ("SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Id IN (SELECT WhoId FROM Event))",
         "MALFORMED_QUERY", "Nesting of semi join sub-selects is not supported"),
        ("SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact) AND (NOT Id IN (SELECT AccountId FROM Case)) "
         "AND Id NOT IN (SELECT AccountId FROM Opportunity)", "MALFORMED_QUERY", "Maximum 2 semi join sub-selects"),
        ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed in this context"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("SELECT Id FROM Account WHERE Name = 'a\\qb'", "MALFORMED_QUERY",
         "Invalid string literal 'a\\qb'. Illegal character sequence '\\q' in string literal."),
        ("SELECT Id FROM Account WHERE CreatedDate > 2026-13-01T00:00:00Z", "MALFORMED_QUERY",
         "Invalid datetime: 2026-13-01T00:00:00Z"),
        ("", "MALFORMED_QUERY", "A query string has to be specified"),
    ],
)  # fmt: skip
def test_meaningless_queries_are_refused_with_their_reason(org: Caller, text: str, code: str, reason: str) -> None:
    status, found, message = org.refusal(text)
    assert (status, found) == (400, code)
    assert reason in message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("SELECT Title FROM Note WITH DATA CATEGORY Geo__c AT usa__c", "WITH DATA CATEGORY"),
        ("SELECT Id FROM Account USING SCOPE team", "USING SCOPE team"),
    ],
)
def test_what_is_not_implemented_says_so(org: Caller, text: str, what: str) -> None:
    status, code, message = org.refusal(text)
    assert (status, code) == (501, "NOT_IMPLEMENTED")
    assert what in message


@pytest.mark.parametrize(
    "pattern",
    [
        "SELECT Id FROM Account WHERE Name = {} AND Site LIKE {} LIMIT 5",
        "SELECT Id, (SELECT Id FROM Contacts WHERE LastName IN ({}, {})) FROM Account",
        "SELECT Name, COUNT(Id) FROM Account WHERE (NOT Name = {}) GROUP BY Name HAVING MIN(Name) > {}",
        "SELECT Id FROM Contact WHERE Languages__c INCLUDES ({}, {})",
        "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE LastName = {} OR Email = {})",
    ],
)
def test_texts_that_differ_in_their_strings_only_share_a_shape_and_nothing_else(pattern: str) -> None:
    def without_places(tree: object) -> str:
        return re.sub(r"Position\(row=\d+, column=\d+\)", "", repr(tree))

    for first, second in (
        ("'a'", "'b'"),
        (r"'it\'s'", "'x y'"),
        ("''", r"'50\\% \"off\"'"),
        ("'2026-01-01T00:00:00Z'", "'{}'"),
    ):
        text = pattern.format(first, second)
        assert without_places(parse_by_shape(text)) == without_places(parse(text))
    dated = "SELECT Id FROM Account WHERE CreatedDate > {} AND SystemModstamp <= {}"
    text = dated.format("2026-11-18t12:00:00+01:00", "2026-11-18T12:00:00.123Z")
    assert without_places(parse_by_shape(text)) == without_places(parse(text))


def test_refusals_point_into_the_text_at_hand_not_into_one_of_its_shape(org: Caller) -> None:
    for name in ("x", "a much longer name"):
        text = f"SELECT Id FROM Account WHERE Name = '{name}' AND Nope = 'y'"
        assert f"Column:{text.index('Nope') + 1}\n" in org.refusal(text)[2]
