"""Base of each practice server: one event loop in one thread, one request at a time, and every bad day on demand.

Handlers are synchronous and run on the loop's thread, so each request is atomic and clients may be as concurrent as
they like. What the protocols share lives here: sockets, TLS, compression, faults, counters, the request log, the clock
and snapshots. A subclass says what the system says.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

from .clock import Clock
from .counters import Counters
from .faults import Fault, FaultBook
from .http import BadJson, Request, Response
from .log import RequestLog
from .pipeline import Pipeline
from .tls import CertificateAuthority
from .wire import Door

P = ParamSpec("P")
T = TypeVar("T")
Self = TypeVar("Self", bound="PracticeServer")

FaultKind = Callable[[Request, Fault], "Response | None"]
Hook = Callable[[int, Request, str], None]

DEFAULT_MAX_BODY = 160 * 1024 * 1024
"""Bytes of a request body, unpacked. Salesforce Bulk API 2.0 takes 150 MB once encoded; nothing else takes more."""


@dataclass(frozen=True)
class Crash:
    """A handler that raised: a bug of the practice server. Tests assert that there are none."""

    correlation_id: str
    method: str
    path: str
    traceback: str


class PracticeServer:
    """A local stand-in for one outside system.

    Subclasses implement `handle`, `endpoint`, `snapshot`, `restore` and `connection_info`; and, where they have them,
    `populate`, `load_data`, `load_schema`, `fault_kinds` and `conditions`. `start()` binds (port 0: any free port) and
    keeps that port over a stop and a new start, so that an outage can be rehearsed. `control_port` may be set before
    the first start, in the same way.
    """

    name: ClassVar[str] = "practice"
    max_body: int = DEFAULT_MAX_BODY
    head_as_get: ClassVar[bool] = True
    """Whether HEAD reaches `handle` as GET, its body left out by the kit. False: the handler sees HEAD itself."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        tls: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        control: bool = True,
        record: Path | None = None,
        ca: CertificateAuthority | None = None,
    ) -> None:
        self.clock = clock if clock is not None else Clock()
        self.seed = seed
        self.host = host
        self.counters = Counters()
        self.log = RequestLog(record)
        self.fault_kinds: dict[str, FaultKind] = {}
        self.conditions: dict[str, str] = {}
        self.crashes: list[Crash] = []
        self.on_request: Hook | None = None
        self.snapshots: dict[str, object] = {}
        self._faults: FaultBook | None = None
        self._tls = tls or ca is not None
        self._ca = ca
        self._owns_ca = False
        self._port = port
        self.control_port = 0
        self._wants_control = control
        self._pipeline = Pipeline(self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._door: Door | None = None
        self._control_door: Door | None = None

    # -- what a system implements ---------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer one request. Runs alone, on the server's thread."""
        raise NotImplementedError

    def endpoint(self, request: Request) -> str:
        """A normalised label for counters and fault matching, such as `PATCH /sobjects/{type}/{id}`."""
        return f"{request.method} {request.path}"

    def arrived(self, request: Request) -> None:
        """A request was read whole; faults have not struck yet. For systems that limit what is in flight."""

    def departed(self, request: Request) -> None:
        """A request that arrived was answered or dropped."""

    def snapshot(self) -> object:
        """The whole state of the system, apart from what later requests change. Takes milliseconds."""
        raise NotImplementedError(f"the {self.name} practice server takes no snapshots")

    def restore(self, snapshot: object) -> None:
        """Go back to a snapshot, which stays usable. Takes milliseconds."""
        raise NotImplementedError(f"the {self.name} practice server takes no snapshots")

    def condition(self, name: str, **args: Any) -> Any:
        """Switch a system-specific bad day on or off. Raises KeyError, naming the valid ones, for an unknown name.

        `conditions` maps each name to what it does and takes; the control API shows it.
        """
        raise KeyError(f"no condition {name!r}; known: {', '.join(sorted(self.conditions)) or 'none'}")

    def connection_info(self) -> dict[str, Any]:
        """What a client needs to connect; shown by `sandbox up`.

        By convention `url`, `access_token` (a bearer token that works at once) and `users` (a list of objects with at
        least `username` and `password`), where the system has them; further keys as it needs.
        """
        return {"url": self.url}

    def populate(self, seed: int) -> dict[str, int]:
        """Fill the system with a small, believable population, the same for the same seed.

        Returns how many records of each object were made. Called before `start` or through `call`.
        """
        raise NotImplementedError(f"the {self.name} practice server has no built-in population; load data instead")

    def load_data(self, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        """Insert records given per object name, fields by their names in this system, defaults and rules applied.

        Records of one object may refer to those of another; insert in an order that makes this work. Returns how many
        records of each object were made. Raises ValueError naming the object, the record and the field that is wrong.
        """
        raise NotImplementedError(f"the {self.name} practice server cannot load data files")

    def load_schema(self, schema: Mapping[str, Any]) -> None:
        """Add objects and fields beyond the built-in ones, from the parsed schema file's section for this system.

        Raises ValueError naming the entry that is wrong.
        """
        raise NotImplementedError(f"the {self.name} practice server takes no schema file")

    def load_credentials(self, credentials: Mapping[str, Any]) -> None:
        """Use the given tokens, users and apps in place of, or beside, those the server made up.

        They come from `credentials` in the schema file's section for this system. Raises ValueError naming the entry
        that is wrong.
        """
        raise NotImplementedError(f"the {self.name} practice server takes no credentials from the schema file")

    def bad_request(self, request: Request, error: BadJson) -> Response:
        """Answer a body that is not JSON where a handler let `BadJson` pass. Systems override this with their shape."""
        return Response.of_text(f"The request body is not valid JSON: {error}", 400)

    # -- what the kit provides ------------------------------------------------------------------------------------

    @property
    def faults(self) -> FaultBook:
        """Faults in force. Kinds beyond those of every server come from `fault_kinds`."""
        if self._faults is None:
            self._faults = FaultBook(self.seed, self.fault_kinds)
        return self._faults

    @property
    def port(self) -> int:
        """The port served on; 0 until the first start if none was chosen."""
        return self._port

    @property
    def scheme(self) -> str:
        """`https` with TLS, else `http`."""
        return "https" if self._tls else "http"

    @property
    def url(self) -> str:
        """Root URL, without a trailing slash."""
        return f"{self.scheme}://{_reachable(self.host)}:{self._port}"

    @property
    def control_url(self) -> str:
        """Root URL of the control API (always plain http)."""
        if not self._wants_control:
            raise RuntimeError(f"this {self.name} practice server was made without a control API")
        return f"http://{_reachable(self.host)}:{self.control_port}"

    @property
    def ca_file(self) -> Path | None:
        """Certificate of the authority that signed this server's, for clients; None without TLS."""
        return self._ca.ca_file if self._ca is not None else None

    @property
    def running(self) -> bool:
        """Whether the server answers."""
        return self._thread is not None

    def start(self: Self) -> Self:
        """Serve, in a thread of its own. Raises OSError if the port is taken."""
        if self._thread is not None:
            return self
        if self._tls and self._ca is None:
            self._ca, self._owns_ca = CertificateAuthority(), True
        if self._ca is not None:
            self._ca.open()
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name=f"practice-{self.name}", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        return self

    def stop(self) -> None:
        """Close every connection and end the thread. The state stays; `start` serves it again on the same port."""
        thread, loop = self._thread, self._loop
        if thread is not None and loop is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            self._thread = None
        self.log.close()
        if self._owns_ca and self._ca is not None:
            self._ca.close()

    def __enter__(self: Self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function on the server's thread, between two requests, and return its result.

        The safe way for a test to read or change the system's state. On the server's own thread (in a hook), and
        when the server is not running, the function simply runs.
        """
        if self._loop is None or self._thread is None or threading.current_thread() is self._thread:
            return function(*args, **kwargs)
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(function(*args, **kwargs))
            except BaseException as error:  # handed to the caller, whatever it is
                result.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return result.result()

    def save_snapshot(self, name: str = "default") -> None:
        """Keep the present state under a name."""
        self.snapshots[name] = self.call(self.snapshot)

    def restore_snapshot(self, name: str = "default") -> None:
        """Go back to the state kept under a name. Raises KeyError naming those there are."""
        if name not in self.snapshots:
            raise KeyError(f"no snapshot {name!r}; there are: {', '.join(sorted(self.snapshots)) or 'none'}")
        self.call(self.restore, self.snapshots[name])

    def crash(self, request: Request) -> Response:
        """Record the exception being handled and answer a plain 500 that names it."""
        crash = Crash(str(uuid.uuid4()), request.method, request.path, traceback.format_exc())
        self.crashes.append(crash)
        return Response.of_text(f"Practice server error, correlation id {crash.correlation_id}\n", 500)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _run(self, started: Future[None]) -> None:
        loop = self._loop = asyncio.new_event_loop()
        try:
            try:
                loop.run_until_complete(self._open())
            except BaseException as error:
                loop.run_until_complete(self._close())
                started.set_exception(error)
                return
            started.set_result(None)
            loop.run_forever()
            loop.run_until_complete(self._close())
        finally:
            self._loop = None
            loop.close()

    async def _open(self) -> None:
        context = self._ca.server_context(self.host) if self._tls and self._ca is not None else None
        self._door = Door(self._pipeline.answer)
        self._port = await self._door.open(self.host, self._port, context)
        if self._wants_control:
            from .control import ControlServer

            self._control_door = Door(ControlServer(self).answer)
            self.control_port = await self._control_door.open(self.host, self.control_port, None)

    async def _close(self) -> None:
        for door in (self._door, self._control_door):
            if door is not None:
                await door.close()
        self._door = self._control_door = None
        with contextlib.suppress(Exception):
            await asyncio.get_running_loop().shutdown_asyncgens()


def _reachable(host: str) -> str:
    """The host to put in a URL: loopback for a server that listens everywhere."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - shown to a person who asked to listen everywhere
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
