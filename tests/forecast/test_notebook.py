"""What the documents tell an analyst to type into a notebook runs as it is printed, and says what was planted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sidefeed.cli.project_files import write_project
from sidefeed.forecast.hierarchy import import_memberships
from tests.forecast.shop import Shop, money

DOCS = Path(__file__).resolve().parents[2] / "docs" / "forecast.md"


def test_the_example_of_the_documents_runs_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, settings="")
    (tmp_path / "sidefeed.toml").write_text("")
    now = datetime.now(UTC)
    shop = Shop(tmp_path / "workspace.db", now - timedelta(days=10))
    ann = shop.person("Ann")
    with shop.store.write() as tx:
        import_memberships(tx, [{"team": "North", "member": "Ann"}], "ops")
    pump = shop.deal("Pump", "100.10", now.date().isoformat(), owner=ann, category="commit")
    shop.deal("Valve", "50", now.date().isoformat(), category="commit")
    shop.clock = now - timedelta(days=1)
    shop.edit(pump, money=money("120.10"))
    shop.close()
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(from sidefeed.project.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    told: dict[str, Any] = {}
    exec(compile(example[1], str(DOCS), "exec"), told)
    assert told["found"].number == {"EUR": Decimal("120.10")}
    assert "As of " in capsys.readouterr().out
    assert told["why"].steps["amount"].tolist()[-1] == Decimal("170.10")
    assert [row["step"] for row in told["moved"].deals.to_dict("records")] == ["amount up"]
    assert sorted(told["then"]["amount"]) == [Decimal("50"), Decimal("100.10")]
    told["store"].close()
    told["project"].close()
