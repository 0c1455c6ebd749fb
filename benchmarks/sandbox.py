"""Requests a second of the practice servers, and whether they are what another benchmark measures.

    python -m benchmarks.sandbox [--seconds 3] [--connections 8] [--only NAME ...] [--json FILE]

Each server runs in a process of its own, held to one core; an asyncio client on the other cores asks over keep-alive
connections, plain http, one request at a time on each. The floor is the same HTTP library answering a constant. The
server's CPU time per request is read from the kernel, so a slow client cannot flatter or blacken it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TARGET = 1000
"""Requests a second of simple reads that one core must serve."""
RECORDS = 100_000


@dataclass(frozen=True)
class Result:
    """One measured workload.

    `floor_share` is its rate against the library's own with a constant answer; `start_stop_ms` is what a test pays for
    an empty server of its own.
    """

    name: str
    requests_per_second: float
    server_cpu_us: float
    p50_ms: float
    p99_ms: float
    floor_share: float
    start_stop_ms: float


def main() -> int:
    """Run; 1 if a simple read is slower than the target."""
    options = _options()
    results: list[Result] = []
    floor = None
    for name in options.only or WORKLOADS:
        results.append(_measure(name, options.seconds, options.connections, floor))
        floor = floor or (results[0].requests_per_second if name == "floor" else None)
        print(_row(results[-1]) if len(results) > 1 else f"{_HEADER}\n{_row(results[-1])}", flush=True)
    slow = [result.name for result in results if result.requests_per_second < TARGET]
    print(f"target: {TARGET} requests a second on one core; " + (f"missed by {', '.join(slow)}" if slow else "held"))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"target": TARGET, "results": [asdict(result) for result in results]}))
    return 1 if slow else 0


_HEADER = f"{'workload':<22}{'req/s':>9}{'CPU us':>9}{'p50 ms':>9}{'p99 ms':>9}{'of floor':>10}{'up+down ms':>12}"


def _row(result: Result) -> str:
    return (
        f"{result.name:<22}{result.requests_per_second:>9.0f}{result.server_cpu_us:>9.0f}{result.p50_ms:>9.2f}"
        f"{result.p99_ms:>9.2f}{result.floor_share:>10.0%}{result.start_stop_ms:>12.0f}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=list(WORKLOADS), help="workloads to run, in this order")
    parser.add_argument("--json", type=Path, help="also write the results here")
    parser.add_argument("--serve", choices=list(WORKLOADS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        WORKLOADS[options.serve]()
        sys.exit(0)
    return options


# -- the server's side: run in a child process, which prints {"port", "request"} and then serves ---------------------


def _serve_floor() -> None:
    from aiohttp import web

    body = json.dumps(_RECORD).encode()

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(web.Server(answer, access_log=None), "127.0.0.1", 0)
        _announce(listener.sockets[0].getsockname()[1], _get("/record"), 0.0)
        await loop.run_in_executor(None, sys.stdin.read)

    asyncio.run(serve())


def _serve_kit() -> None:
    from sandbox.kit import PracticeServer, Request, Response

    class Constant(PracticeServer):
        def handle(self, request: Request) -> Response:
            return Response.of_json(_RECORD, records=1)

    cost = _start_stop_ms(Constant)
    with Constant() as server:
        _announce(server.port, _get("/record"), cost)
        sys.stdin.read()


def _serve_salesforce() -> None:
    from sandbox.salesforce import SalesforceServer

    cost = _start_stop_ms(SalesforceServer)
    with SalesforceServer() as server:
        info = server.connection_info()
        server.condition("quota", limit=10**9)
        names = [{"Name": f"Account {number}"} for number in range(RECORDS)]
        server.call(server.load_data, {"Account": names})
        token, version = str(info["session_id"]), "62.0"
        found = _ask(server.url, f"/services/data/v{version}/query?q=SELECT+Id+FROM+Account+LIMIT+1", token)
        target = f"/services/data/v{version}/sobjects/Account/{found['records'][0]['Id']}?fields=Id,Name"
        _announce(server.port, _get(target, token), cost)
        sys.stdin.read()


def _serve_hubspot() -> None:
    from sandbox.hubspot import HubSpotServer

    cost = _start_stop_ms(HubSpotServer)
    with HubSpotServer() as server:
        token = str(server.connection_info()["access_token"])
        server.call(server.load_data, {"companies": [{"name": f"Company {number}"} for number in range(RECORDS)]})
        page = _ask(server.url, "/crm/v3/objects/companies?limit=1", token)
        _announce(
            server.port, _get(f"/crm/v3/objects/companies/{page['results'][0]['id']}?properties=name", token), cost
        )
        sys.stdin.read()


def _serve_exchange() -> None:
    from sandbox.exchange import ExchangeServer

    cost = _start_stop_ms(ExchangeServer)
    with ExchangeServer() as server:
        server.call(server.add_mailbox, "ada@practice.example", "Ada", "secret")
        basic = b64encode(b"ada@practice.example:secret").decode()
        body = _GET_FOLDER.encode()
        head = (
            "POST /EWS/Exchange.asmx HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml; charset=utf-8\r\n"
            f"Authorization: Basic {basic}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        _announce(server.port, head.encode() + body, cost)
        sys.stdin.read()


_RECORD = {"id": "0011x00000AbCdEAAV", "name": "Acme", "amount": 12500.5, "tags": ["a", "b"], "owner": None} | {
    f"field_{number}": f"value {number}" for number in range(20)
}

_GET_FOLDER = """<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"
 xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages">
