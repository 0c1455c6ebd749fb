"""``sidefeed serve`` as a person starts it: a process of its own, its link, its refusals."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidefeed.cli.project_files import settings_text, write_project

COMMAND = [sys.executable, "-m", "sidefeed", "serve", "--no-browser"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path, settings=settings_text({}, {
        "dana@example.com": {"role": "director"}, "ann@example.com": {"role": "rep", "manager": "dana@example.com"}}))
    return tmp_path


@contextmanager
def serving(project: Path, *options: str) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen([*COMMAND, "-C", str(project), "--port", "0", "--json", *options],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_the_printed_link_opens_the_page_and_another_can_be_had(project: Path) -> None:
    with serving(project, "--as", "ann@example.com") as told:
        client = httpx.Client(follow_redirects=True, trust_env=False, timeout=30)
        with client:
            token = told["sign_in"].partition("token=")[2]
            page = client.post(f"{told['url']}/sign-in", data={"token": token})
            assert "There are no deals yet" in page.text
            assert "Ann, rep" in page.text
            port = told["url"].rpartition(":")[2]
            again = subprocess.run([*COMMAND, "-C", str(project), "--link", "--port", port, "--json"],
                                   capture_output=True, text=True, check=True)
            other = json.loads(again.stdout)["sign_in"]
            assert other.startswith(told["url"])
            assert ", director" in client.post(f"{told['url']}/sign-in",
                                               data={"token": other.partition("token=")[2]}).text


def test_the_person_at_this_machine_is_signed_in_where_the_settings_name_one(project: Path) -> None:
    settings = project / "sidefeed.toml"
    with serving(project) as told:
        assert told["role"] == "director"
        assert told["person"] not in settings.read_text()
    settings.write_text(settings.read_text() + '\n[web]\nperson = "Ann@example.com"\n')
    with serving(project) as told:
        assert (told["person"], told["role"]) == ("ann@example.com", "rep")
    settings.write_text(settings.read_text().replace("Ann@", "amm@"))
    done = subprocess.run([*COMMAND, "-C", str(project), "--port", "0", "--json"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "amm@example.com ([web] person) is not in [people]" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(("options", "told"), [
    (("--as", "nobody@example.com"), "is not in [people]"), (("--host", "0.0.0.0"), "[web]"),
    (("-C", "no/such/folder"), "is no Sidefeed project")])
def test_what_cannot_be_served_is_told_with_what_to_do(project: Path, options: tuple[str, ...], told: str) -> None:
    done = subprocess.run([*COMMAND, "-C", str(project), "--port", "0", "--json", *options], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2
    assert told in json.loads(done.stdout)["error"]


def test_a_port_that_is_taken_is_told(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run([*COMMAND, "-C", str(project), "--port", str(taken.getsockname()[1]), "--json"],
                              capture_output=True, text=True, timeout=60)
    assert (done.returncode, "--link" in json.loads(done.stdout)["error"]) == (2, True)
