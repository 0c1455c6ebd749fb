"""What a mapping file costs against code, counted; `python -m benchmarks.mapping` tells the same in processor time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from benchmarks.mapping import DEFAULTS, REFS, deals, read_by_hand, write_by_hand
from sidefeed.mapping import load

STEPS_BOUND = 2.6
"""More than the benchmark's twice: both functions spend alike in C, on decimals and text, and that is not counted."""


def steps(work: Callable[[], Any]) -> int:
    """How many instructions of Python some work takes, which no busy machine changes."""
    taken = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal taken
        frame.f_trace_opcodes = True
        taken += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return taken


def test_translating_a_record_takes_few_more_steps_than_a_hand_written_function() -> None:
    om = load(DEFAULTS).of("salesforce", "Opportunity")
    raws = deals()[:60]
    records = [om.read(raw, REFS)[0] for raw in raws]
    names = [each.name for each in om.fields]
    assert records == [read_by_hand(raw) for raw in raws]
    assert [om.write(one, names, REFS)[0] for one in records] == [write_by_hand(one) for one in records]
    read = steps(lambda: [om.read(raw, REFS) for raw in raws]) / steps(lambda: [read_by_hand(raw) for raw in raws])
    write = (steps(lambda: [om.write(one, names, REFS) for one in records])
             / steps(lambda: [write_by_hand(one) for one in records]))
    assert max(read, write) <= STEPS_BOUND, (read, write)


def test_the_hand_written_function_reads_what_a_page_holds() -> None:
    first = read_by_hand(deals()[0])
    assert (first["name"], first["money"], first["stage"]) == (
        "Pump station 0", {"amount": "1000.5", "currency": "USD"}, "prospecting")
