"""A real PostgreSQL server for the tests that need one, in a folder of its own, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from sidefeed.workspace import Store


def programs() -> Path | None:
    """The folder that holds ``initdb``, or None where PostgreSQL is not installed."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True), Path("/usr/local/bin/initdb")]
    path = next((path for path in found if path.is_file()), None) or shutil.which("initdb")
    return Path(path).parent if path else None


class Postgres:
    """A running server; `workspace` gives the URL of a new, migrated workspace each time it is asked."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._run("CREATE DATABASE fresh")
        Store.open(self._url("fresh")).close()

    def workspace(self) -> str:
        return self._create("fresh")

    def empty(self) -> str:
        return self._create("template0")

    def _create(self, template: str) -> str:
        name = f"workspace{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql:///{database}?host={self._socket}&user=sidefeed"

    def _run(self, statement: str) -> None:
        with psycopg.connect(f"host={self._socket} user=sidefeed dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


@contextmanager
def running(bin: Path) -> Iterator[Postgres]:
    """A server on a socket in a temporary folder: no port, no password, nothing on disk that outlives it."""
    folder = Path(tempfile.mkdtemp(prefix="sidefeed-pg-"))
    user = _unprivileged()
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data, log = folder / "data", folder / "log"
    server: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run([bin / "initdb", "-D", data, "-U", "sidefeed", "-A", "trust", "-E", "UTF8", "--no-sync"],
                       user=user, cwd=folder, check=True, capture_output=True)
        with log.open("wb") as told:
            server = subprocess.Popen(
                [bin / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
                user=user, cwd=folder, stdout=told, stderr=told)
        _wait(server, folder, log)
        yield Postgres(folder)
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown: sessions are cut off
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root; then it runs as somebody who owns nothing else."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _wait(server: subprocess.Popen[bytes], folder: Path, log: Path) -> None:
    for _ in range(300):
        try:
            psycopg.connect(f"host={folder} user=sidefeed dbname=postgres").close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"PostgreSQL did not start: {log.read_text()}")
