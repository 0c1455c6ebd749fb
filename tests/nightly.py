"""The nightly profile: many random histories, from seeds that can be told again. `python -m tests.nightly --help`.

Histories are made and held against the invariants, and never shrunk: a failure costs as long as its history took, its
seed and its steps are printed, and the run goes on with the next seed. The first history of a seed is always the
simplest one, so each seed makes fifty.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.sync.test_bad_day_histories import BadDayHistories
from tests.sync.test_histories import HAPPENED, Histories, profile
from tests.sync.test_histories import KINDS as DEALS
from tests.sync.test_office_histories import OfficeHistories

KINDS = [*DEALS, OfficeHistories, BadDayHistories]
NIGHT = 10_000
OF_A_SEED = 50


@dataclass(frozen=True)
class Failure:
    """One history that broke an invariant; ``steps`` are what people and runs did."""

    kind: str
    seed: int
    error: str
    steps: str


def tell(kind: type[Histories], number: int, many: int, steps: int) -> tuple[int, Failure | None]:
    """The histories of one kind that a seed makes, up to the first that fails; how many those were."""
    begun = itertools.count()

    def begin(self: Histories) -> None:
        next(begun)
        kind.__init__(self)

    made = seed(number)(type(kind.__name__, (kind,), {"__init__": begin}))
    options = settings(profile(many, steps), derandomize=False, database=None, report_multiple_bugs=False,
                       phases=[Phase.explicit, Phase.generate], print_blob=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            run_state_machine_as_test(made, settings=options)  # type: ignore[no-untyped-call]
    except Exception as error:
        told = "\n".join(getattr(error, "__notes__", ()))
        return next(begun), Failure(kind.__name__, number, f"{type(error).__name__}: {error}", told)
    return next(begun), None


def night(
    kinds: Sequence[type[Histories]], first: int, number: int, steps: int, until: float
) -> Iterator[tuple[int, Failure | None]]:
    """Seed after seed, the kinds in turn, until there are enough histories or the time is over."""
    made = 0
    for each, kind in enumerate(itertools.cycle(kinds)):
        if made >= number or time.monotonic() > until:
            return
        told, failure = tell(kind, first + each, min(OF_A_SEED, number - made), steps)
        made += told
        yield made, failure


def main(arguments: Sequence[str] | None = None) -> int:
    names = {kind.__name__: kind for kind in KINDS}
    parser = argparse.ArgumentParser(prog="python -m tests.nightly", description=(
        "Make random histories of people and syncs, and hold each against the invariants."))
    parser.add_argument("--histories", type=int, default=NIGHT, help="How many; %(default)s if not said.")
    parser.add_argument("--seed", type=int, default=1, help="The first seed; every fifty histories take the next.")
    parser.add_argument("--kind", action="append", choices=sorted(names), help="One kind alone; may be repeated.")
    parser.add_argument("--steps", type=int, default=25, help="How many steps a history has at most.")
    parser.add_argument("--minutes", type=float, default=600, help="Stop after so long, with what was made by then.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object at the end instead of text.")
    asked = parser.parse_args(arguments)

    HAPPENED.clear()
    began, made, failures = time.monotonic(), 0, list[Failure]()
    kinds = [names[name] for name in asked.kind or names]
    for made, failure in night(kinds, asked.seed, asked.histories, asked.steps, began + asked.minutes * 60):
        if failure is not None:
            failures.append(failure)
        if failure is not None and not asked.json:
            _say(f"{failure.kind} --seed {failure.seed}: {failure.error}\n{failure.steps}\n")
        _say(f"{made} histories, {len(failures)} failed", sys.stderr)
    outcome: dict[str, Any] = {
        "histories": made, "first_seed": asked.seed, "seconds": round(time.monotonic() - began),
        "happened": dict(HAPPENED), "failures": [asdict(one) for one in failures]}
    _say(json.dumps(outcome, indent=2) if asked.json else f"{made} histories in {outcome['seconds']} s, "
         f"{len(failures)} failed; {', '.join(f'{what} {times}' for what, times in sorted(HAPPENED.items()))}")
    return 1 if failures else 0


def _say(text: str, to: TextIO | None = None) -> None:
    (to or sys.stdout).write(f"{text}\n")
    (to or sys.stdout).flush()


if __name__ == "__main__":
    sys.exit(main())
