"""CSV files come into the workspace by an ordinary mapping; what cannot be read is named and the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.csvfiles import CsvConnector
from sidefeed.cli.csv_import import Imported, import_files
from sidefeed.cli.imports import app
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.connector import Invalid, Stream
from sidefeed.mapping import load
from sidefeed.project import Project, ProjectError
from sidefeed.workspace import Draft, RecordState

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"
EXAMPLE = MAPPINGS / "examples" / "sales_csv.yaml"

TEAMS = "sales_agent,manager,regional_office\r\nAnna Snelling,Dustin Brinkmann,Central\r\n" \
        "Moses Frase,Dustin Brinkmann,Central\r\n"
ACCOUNTS = "account,sector,office_location\r\nCancity,technolgy,Philipines\r\nIsdom,medical,Kenya\r\n"
DEALS = ("opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\r\n"
         "1C1I7A6R,Moses Frase,GTXPro,Cancity,Won,2016-10-20,2017-03-01,1054\r\n"
         "Z063OYW0,Anna Snelling,MG Special,,Engaging,2016-11-25,,\r\n")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    write_project(tmp_path / "project", settings=settings_text({}, workspace="workspace.db", mappings="mappings"))
    opened = Project.load(tmp_path / "project", environment={})
    yield opened
    opened.close()


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Write the three files, some of them with other content, into one folder."""

    def write(**other: str | bytes) -> Path:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        for name, text in {"sales_teams": TEAMS, "accounts": ACCOUNTS, "sales_pipeline": DEALS, **other}.items():
            (folder / f"{name}.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return folder

    return write


def imported(project: Project, folder: Path, **options: str) -> Imported:
    return import_files(project, [folder], EXAMPLE, **options)


def held(project: Project, entity: str) -> dict[str, RecordState]:
    """Live records of an entity by name."""
    store = project.store()
    with store.read() as tx:
        found = {state.values["name"]: state for state in tx.each_record(entity) if not state.deleted}
    store.close()
    return found


def test_the_example_repairs_what_is_wrong_in_the_files(project: Project, files: Callable[..., Path]) -> None:
    done = imported(project, files())
    assert done.records == {"sales_teams": 2, "sales_teams.managers": 1, "accounts": 2, "sales_pipeline": 2}
    assert (done.report.problems, done.waiting) == ([], 0)
    accounts, people, deals = (held(project, entity) for entity in ("account", "user", "opportunity"))
    assert accounts["Cancity"].values == {"name": "Cancity", "industry": "Technology", "country": "Philippines"}
    assert deals["Cancity 1C1I7A6R"].values == {
        "name": "Cancity 1C1I7A6R", "external_key": "1C1I7A6R", "description": "GTX Pro", "stage": "won",
        "close_date": "2017-03-01", "money": {"amount": "1054", "currency": "USD"},
        "account": accounts["Cancity"].id, "owner": people["Moses Frase"].id}
    assert deals["Z063OYW0"].values == {
        "name": "Z063OYW0", "external_key": "Z063OYW0", "description": "MG Special", "stage": "qualification",
        "owner": people["Anna Snelling"].id}


def test_a_second_import_changes_nothing_and_an_edited_row_is_one_edit(
    project: Project, files: Callable[..., Path]
) -> None:
    imported(project, files())
    again = imported(project, files())
    assert again.report.counts == {}
    edited = imported(project, files(sales_pipeline=DEALS.replace("1054", "2000")))
    assert edited.report.counts == {"captured": 1, "absorbed": 1}
    deal = held(project, "opportunity")["Cancity 1C1I7A6R"]
    store = project.store()
    with store.read() as tx:
        last = tx.changes_of(deal.id)[-1]
    store.close()
    assert (last.source, last.actor, last.fields) == (
        "import", "crm_csv", {"money": {"amount": "2000", "currency": "USD"}})


def test_a_row_gone_from_the_file_is_not_a_deletion(project: Project, files: Callable[..., Path]) -> None:
    imported(project, files())
    imported(project, files(sales_pipeline=DEALS.partition("Z063")[0]))
    assert set(held(project, "opportunity")) == {"Cancity 1C1I7A6R", "Z063OYW0"}


def test_a_row_that_is_looked_for_and_gone_from_the_file_is_not_a_deletion_either(
    project: Project, files: Callable[..., Path]
) -> None:
    imported(project, files())
    store = project.store()
    with store.write() as tx:
        tx.put_inbox("crm_csv", "sales_pipeline", {"Z063OYW0": None})  # as a merge in a CRM has it looked at again
    store.close()
    done = imported(project, files(sales_pipeline=DEALS.partition("Z063")[0]))
    assert [(one.record, one.code) for one in done.report.problems] == [("Z063OYW0", "out-of-reach")]
    assert set(held(project, "opportunity")) == {"Cancity 1C1I7A6R", "Z063OYW0"}
    assert imported(project, files()).report.problems == []


def test_people_are_those_who_are_there_by_name(project: Project, files: Callable[..., Path]) -> None:
    store = project.store()
    with store.write() as tx:
        moses = tx.new_id()
        tx.append([Draft("user", moses, {"name": "Moses Frase", "email": "moses@example.com"}, "sync", "salesforce")])
    store.close()
    done = imported(project, files())
    assert done.report.counts["matched"] == 1
    assert held(project, "user")["Moses Frase"].id == moses
    assert held(project, "opportunity")["Cancity 1C1I7A6R"].values["owner"] == moses


@pytest.mark.parametrize(("row", "line", "code", "said"), [
    pytest.param("A,b,c", 4, "ragged", "3 cells, and the heading has 8", id="ragged"),
    pytest.param("1C1I7A6R,Moses Frase,MG,Isdom,Won,2017-01-01,2017-03-01,7", 4, "key-repeated",
                 "'1C1I7A6R' stands in line 2 already", id="repeated key"),
    pytest.param(",Moses Frase,MG,Isdom,Won,2017-01-01,2017-03-01,7", 4, "key-blank", "opportunity_id is blank",
                 id="blank key"),
    pytest.param(b"X1,Moses Frase,M\xfcller,Isdom,Won,2017-01-01,2017-03-01,7", 4, "encoding",
                 "'product' holds bytes that are not utf-8-sig", id="bad bytes"),
    pytest.param('X1,"Moses Frase,MG,Isdom,Won,2017-01-01,2017-03-01,7', 4, "ragged",
                 "A quote may not be closed: the row reaches to line 5",
                 id="open quote"),
])
def test_a_row_that_cannot_be_read_is_named_and_the_rest_goes_on(
    project: Project, files: Callable[..., Path], row: str | bytes, line: int, code: str, said: str
) -> None:
    bad = row if isinstance(row, bytes) else row.encode()
    quoted = b'"' in bad
    after = b"N3W,Moses Frase,MG Special,Isdom,Prospecting,,,\r\n"
    done = imported(project, files(sales_pipeline=DEALS.encode() + bad + b"\r\n" + after))
    (problem,) = done.report.problems
    assert (problem.record, problem.code) == (f"sales_pipeline.csv line {line}", code)
    assert said in problem.message
    assert set(held(project, "opportunity")) == {"Cancity 1C1I7A6R", "Z063OYW0"} | (
        set() if quoted else {"Isdom N3W"})


@pytest.mark.parametrize("key", ["N3\x00W", "N3W" * 1000], ids=["with a NUL", "3,000 characters"])
def test_a_key_that_no_database_finds_again_is_kept_as_a_hash_and_one_record(
    project: Project, files: Callable[..., Path], key: str
) -> None:
    text = DEALS + f"{key},Moses Frase,MG Special,Isdom,Prospecting,,,\r\n"
    done = imported(project, files(sales_pipeline=text))
    assert (done.report.problems, done.records["sales_pipeline"], done.waiting) == ([], 3, 0)
    store = project.store()
    with store.read() as tx:
        assert max(map(len, tx.linked_ids("crm_csv", "sales_pipeline"))) == 32
    store.close()
    assert imported(project, files(sales_pipeline=text)).report.counts == {}
    edited = imported(project, files(sales_pipeline=text.replace("MG Special,Isdom", "GTX Basic,Isdom")))
    assert edited.report.counts == {"captured": 1, "absorbed": 1}
    assert len(held(project, "opportunity")) == 3


def test_a_value_outside_the_table_is_reported_and_the_record_goes_on(
    project: Project, files: Callable[..., Path]
) -> None:
    done = imported(project, files(sales_pipeline=DEALS.replace("Engaging", "Dreaming")))
    (problem,) = done.report.problems
    assert (problem.record, problem.field, problem.code) == ("Z063OYW0", "stage", "unknown-value")
    assert "stage" not in held(project, "opportunity")["Z063OYW0"].values


def test_a_deal_waits_for_an_account_that_comes_later(project: Project, files: Callable[..., Path]) -> None:
    lone = ACCOUNTS.splitlines(keepends=True)
    done = imported(project, files(accounts=lone[0] + lone[2]))
    assert done.waiting == 1
    assert "account" not in held(project, "opportunity")["Cancity 1C1I7A6R"].values
    done = imported(project, files())
    assert done.waiting == 0
    assert held(project, "opportunity")["Cancity 1C1I7A6R"].values["account"] == held(project, "account")["Cancity"].id


def test_a_column_that_is_not_there_is_told_with_its_place_before_anything_is_read(
    project: Project, files: Callable[..., Path]
) -> None:
    with pytest.raises(ProjectError) as caught:
        imported(project, files(sales_pipeline=DEALS.replace("close_value", "value")))
    assert "mappings/sales_csv.yaml:" in str(caught.value)
    assert "sales_pipeline.csv has no column 'close_value'" in str(caught.value)
    assert held(project, "account") == {}


def test_a_missing_file_is_told_with_those_there_are(project: Project, files: Callable[..., Path]) -> None:
    folder = files()
    (folder / "sales_pipeline.csv").rename(folder / "sales_pipelines.csv")
    with pytest.raises(Invalid, match=r"no sales_pipeline\.csv .* Did you mean 'sales_pipelines'"):
        imported(project, folder)


def test_a_file_in_another_encoding_and_with_another_delimiter_is_read_when_told(
    project: Project, files: Callable[..., Path]
) -> None:
    texts = {name: text.replace(",", ";").replace("Isdom", "Müller").encode("cp1252")
             for name, text in (("sales_teams", TEAMS), ("accounts", ACCOUNTS), ("sales_pipeline", DEALS))}
    imported(project, files(**texts), delimiter=";", encoding="cp1252")
    assert set(held(project, "account")) == {"Cancity", "Müller"}


def test_rows_without_a_key_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("text,tag\na,1\nb,1\na,1\n", encoding="utf-8")
    connector = CsvConnector.from_settings({"folder": tmp_path})
    (page,) = connector.changes(Stream("notes"), ["text"], None)
    assert [remote.values for remote in page.records] == [{"text": "a"}, {"text": "b"}]
    assert page.last
    assert connector.problems == []
    keyed = CsvConnector.from_settings({"folder": tmp_path, "keys": {"notes": ["tag", "text"]}})
    (again,) = keyed.changes(Stream("notes"), ["text"], None)
    assert len({remote.id for remote in again.records}) == 2


def test_a_wrong_setting_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="'delimeter' is no setting of CSV files; did you mean 'delimiter'"):
        CsvConnector.from_settings({"delimeter": ";"})


def test_the_example_is_not_part_of_the_default_mapping() -> None:
    assert "crm_csv" not in load(MAPPINGS).systems


def test_the_command_prints_one_object_and_its_exit_code_asks_for_attention(
    project: Project, files: Callable[..., Path]
) -> None:
    folder = files(accounts=ACCOUNTS + "too,few\r\n")
    result = CliRunner().invoke(app, [
        "csv", str(folder / "accounts.csv"), str(folder / "sales_teams.csv"), str(folder / "sales_pipeline.csv"),
        "--mapping", str(EXAMPLE), "-C", str(project.folder), "--json"])
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["records"]["accounts"] == 2
    assert told["problems"][0]["record"] == "accounts.csv line 4"
