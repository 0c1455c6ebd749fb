"""How long the server takes for each page over a large workspace, and whether that is soon enough.

    python -m benchmarks.pages [--deals 50000] [--rounds 7] [--json FILE] [--keep FOLDER]

A project is filled with deals that stand in two CRMs, some of them with other values there, some in conflict; then
``sidefeed serve`` runs in a process of its own and every page is asked for over one connection. What counts is the
server's processor time for a page, read from the kernel, so that neither the client nor a busy machine flatters or
blackens it; the time until the answer is there stands beside it. The parts that the browser asks for afterwards
(bridge, moves) and the accuracy are made in the background: their time to be ready is told apart.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from html import unescape
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.project import Project
from sidefeed.workspace import Draft, Link, Store

TARGET_MS, TARGET_KB = 200, 200
REPS, TEAMS, ACCOUNTS = 200, 20, 5000
STAGES = (("prospecting", "Prospecting", "appointmentscheduled"),
          ("proposal", "Proposal/Price Quote", "decisionmakerboughtin"),
          ("negotiation", "Negotiation/Review", "contractsent"), ("won", "Closed Won", "closedwon"),
          ("lost", "Closed Lost", "closedlost"))
CATEGORIES = (("pipeline", "Pipeline", "PIPELINE"), ("best_case", "Best Case", "BEST_CASE"),
              ("commit", "Commit", "COMMIT"))
PAGES = ("/", "/?quarter=all", "/deals", "/deals?q=pump&sort=amount&dir=down", "/deals?trace=1&page=400", "/mine",
         "/conflicts", "/feeds", "/accuracy", "/mapping", "/mapping/opportunity")


def main() -> int:
    """Run; 1 if a page is slower, or the first load heavier, than the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="keep the project here, and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        if not (folder / "workspace.db").exists():
            begun = time.perf_counter()
            fill(folder, options.deals)
            print(f"filled with {options.deals:,} deals in {time.perf_counter() - begun:.0f} s")
        found = measure(folder, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    slow = {name: one for name, one in found["pages"].items() if one["server_ms"] > TARGET_MS}
    heavy = found["first_load_kb"] > TARGET_KB
    print(f"{len(found['pages']) - len(slow)} of {len(found['pages'])} pages within {TARGET_MS} ms; the first load is "
          f"{'above' if heavy else 'within'} {TARGET_KB} kB")
    return 1 if slow or heavy else 0


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    with serving(folder) as told, httpx.Client(base_url=told["url"], timeout=120, trust_env=False,
                                               follow_redirects=True) as client:
        begun = time.perf_counter()
        client.post("/sign-in", data={"token": told["sign_in"].partition("token=")[2]})
        found: dict[str, Any] = {"first_page_s": round(time.perf_counter() - begun, 2)}
        found["compared_s"] = round(_until_ready(client, "/forecast/bridge/salesforce"), 2)
        found["moves_s"] = round(_until_ready(client, "/forecast/moves?since=first"), 2)
        found["accuracy_s"] = round(_until_ready(client, "/accuracy"), 2)
        found["first_load_kb"] = _first_load(client)
        found["workbook_s"] = _workbook(client)
        deal = client.get("/deals").text.partition('href="/records/')[2].partition('"')[0]
        parts = ("/forecast/bridge/salesforce", "/forecast/bridge/salesforce/amount", "/forecast/moves?since=first")
        time.sleep(1)
        found["pages"] = {path: _timed(client, path, rounds, told["pid"])
                          for path in (*PAGES, f"/records/{deal}", *parts)}
        found["pages"]["/ after an edit elsewhere"] = _after_edits(folder, client, rounds, told["pid"])
    for name, one in found.items():
        if name != "pages":
            print(f"{name:32} {one}")
    for path, one in found["pages"].items():
        print(f"{path.replace(deal, 'DEAL'):45} server {one['server_ms']:6.1f} ms   "
              f"until there {one['median_ms']:7.1f} ms   {one['kilobytes']:6.1f} kB")
    return found


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen([sys.executable, "-m", "sidefeed", "serve", "-C", str(folder), "--port", "0", "--json"],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield {**json.loads(process.stdout.readline()), "pid": process.pid}
    finally:
        process.terminate()
        process.communicate()


def _until_ready(client: httpx.Client, path: str) -> float:
    begun = time.perf_counter()
    while "load delay" in client.get(path, headers={"hx-request": "true"}).text:
        time.sleep(0.2)
    return time.perf_counter() - begun


def _first_load(client: httpx.Client) -> float:
    """Kilobytes of the forecast, its parts and every file it names, on the wire and without compression."""
    plain = {"accept-encoding": "identity"}
    page = client.get("/", headers=plain)
    named = {*re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text),
             *re.findall(r'hx-get="([^"]+)" hx-trigger="load"', page.text)}
    size = sum(len(client.get(unescape(one), headers=plain).content) for one in named)
    return round((len(page.content) + size) / 1000, 1)


def _workbook(client: httpx.Client) -> float:
    begun = time.perf_counter()
    assert client.get("/forecast.xlsx", timeout=300).status_code == 200
    return round(time.perf_counter() - begun, 1)


def _processor_ms(pid: int) -> float:
    """How long the threads of a process have run: the first figure of each ``schedstat``, in nanoseconds (proc(5))."""
    total = 0
    for one in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total += int(one.read_text().split()[0])
    return total / 1e6


def _timed(client: httpx.Client, path: str, rounds: int, pid: int) -> dict[str, float]:
    """Medians of the rounds."""
    times, server, size = [], [], 0
    for _round in range(rounds):
        begun, used = time.perf_counter(), _processor_ms(pid)
        answer = client.get(path)
        times.append((time.perf_counter() - begun) * 1000)
        server.append(_processor_ms(pid) - used)
        assert answer.status_code == 200, (path, answer.status_code)
        size = len(answer.content)
    return {"server_ms": round(median(server), 1), "median_ms": round(median(times), 1),
            "kilobytes": round(size / 1000, 1)}


def _after_edits(folder: Path, client: httpx.Client, rounds: int, pid: int) -> dict[str, float]:
    """The forecast right after another process changed a deal."""
    store = Project.load(folder).store()
    with store.read() as tx:
        deal = next(iter(tx.each_record("opportunity"))).id
    found = []
    for number in range(rounds):
        with store.write() as tx:
            tx.append([Draft("opportunity", deal, {"next_step": f"call {number}"}, "somebody", "workspace")])
        found.append(_timed(client, "/", 1, pid))
    store.close()
    return {name: median(one[name] for one in found) for name in found[0]}


# -- the company ----------------------------------------------------------------------------------------------------


def fill(folder: Path, deals: int, *, seed: int = 7) -> None:
    """A project whose workspace holds a company, and what both CRMs were last seen to hold."""
    managers = {f"lead{team}@example.com": {"role": "manager"} for team in range(TEAMS)}
    reps = {f"rep{number}@example.com": {"role": "rep", "manager": f"lead{number % TEAMS}@example.com"}
            for number in range(REPS)}
    write_project(folder, force=True, settings=settings_text({}, {**managers, **reps}))
    store = Project.load(folder).store()
    _Company(store, random.Random(seed)).fill(deals)
    store.close()


class _Company:
    def __init__(self, store: Store, chance: random.Random) -> None:
        self.store, self.chance = store, chance
        self.today = datetime.now(UTC).date()

    def fill(self, deals: int) -> None:
        with self.store.write() as tx:
            self.users = self._many(tx, "user", REPS, "User", "owners", lambda number: {
                "name": f"Rep {number}", "email": f"rep{number}@example.com"})
            self.accounts = self._many(tx, "account", ACCOUNTS, "Account", "companies", lambda number: {
                "name": f"Customer {number}", "domain": f"customer{number}.example"})
        for start in range(0, deals, 1000):
            with self.store.write() as tx:
                for number in range(start, min(start + 1000, deals)):
                    self._deal(tx, number)
        with self.store.write() as tx:
            run = tx.begin_run("sync salesforce hubspot")
            now = self.store.now().isoformat().replace("+00:00", "Z")
            for system, object in (("salesforce", "Opportunity"), ("hubspot", "deals")):
                tx.move_cursor(system, object, complete_to=now)
            tx.end_run(run, "done", {"captured": deals * 2})

    @staticmethod
    def _many(tx: Any, entity: str, count: int, salesforce: str, hubspot: str, make: Any) -> list[str]:
        ids = [tx.new_id() for _number in range(count)]
        tx.append([Draft(entity, id, make(number), "import", "salesforce") for number, id in enumerate(ids)])
        for number, id in enumerate(ids):
            tx.remember("salesforce", salesforce, _sf(entity, number), entity, id, "primary")
            tx.remember("hubspot", hubspot, str(1000 + number), entity, id, "primary")
        return ids

    def _deal(self, tx: Any, number: int) -> None:
        chance, id = self.chance, tx.new_id()
        owner, account = chance.randrange(REPS), chance.randrange(ACCOUNTS)
        stage, category = chance.choice(STAGES), chance.choice(CATEGORIES)
        amount = str(chance.randrange(1, 4000) * 250)
        closes = self.today + timedelta(days=chance.randrange(-400, 400))
        name = f"{chance.choice(('Pump', 'Filter', 'Service', 'Retrofit'))} {number}"
        tx.append([Draft("opportunity", id, {
            "name": name, "owner": self.users[owner], "account": self.accounts[account], "stage": stage[0],
            "forecast_category": category[0], "money": {"amount": amount, "currency": "USD"},
            "close_date": closes.isoformat(), "next_step": "Send quote"}, "rep@example.com", "salesforce")])
        if number % 500 == 0:
            base = {"money": tx.record(id).heads_of("money")}
            tx.append([Draft("opportunity", id, {"money": {"amount": other, "currency": "USD"}}, "rep@example.com",
                             system, base=base) for system, other in (("salesforce", "100"), ("hubspot", "200"))])
        images = self._images(number, name, owner, account, stage, category, amount, closes)
        for system, object, external, image in images:
            tx.remember(system, object, external, "opportunity", id, "primary")
            tx.save_link(Link(system, object, id, "opportunity", external, synced_rev=tx.record(id).rev))
            tx.save_base(system, object, id, image)

    def _images(
        self, number: int, name: str, owner: int, account: int, stage: tuple[str, ...], category: tuple[str, ...],
        amount: str, closes: date,
    ) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        """What each system holds; one deal of fifty has another amount there."""
        there = "123.45" if number % 50 == 0 else amount
        yield "salesforce", "Opportunity", _sf("opportunity", number), {
            "Name": name, "Amount": float(there), "CurrencyIsoCode": "USD", "CloseDate": closes.isoformat(),
            "StageName": stage[1], "ForecastCategoryName": category[1], "OwnerId": _sf("user", owner),
            "AccountId": _sf("account", account), "NextStep": "Send quote"}
        yield "hubspot", "deals", str(900_000 + number), {
            "dealname": name, "amount": amount, "deal_currency_code": "USD", "closedate": f"{closes}T12:00:00Z",
            "dealstage": stage[2], "hs_manual_forecast_category": category[2], "hubspot_owner_id": str(1000 + owner),
            "hs_next_step": "Send quote"}


def _sf(entity: str, number: int) -> str:
    prefix = {"user": "005", "account": "001", "opportunity": "006"}[entity]
    return f"{prefix}5g{number:010d}AAA"


if __name__ == "__main__":
    raise SystemExit(main())
