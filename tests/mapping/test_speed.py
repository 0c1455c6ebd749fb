"""What a mapping file costs against code; `python -m benchmarks.mapping` tells the figures."""

from __future__ import annotations

from benchmarks.mapping import COMPILE_TARGET_MS, RATIO_TARGET, deals, measure, read_by_hand


def test_compiling_the_defaults_and_translating_stay_within_bounds() -> None:
    found = measure()
    assert found["compile_ms"] < COMPILE_TARGET_MS
    assert max(found["read_ratio"], found["write_ratio"]) <= RATIO_TARGET, found


def test_the_hand_written_function_reads_what_a_page_holds() -> None:
    first = read_by_hand(deals()[0])
    assert (first["name"], first["money"], first["stage"]) == (
        "Pump station 0", {"amount": "1000.5", "currency": "USD"}, "prospecting")
