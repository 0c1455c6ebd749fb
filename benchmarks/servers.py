"""The practice server that a benchmark reads, in a process of its own, so that its work is not counted as ours.

    python -m benchmarks.servers salesforce 100000

prints how to connect as one line of JSON, then obeys lines on standard input: ``touch N`` changes the amounts of N
deals, ``calls`` tells how many requests were counted since it was last asked. It stops with its input.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost")
HUBSPOT_STAGES = ("appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "closedwon", "closedlost")
TEXT = "Asked for a second offer after the site visit; the plant manager decides with purchasing in the spring. "
"""With the other fields about 0.9 kB a record, as a lived-in organisation has them."""
DAY = "2027-{:02}-{:02}"


class Server:
    """A practice server's process, as its parent sees it. ``info`` is how to connect."""

    def __init__(self, process: subprocess.Popen[str], info: dict[str, Any]) -> None:
        self.process = process
        self.info = info

    def touch(self, number: int) -> None:
        self._say(f"touch {number}")

    def calls(self) -> int:
        """Requests since the last time this was asked."""
        return int(self._say("calls"))

    def _say(self, line: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def serving(system: str, records: int) -> Iterator[Server]:
    """A practice server with this many deals, for as long as the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.servers", system, str(records)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the practice {system} with {records} records did not start")
        yield Server(process, json.loads(line))
    finally:
        process.stdin.close()
        process.wait(60)


def main(system: str, records: int) -> None:
    """Serve until standard input closes."""
    with {"salesforce": _salesforce, "hubspot": _hubspot}[system](records) as (server, touch):
        print(json.dumps({"url": server.url, **server.connection_info()}), flush=True)
        counted = 0
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            if command == "touch":
                server.call(touch, int(argument))
                print("done", flush=True)
            else:
                total = server.counters.calls
                print(total - counted, flush=True)
                counted = total


@contextlib.contextmanager
def _salesforce(records: int) -> Iterator[tuple[Any, Any]]:
    from sandbox.company import SALESFORCE_SCHEMA
    from sandbox.salesforce import SalesforceServer

    with SalesforceServer(tls=True) as server:  # simple-salesforce speaks nothing else
        server.condition("quota", limit=10**9)
        server.call(server.load_schema, SALESFORCE_SCHEMA)
        server.clock.move(hours=-2)  # stamps well before the reader's overlap, as most records of an organisation are
        server.call(server.load_data, {"Opportunity": [
            {"Name": f"Deal {number}", "StageName": STAGES[number % len(STAGES)],
             "CloseDate": DAY.format(number % 12 + 1, number % 28 + 1), "Amount": number % 100_000 + 0.5,
             "NextStep": f"Call {number}", "Description": TEXT * 3, "LeadSource": "Web", "Type": "New Customer"}
            for number in range(records)]})
        server.clock.move(hours=2)
        ids = [row["Id"] for row in server.call(server.rows, "Opportunity")]
        amounts = itertools.count(200_000)

        def touch(number: int) -> None:
            for id in ids[:: max(1, len(ids) // number)][:number]:
                server.update("Opportunity", id, Amount=next(amounts))

        yield server, touch


@contextlib.contextmanager
def _hubspot(records: int) -> Iterator[tuple[Any, Any]]:
    from sandbox.hubspot import HubSpotServer

    with HubSpotServer() as server:
        server.call(server.load_data, {"deals": [
            {"dealname": f"Deal {number}", "dealstage": HUBSPOT_STAGES[number % len(HUBSPOT_STAGES)],
             "closedate": DAY.format(number % 12 + 1, number % 28 + 1), "amount": str(number % 100_000),
             "hs_next_step": f"Call {number}", "description": TEXT * 3} for number in range(records)]})
        yield server, None


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