<s:Header><t:RequestServerVersion Version="Exchange2016"/></s:Header>
<s:Body><m:GetFolder><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>
<m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder></s:Body></s:Envelope>"""

WORKLOADS: dict[str, Callable[[], None]] = {
    "floor": _serve_floor,
    "kit": _serve_kit,
    "salesforce": _serve_salesforce,
    "hubspot": _serve_hubspot,
    "exchange": _serve_exchange,
}


def _ask(url: str, target: str, token: str) -> Any:
    import httpx

    answer = httpx.get(url + target, headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()
    return answer.json()


def _get(target: str, token: str = "") -> bytes:
    credential = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{credential}\r\n".encode()


def _announce(port: int, request: bytes, start_stop_ms: float) -> None:
    print(json.dumps({"port": port, "request": request.decode(), "start_stop_ms": start_stop_ms}), flush=True)


def _start_stop_ms(make: Callable[[], Any]) -> float:
    """The least of three, once everything is imported."""
    costs: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        with make():
            pass
        costs.append((time.perf_counter() - started) * 1000)
    return min(costs)


# -- the client's side ------------------------------------------------------------------------------------------------


def _measure(name: str, seconds: float, connections: int, floor: float | None) -> Result:
    with _server(name) as (pid, port, request, start_stop_ms):
        asyncio.run(_load(port, request, connections, min(0.5, seconds)))
        before = _cpu_seconds(pid)
        started = time.perf_counter()
        latencies = sorted(asyncio.run(_load(port, request, connections, seconds)))
        elapsed, cpu = time.perf_counter() - started, _cpu_seconds(pid) - before
    rate = len(latencies) / elapsed
    return Result(
        name=name,
        requests_per_second=rate,
        server_cpu_us=cpu / len(latencies) * 1e6,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
        floor_share=rate / (floor or rate),
        start_stop_ms=start_stop_ms,
    )


@contextlib.contextmanager
def _server(name: str) -> Iterator[tuple[int, int, bytes, float]]:
    """The workload's server in a process of its own, on the first core; ourselves on the others."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sandbox", "--serve", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(process.pid, cores[:1])
        os.sched_setaffinity(0, cores[1:])
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the {name} server did not start")
        ready = json.loads(line)
        if len(cores) > 1:  # threads started meanwhile have the mask of their process, set again to be sure
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores[:1])
        yield process.pid, ready["port"], ready["request"].encode(), ready["start_stop_ms"]
    finally:
        process.stdin.close()
        process.wait(10)
        if len(cores) > 1:
            os.sched_setaffinity(0, cores)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, from /proc; 0 where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(port: int, request: bytes, connections: int, seconds: float) -> list[float]:
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_client(port, request, end, latencies) for _ in range(connections)))
    return latencies


async def _client(port: int, request: bytes, end: float, latencies: list[float]) -> None:
    """One keep-alive connection, asking until `end`. A reply other than 200 ends the benchmark."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (started := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"unexpected answer:\n{head.decode('latin-1')}")
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            await reader.readexactly(int(length))
            latencies.append(time.perf_counter() - started)
    finally:
        writer.close()


if __name__ == "__main__":
    sys.exit(main())
