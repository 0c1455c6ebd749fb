"""Starting practice servers together: for a person (`up`, `python -m sandbox`) and for a test (`Sandbox`)."""

from __future__ import annotations

import csv
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from .kit import CertificateAuthority, Clock, PracticeServer

SERVERS = {
    "salesforce": "sandbox.salesforce:SalesforceServer",
    "hubspot": "sandbox.hubspot:HubSpotServer",
    "exchange": "sandbox.exchange:ExchangeServer",
    "graph": "sandbox.graph:GraphServer",
    "domino": "sandbox.domino:DominoServer",
}
"""Systems that can be practised on, and where their server class is found when it is asked for."""

CONTROL_PORT_OFFSET = 10
"""With a chosen port, the control APIs listen this far above their servers."""


class LaunchError(Exception):
    """The servers cannot be started as asked; the message says what to change."""


class Sandbox:
    """Several practice servers with one certificate authority, filled and ready. A context manager.

    `port` 0 takes free ports; otherwise the servers take `port`, `port + 1`, ... in the order of their names, and
    their control APIs the same plus 10. `seed` fills each with a small population, `data` loads
    `<data>/<system>/<Object>.json` or `.csv`; with neither, the systems are empty. `schema` is a YAML or JSON file with
    a section per system. `record` keeps every request in a file (per system, if there are several).
    Raises `LaunchError`.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        seed: int | None = None,
        data: Path | None = None,
        schema: Path | None = None,
        fixed_clock: datetime | str | None = None,
        record: Path | None = None,
    ) -> None:
        if seed is not None and data is not None:
            raise LaunchError("give a seed or a data folder, not both: each decides what the systems hold")
        chosen = list(dict.fromkeys(names)) or list(SERVERS)
        schemas = _read_schemas(schema, chosen) if schema is not None else {}
        if data is not None:
            _check_folders(data, chosen)
        self._ca = CertificateAuthority() if tls else None
        self.servers: dict[str, PracticeServer] = {}
        # Graph comes after Exchange, whose mailboxes it then speaks about.
        for index, name in sorted(enumerate(chosen), key=lambda one: one[1] == "graph"):
            shared: dict[str, Any] = {}
            if name == "graph" and "exchange" in self.servers:
                shared["exchange"] = self.servers["exchange"]
            server = server_class(name)(
                clock=_clock(fixed_clock),
                seed=seed or 0,
                tls=tls,
                host=host,
                port=port + index if port else 0,
                record=_record_file(record, name, alone=len(chosen) == 1),
                ca=self._ca,
                **shared,
            )
            server.control_port = port + CONTROL_PORT_OFFSET + index if port else 0
            self.servers[name] = server
            with _explained(name):
                _declare(server, schemas.get(name, {}))
                if seed is not None:
                    server.populate(seed)
                if data is not None and (data / name).is_dir():
                    server.load_data(read_objects(data / name))

    def start(self) -> Sandbox:
        """Start every server; if one cannot start, none stays running."""
        try:
            for server in self.servers.values():
                server.start()
        except OSError as error:
            self.stop()
            raise LaunchError(f"cannot listen: {error.strerror or error}; choose another --port") from error
        return self

    def stop(self) -> None:
        """Stop every server and remove the certificate."""
        for server in self.servers.values():
            server.stop()
        if self._ca is not None:
            self._ca.close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __getitem__(self, name: str) -> PracticeServer:
        return self.servers[name]

    def connections(self) -> dict[str, dict[str, Any]]:
        """How to connect to each: `url`, `control_url`, `ca_file` (None over http) and `credentials`."""
        return {name: _connection(server) for name, server in self.servers.items()}


def up(
    names: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: bool = False,
    seed: int | None = None,
    data: Path | None = None,
    schema: Path | None = None,
    fixed_clock: datetime | str | None = None,
    record: Path | None = None,
    json_output: bool = False,
    write: Callable[[str], object] | None = None,
    until: threading.Event | None = None,
    ready: Callable[[Sandbox], object] | None = None,
) -> None:
    """Start practice servers, print how to connect, and serve until SIGINT or SIGTERM (or until `until` is set).

    `ready` is called once the servers listen, before anything is printed; what it raises stops them.

    With `json_output`, one JSON object on one line: `{"servers": {name: {url, control_url, ca_file, credentials}}}`.
    Raises `LaunchError` with a message for the person who typed the command.
    """
    say = write if write is not None else _say
    done = until if until is not None else threading.Event()
    sandbox = Sandbox(
        names,
        host=host,
        port=port,
        tls=tls,
        seed=seed,
        data=data,
        schema=schema,
        fixed_clock=fixed_clock,
        record=record,
    )
    with stopped_by_signals(done), sandbox:
        if ready is not None:
            ready(sandbox)
        connections = sandbox.connections()
        say(json.dumps({"servers": connections}, default=str) if json_output else describe(connections))
        done.wait()


def describe(connections: Mapping[str, Mapping[str, Any]]) -> str:
    """How to connect, for a person to read."""
    lines: list[str] = []
    for name, connection in connections.items():
        addresses = {"url": connection["url"], "control api": connection["control_url"]}
        if connection["ca_file"]:
            addresses["certificate"] = connection["ca_file"]
        lines += [name, *_tree({**addresses, **connection["credentials"]}), ""]
    return "\n".join([*lines, "Stop with Ctrl-C."])


def server_class(name: str) -> type[PracticeServer]:
    """The server class of a system. Raises `LaunchError` naming the systems there are."""
    if name not in SERVERS:
        raise LaunchError(f"no practice server {name!r}; there are: {', '.join(SERVERS)}")
    module, _, attribute = SERVERS[name].partition(":")
    found: type[PracticeServer] = getattr(import_module(module), attribute)
    return found


def read_objects(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Records by object name, from `<Object>.json` (a list, or `{"records": [...]}`) and `<Object>.csv` files.

    A CSV cell is text, and an empty one is no value at all; the server reads it as its field's type.
    """
    objects: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".json":
            records = _json_records(file)
        elif file.suffix == ".csv":
            with file.open(encoding="utf-8-sig", newline="") as lines:
                records = [{key: cell for key, cell in row.items() if cell} for row in csv.DictReader(lines)]
        else:
            continue
        objects.setdefault(file.stem, []).extend(records)
    return objects


