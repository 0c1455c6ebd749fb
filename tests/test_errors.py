"""The registry of error codes is whole, its page is current, and unknown codes are explained by their kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidefeed.cli import app
from sidefeed.errors import QUICK_TRIES, Codes
from sidefeed.project import connector_codes, known_codes

ROOT = Path(__file__).parent.parent
POSITION = {"LensError": 0, "problem": 4, "_refuse": 2, "tell": 1}
"""Calls that name a code, and which argument it is."""


def literals(node: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from literals(value, constants)
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body, constants)
        yield from literals(node.orelse, constants)


def codes_in(path: Path) -> Iterator[str]:
    """Every code that stands in a module: given as ``code=``, to a call that takes one, or as a class's own."""
    tree = ast.parse(path.read_text())
    constants = {target.id: node.value.value for node in tree.body
                 if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
                 and isinstance(node.value.value, str) for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from literals(node.value, constants)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            position = POSITION.get(name)
            if position is not None and len(node.args) > position:
                yield from literals(node.args[position], constants)
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "code":
                    yield from literals(line.value, constants)


def test_every_code_that_the_source_names_is_in_the_registry() -> None:
    codes = known_codes()
    modules = [path for room in ("sidefeed", "connectors", "flows") for path in (ROOT / room).rglob("*.py")]
    found = {code: path.relative_to(ROOT) for path in modules for code in codes_in(path)}
    assert len(found) > 60, "the search itself must find something"
    assert {code: str(path) for code, path in found.items() if code not in codes} == {}


def test_every_code_that_a_connector_sorts_into_a_class_is_in_the_registry() -> None:
    from connectors.exchange import errors as exchange
    from connectors.salesforce import answers as salesforce

    codes = known_codes()
    tables = [exchange._DENIED, exchange._BUSY, exchange._GONE, exchange._MOVED_ON, exchange._LATER, exchange._STATE,
              exchange._AMBIGUOUS - {""}, salesforce._GONE, salesforce._LOCKED, salesforce._PASSING,
              salesforce._FORBIDDEN, salesforce._DUPLICATE, salesforce._ADMIN, salesforce._REMEDY.keys()]
    assert sorted(code for table in tables for code in table if code not in codes) == []


def test_no_code_means_two_things() -> None:
    every = [*Codes().all(), *(one for codes in connector_codes().values() for one in codes)]
    meanings: dict[str, set[str]] = {}
    for one in every:
        meanings.setdefault(one.code, set()).add(one.cause)
    assert {code: causes for code, causes in meanings.items() if len(causes) > 1} == {}


def test_the_page_of_errors_is_what_the_code_says() -> None:
    printed = CliRunner().invoke(app, ["errors", "--markdown"])
    assert printed.exit_code == 0
    assert (ROOT / "docs/errors.md").read_text() == printed.stdout, "run `sidefeed errors --markdown > docs/errors.md`"


def test_a_code_nobody_listed_is_explained_by_its_kind() -> None:
    unheard = known_codes().explain("NEW_IN_WINTER_27", "locked")
    assert (unheard.code, unheard.owner, unheard.retry) == ("NEW_IN_WINTER_27", "ops", "lanes")


NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(("code", "met", "wait"), [
    ("locked", 1, timedelta(minutes=20)), ("locked", QUICK_TRIES, timedelta(minutes=20)),
    ("locked", QUICK_TRIES + 1, timedelta(hours=15)), ("duplicate", 1, timedelta(hours=15)), ("invalid", 1, None)])
def test_when_a_refusal_is_asked_again(code: str, met: int, wait: timedelta | None) -> None:
    assert known_codes().explain(code).next_try(met, NOON) == (None if wait is None else NOON + wait)
