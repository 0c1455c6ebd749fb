"""``sidefeed up`` and ``down``: a real Prefect server and a worker for one project, on this machine alone.

Prefect itself is not imported here: the two run as processes of their own and are spoken to over the API. They keep
their state in ``.sidefeed`` in the project folder, so nothing touches another Prefect of the same user.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidefeed.cli import output
from sidefeed.cli.shared import JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    import httpx

    from sidefeed.sync import Report

STATE = ".sidefeed"
HOST = "127.0.0.1"
START_SECONDS = 180.0
"""How long the server may take to answer: 12 s on a laptop, of which most is making its database, once."""
STOP_SECONDS = 45.0
"""How long the worker may take to end the runs it is in before it is killed; the next run finishes what it left."""
ORPHAN_SECONDS = 5.0
"""The same where the server is gone: the worker would only wait for it."""
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


class ServerError(Exception):
    """The local server cannot do what was asked; the message says why and what to do."""

    code = output.USAGE


class NotStarted(ServerError):
    """Server or worker did not come up, or died."""

    code = output.UNREACHABLE


class AlreadyAtWork(ServerError):
    """Another ``up`` or ``down`` is at work on the project."""

    code = output.BUSY


class RunFailed(ServerError):
    """A flow run ended without a report."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from a later one with the same number by when it started."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, _born(pid) or "")

    def alive(self) -> bool:
        _reap(self.pid)
        born = _born(self.pid)
        return born is not None and born == self.born

    def stop(self, seconds: float) -> None:
        """End it and what it started, and kill what has not ended after so many seconds. Others are never touched."""
        if not self.alive() and not self._left_behind():
            return
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.alive() or self._left_behind():
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
                if not self.alive():
                    return  # what is left of its group is dead and waits to be collected by its parent
                deadline += seconds
            time.sleep(0.05)

    def _left_behind(self) -> bool:
        """Whether processes that it started outlive it: its number stays their group's until the last has ended."""
        if _born(self.pid) is not None:
            return False
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)  # each was started as the leader of its own group
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise ServerError(f"process {self.pid} belongs to somebody else and was left alone ({error}).") from None


@dataclass(slots=True)
class Status:
    """What runs for a project. ``started`` tells whether this call started anything."""

    url: str
    auth_file: str
    deployments: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    processes: dict[str, int] = field(default_factory=dict)
    started: bool = False
    why_paused: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"ok": True, "started": self.started, "url": self.url, "api_url": f"{self.url}/api",
                "auth_file": self.auth_file, "deployments": self.deployments, "paused": self.paused,
                "why_paused": self.why_paused, "processes": self.processes}