def _json_records(file: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except ValueError as error:
        raise LaunchError(f"{file}: not JSON: {error}") from error
    records = content.get("records") if isinstance(content, dict) else content
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise LaunchError(f"{file}: holds neither a list of records nor an object with such a list as `records`")
    return records


def _read_schemas(file: Path, chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(file.read_text("utf-8"))
    except OSError as error:
        raise LaunchError(f"{file}: {error.strerror}") from error
    except YAMLError as error:
        raise LaunchError(f"{file}: not YAML or JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        raise LaunchError(f"{file}: a schema file has one section per system: {', '.join(SERVERS)}")
    unknown = [str(name) for name in content if name not in SERVERS]
    if unknown:
        raise LaunchError(f"{file}: no practice server {unknown[0]!r}; its sections are among: {', '.join(SERVERS)}")
    return {name: section for name, section in content.items() if name in chosen}


def _declare(server: PracticeServer, section: Mapping[str, Any]) -> None:
    """A system's section of the schema file: credentials apart, the rest is the system's own."""
    declared = {key: value for key, value in section.items() if key != "credentials"}
    if section.get("credentials"):
        server.load_credentials(section["credentials"])
    if declared:
        server.load_schema(declared)


def _check_folders(data: Path, chosen: Sequence[str]) -> None:
    if not any((data / name).is_dir() for name in chosen):
        raise LaunchError(f"{data}: holds no folder named after a system ({', '.join(chosen)})")


def _clock(fixed: datetime | str | None) -> Clock:
    try:
        return Clock(fixed)
    except ValueError as error:
        raise LaunchError(f"--fixed-clock {fixed}: {error}; write it as 2026-03-02T09:00:00Z") from error


def _record_file(record: Path | None, name: str, *, alone: bool) -> Path | None:
    if record is None or alone:
        return record
    return record.with_name(f"{record.stem}.{name}{record.suffix or '.jsonl'}")


def _connection(server: PracticeServer) -> dict[str, Any]:
    credentials = {key: value for key, value in server.connection_info().items() if key not in _ADDRESSES}
    return {
        "url": server.url,
        "control_url": server.control_url,
        "ca_file": str(server.ca_file) if server.ca_file is not None else None,
        "credentials": credentials,
    }


_ADDRESSES = ("url", "control_url", "ca_file")


def _tree(values: Mapping[str, Any], depth: int = 1) -> Iterator[str]:
    """A small tree of plain data as aligned lines."""
    indent, width = "  " * depth, max((len(key) for key in values), default=0) + 2
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}"
            yield from _tree(value, depth + 1)
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            yield f"{indent}{key}"
            for item in value:
                yield f"{indent}  - {_inline(item)}"
        else:
            yield f"{indent}{key:<{width}}{_inline(value)}"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_inline(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what a server says about its data or schema into a message that names the system."""
    try:
        yield
    except (NotImplementedError, ValueError) as error:
        raise LaunchError(f"{name}: {error}") from error


@contextmanager
def stopped_by_signals(done: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set the event; outside the main thread signals are the caller's business."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: done.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
