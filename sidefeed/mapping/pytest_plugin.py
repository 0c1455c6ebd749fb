"""pytest runs golden tests: every ``tests/*.yaml`` beside an ``entities.yaml`` is collected as tests.

Installed with Sidefeed (entry point ``pytest11``); ``pytest mappings`` is all it takes. Nothing is imported until such
a file is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sidefeed.mapping.golden import Golden, Outcome
    from sidefeed.mapping.model import Mapping


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Golden tests are YAML in a folder ``tests`` beside the mapping files."""
    if file_path.suffix != ".yaml" or file_path.parent.name != "tests":
        return None
    if not (file_path.parent.parent / "entities.yaml").is_file():
        return None
    return GoldenTests.from_parent(parent, path=file_path)


class GoldenTests(pytest.File):
    """One file of golden tests."""

    def collect(self) -> Iterator[pytest.Item]:
        from sidefeed.mapping import MappingErrors, golden, load
        from sidefeed.project import values_of

        folder = self.path.parent.parent
        try:
            mapping = load(folder, values_of(folder.parent))
            found = [each for each in golden.read(folder) if each.path == self.path]
        except MappingErrors as errors:
            raise self.CollectError(str(errors)) from None
        for each in found:
            yield GoldenTest.from_parent(self, name=each.case.name, golden=each, mapping=mapping)


class Differs(Exception):
    """A golden test differs; the text shows where."""


class GoldenTest(pytest.Item):
    """One golden test."""

    def __init__(self, *, golden: Golden, mapping: Mapping, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.golden = golden
        self.mapping = mapping

    def runtest(self) -> None:
        from sidefeed.mapping import golden

        outcome: Outcome
        (outcome,) = golden.run(self.mapping, [self.golden])
        if not outcome.ok:
            raise Differs(str(outcome))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return str(excinfo.value) if excinfo.errisinstance(Differs) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.golden.line - 1, self.golden.case.name
