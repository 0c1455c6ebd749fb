"""A real Radicale on loopback, as the practice server for CalDAV and CardDAV: a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

_REQUEST = re.compile(rb" request for .* received from ")
_TRIES, _PAUSE = 200, 0.05


class Radicale:
    """Runs in a ``with`` block and keeps its collections in a folder. ``people`` (login -> password) may sign in, each
    to the collections below their own name; without it every login is taken. It has no scheduling, so it mails nobody.

    Raises RuntimeError where Radicale is not installed, or does not start.
    """

    def __init__(self, folder: Path, people: Mapping[str, str] | None = None) -> None:
        if find_spec("radicale") is None:
            raise RuntimeError("Practising on CalDAV needs Radicale: `pip install 'sidefeed[demo]'`.")
        self._folder = folder
        self._log = folder / "radicale.log"
        self._config = folder / "radicale.conf"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        users = folder / "radicale.users"
        users.write_text("".join(f"{name}:{word}\n" for name, word in (people or {}).items()))
        sign_in = f"type = htpasswd\nhtpasswd_filename = {users}\nhtpasswd_encryption = plain\ndelay = 0\n"
        self._config.write_text(
            f"[server]\nhosts = 127.0.0.1:{port}\n[auth]\n{sign_in if people else 'type = none'}\n"
            f"[rights]\ntype = owner_only\n[storage]\nfilesystem_folder = {folder / 'collections'}\n"
            "[logging]\nlevel = info\n")

    @property
    def calls(self) -> int:
        """Requests so far, by Radicale's own log."""
        return len(_REQUEST.findall(self._log.read_bytes()))

    def __enter__(self) -> Radicale:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter
                [sys.executable, "-m", "radicale", "--config", str(self._config)], stdout=log, stderr=log)
        for _attempt in range(_TRIES):
            if self._answers():
                return self
            if self._process.poll() is not None:
                break
            time.sleep(_PAUSE)
        self.__exit__(None, None, None)
        raise RuntimeError(f"Radicale did not start: {self._log.read_text('utf-8', 'replace')[-500:]}")

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _answers(self) -> bool:
        try:
            build_opener(ProxyHandler({})).open(f"{self.url}/.web/", timeout=5).close()
        except HTTPError:
            return True
        except (URLError, OSError):
            return False
        return True


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