class LocalServer:
    """The Prefect server and the worker of one project. As a context manager, they run for as long as it is open.

    ``port`` 0 takes a free one. ``schedules`` None runs them once the project has been synced: the first contact of two
    systems is something a person looks at (`sidefeed plan`) before it happens by itself. ``poll_seconds`` is how often
    the worker asks for runs.
    """

    def __init__(
        self, project: Path | str, *, port: int = 0, schedules: bool | None = False, poll_seconds: float = 0.5
    ) -> None:
        self.folder = Path(project).resolve()
        self.state = self.folder / STATE
        self.port = port
        self.schedules = schedules
        self.poll_seconds = poll_seconds

    def __enter__(self) -> LocalServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- starting and stopping ----------------------------------------------------------------------------------

    def start(self) -> Status:
        """Start what does not run yet, and wait until the worker takes runs. Raises ServerError; nothing stays
        running then that this call started."""
        for name in ("sidefeed.toml", "prefect.yaml"):
            if not (self.folder / name).is_file():
                raise ServerError(f"{self.folder / name} does not exist. Run `sidefeed init` to make a project, or "
                                  f"name its folder with --project.")
        self._prepare()
        with self._alone():
            known = self._recorded()
            alive = {name: process for name, process in known.items() if process.alive()}
            if {"server", "worker"} <= alive.keys() and self._answers():
                return self._status(alive, started=False)
            try:
                return self._start(alive)
            except BaseException:
                for name, process in self._recorded().items():
                    if name not in alive:
                        process.stop(STOP_SECONDS)
                raise

    def _start(self, alive: dict[str, Process]) -> Status:
        running = dict(alive)
        if "server" not in running:
            if "worker" in running:
                running.pop("worker").stop(STOP_SECONDS)  # it works for a server that is no more
            port = self._free_port()
            self._save({"port": port, "processes": {}})
            running["server"] = self._spawn("server", [
                "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--host", HOST, "--port",
                str(port), "--timeout-keep-alive", "5", "--log-level", "warning"])
            self._record(running)
        schedules, why = self._wanted_schedules()
        ready = self.state / "ready.json"
        ready.unlink(missing_ok=True)
        # The worker imports Prefect while the server makes its database, and waits for it.
        running["worker"] = self._spawn("worker", [
            "-m", "flows.serve", "--ready", str(ready), "--schedules" if schedules else "--no-schedules"])
        self._record(running)
        content = self._wait_for(ready, running)
        self._save({**self._saved(), "paused_because": why, **{
            key: content[key] for key in ("deployments", "paused")}})
        return self._status(running, started=True)

    def stop(self) -> list[str]:
        """Stop what runs, worker first; returns the names of what was running. Nothing running is no error."""
        if not self.state.is_dir():
            return []
        with self._alone():
            recorded = self._recorded()
            running = {name for name, process in recorded.items() if process.alive()}
            stopped: list[str] = [name for name in ("worker", "server") if name in running]
            for name in ("worker", "server"):
                if name in recorded:  # what has died itself may have left processes behind
                    recorded[name].stop(STOP_SECONDS if "server" in running else ORPHAN_SECONDS)
            for name in ("server.json", "ready.json"):
                (self.state / name).unlink(missing_ok=True)
            return stopped

    def _prepare(self) -> None:
        """The state folder, closed to others, and its secrets, made once."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.state.chmod(0o700)
        for name, make in (("api-auth", _new_login), ("encryption-key", _new_key), (".gitignore", lambda: "*\n")):
            path = self.state / name
            if not path.exists():
                _write_private(path, make())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One `up` or `down` at a time. Raises ServerError where another is at work."""
        import fcntl

        with (self.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyAtWork(
                    f"another `sidefeed up` or `down` is at work in {self.folder}. Wait for it.") from None
            yield

    def _free_port(self) -> int:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError as error:
                raise ServerError(
                    f"port {self.port} cannot be used: {(error.strerror or str(error)).lower()}. Choose another with "
                    f"--port, or leave it out for a free one.") from None
            return int(probe.getsockname()[1])

    def _spawn(self, name: str, arguments: list[str]) -> Process:
        with (self.state / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own interpreter and modules
                [sys.executable, *arguments], env=self.environment(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        process.returncode = 0  # it outlives this object on purpose; `_reap` takes leave of it
        return Process.of(process.pid)

    def environment(self) -> dict[str, str]:
        """The environment of server and worker: this one, without what it says of another Prefect."""
        login = (self.state / "api-auth").read_text(encoding="utf-8").strip()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {
            **inherited,
            "DO_NOT_TRACK": "1",
            "SIDEFEED_PROJECT": str(self.folder),
            "PREFECT_HOME": str(self.state / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_API_AUTH_STRING": login,
            "PREFECT_SERVER_API_AUTH_STRING": login,
            "PREFECT_SERVER_ENCRYPTION_KEY": (self.state / "encryption-key").read_text(encoding="utf-8").strip(),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
            "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",  # the worker registers ours; Prefect's take a second
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_WORKER_QUERY_SECONDS": str(self.poll_seconds),
            "PREFECT_CLI_COLORS": "false",
            "PREFECT_LOGGING_COLORS": "false",
            "PREFECT__SERVER_FINAL": "1",
        }

    def _wanted_schedules(self) -> tuple[bool, str | None]:
        if self.schedules is not None:
            return self.schedules, None if self.schedules else "schedules were not asked for"
        if self._synced_before():
            return True, None
        return False, ("this project has never been synced. Look at `sidefeed plan`, run `sidefeed sync`, then "
                       "`sidefeed down` and `sidefeed up` to start the schedules")

    def _synced_before(self) -> bool:
        from sidefeed.project import Project
        from sidefeed.workspace.report import workspace_status

        store = Project.load(self.folder).store()
        try:
            return any(run["what"].startswith("sync") and run["state"] in ("done", "incomplete")
                       for run in workspace_status(store)["runs"])
        finally:
            store.close()

    # -- waiting ------------------------------------------------------------------------------------------------

    def _wait_for(self, ready: Path, running: Mapping[str, Process]) -> dict[str, Any]:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            for name, process in running.items():
                if not process.alive() and not ready.exists():
                    raise NotStarted(f"the {name} ended while starting. {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise NotStarted(f"the server did not come up within {START_SECONDS:.0f} seconds. "
                                 f"{self._last_words('server')}")
            time.sleep(0.05)
        content: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
        if not content["ok"]:
            raise ServerError(f"the deployments could not be registered: {content['error']}. "
                              f"{self._last_words('worker')}")
        return content

    def _last_words(self, name: str) -> str:
        path = self.state / f"{name}.log"
        lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return f"{path} ends:\n" + "\n".join(lines[-8:])

    def _answers(self) -> bool:
        import httpx

        with self._client(5.0) as client:
            try:
                return client.get("/health").is_success
            except httpx.HTTPError:
                return False

    # -- what is known ------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._saved().get('port', 0)}"

    def _saved(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.state / "server.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def _save(self, content: Mapping[str, Any]) -> None:
        _write_private(self.state / "server.json", json.dumps(content, indent=2))

    def _record(self, running: Mapping[str, Process]) -> None:
        self._save({**self._saved(), "processes": {
            name: {"pid": process.pid, "born": process.born} for name, process in running.items()}})

    def _recorded(self) -> dict[str, Process]:
        found = self._saved().get("processes")
        if not isinstance(found, dict):
            return {}
        return {name: Process(int(one["pid"]), str(one["born"])) for name, one in found.items()}

    def _status(self, running: Mapping[str, Process], *, started: bool) -> Status:
        saved = self._saved()
        return Status(self.url, str(self.state / "api-auth"), saved.get("deployments", []), saved.get("paused", []),
                      {name: process.pid for name, process in running.items()}, started, saved.get("paused_because"))

    # -- runs ---------------------------------------------------------------------------------------------------

    def sync(self, **parameters: Any) -> Report:
        """Sync every system through a flow run on the worker, and wait for it; the same report as `Engine.sync`.

        Raises RunFailed with the run's final state where it ended without a report: a guard stopped it, the settings
        are wrong, or it crashed.
        """
        run = self.run("sync-all/everything", parameters)
        state, message = run["state"]["name"], run["state"].get("message") or ""
        told = re.search(r"Workspace run (\S+)$", message)
        if told is None:
            raise RunFailed(f"flow run {run['name']} ended {state}: {message}")
        return self._report(told[1])

    def run(self, deployment: str, parameters: Mapping[str, Any], *, seconds: float = 600.0) -> dict[str, Any]:
        """Start a run of ``flow/deployment`` and wait for its final state; the run as the API tells it."""
        with self._client(30.0) as client:
            found = _ask(client, "GET", f"/deployments/name/{deployment}", missing=(
                f"there is no deployment {deployment!r} on {self.url}; there are: "
                f"{', '.join(self._saved().get('deployments', []))}."))
            made = _ask(client, "POST", f"/deployments/{found['id']}/create_flow_run", json={
                "parameters": dict(parameters), "state": {"type": "SCHEDULED"},
                "idempotency_key": secrets.token_hex(16)})
            deadline = time.monotonic() + seconds
            while True:
                run: dict[str, Any] = _ask(client, "GET", f"/flow_runs/{made['id']}")
                if run["state_type"] in FINAL:
                    return run
                if not all(process.alive() for process in self._recorded().values()):
                    raise NotStarted(f"the worker or the server died during {run['name']}. "
                                     f"{self._last_words('worker')}")
                if time.monotonic() > deadline:
                    raise ServerError(f"flow run {run['name']} is still {run['state_type']} after {seconds:.0f} "
                                      f"seconds; see {self.url}.")
                time.sleep(0.1)

    def _report(self, run: str) -> Report:
        from sidefeed.project import Project
        from sidefeed.sync import Problem, Report

        store = Project.load(self.folder).store()
        try:
            with store.read() as tx:
                detail = next(row["detail"] for row in tx.runs(50) if row["id"] == run)
        finally:
            store.close()
        return Report(run, detail["counts"], detail["written"], [Problem(**one) for one in detail["problems"]],
                      detail["absorbed"], detail["failed"], detail["waiting"], detail["parked"])

    def _client(self, seconds: float) -> httpx.Client:
        import httpx

        user, _, password = (self.state / "api-auth").read_text(encoding="utf-8").strip().partition(":")
        return httpx.Client(base_url=f"{self.url}/api", auth=(user, password), timeout=seconds, trust_env=False)


# -- commands -----------------------------------------------------------------------------------------------------


def up(
    project: ProjectOption = Path(),
    json: JsonOption = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the server; 0 takes a free one.")] = 0,
    schedules: Annotated[bool | None, typer.Option(
        "--schedules/--no-schedules", help="Run the schedules; by default once the project has been synced.")] = None,
) -> None:
    """Start a local Prefect server and a worker for this project, with its deployments and schedules.

    Both listen on this machine only, behind a password that is made for the project; nothing is reported to anybody.
    Run it again at any time: what runs already stays. `sidefeed down` stops both.
    """
    local = LocalServer(project, port=port, schedules=schedules, poll_seconds=5.0)
    waiting = not json and output.err.is_terminal
    with errors(json):
        try:
            with output.err.status("Starting Prefect: about 15 seconds ...") if waiting else nullcontext():
                status = local.start()
        except ServerError as error:
            output.fail(str(error), error.code, json=json)
    if json:
        output.print_json(status.as_json())
        return
    output.out.print(f"Prefect {'runs' if status.started else 'is already up'} at {status.url}  "
                     f"(its password is in {status.auth_file})")
    output.out.print(f"{len(status.deployments)} deployments: {', '.join(status.deployments)}")
    if status.paused:
        because = f", because {status.why_paused}" if status.why_paused else ""
        output.out.print(f"[yellow]Paused:[/yellow] {', '.join(status.paused)}{because}.")
    output.out.print("Stop both with `sidefeed down`.")


def down(project: ProjectOption = Path(), json: JsonOption = False) -> None:
    """Stop the project's Prefect server and worker. Runs at work end first; the history stays for the next `up`."""
    try:
        stopped = LocalServer(project).stop()
    except ServerError as error:
        output.fail(str(error), error.code, json=json)
    if json:
        output.print_json({"ok": True, "stopped": stopped})
    else:
        output.out.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


# -- small things -------------------------------------------------------------------------------------------------


def _ask(client: httpx.Client, method: str, path: str, *, json: Any = None, missing: str | None = None) -> Any:
    """One request to Prefect's API. 503 is what it says while SQLite is busy, and means again, soon."""
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random_exponential

    again = Retrying(retry=retry_if_result(lambda answer: answer.status_code == 503), stop=stop_after_delay(30),
                     wait=wait_random_exponential(multiplier=0.1, max=2), retry_error_callback=lambda state: (
                         state.outcome.result() if state.outcome else None))
    answer = again(client.request, method, path, json=json)
    if answer.status_code == 404 and missing is not None:
        raise ServerError(missing)
    if not answer.is_success:
        raise ServerError(f"Prefect answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
    return answer.json()


def _new_login() -> str:
    return f"sidefeed:{secrets.token_urlsafe(24)}"


def _new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner may read; whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _reap(pid: int) -> None:
    """Take leave of a child that has ended, so that it counts as gone."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _born(pid: int) -> str | None:
    """When a process started, in whatever words the system has for it; None where there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    told = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return told.stdout.strip() or None
