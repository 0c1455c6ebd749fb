"""One piece of work in a process of its own: its CPU time with its children's, its peak memory, what it answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Measure:
    """``cpu`` in seconds, user and system, of the process and all it started; ``rss`` its peak in MB; ``answer`` the
    JSON it printed last."""

    cpu: float
    rss: float
    answer: dict[str, Any]


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measure:
    """Run a command to its end. Raises SystemExit with what it said where it fails: a time without a result is none."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # Installed programs have their bytecode; the least of several rounds must not pay for a checkout without any.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**env, **(environment or {})})
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{err.read().decode()[-2000:]}")
        lines = out.read().decode().strip().splitlines()
    answer = json.loads(lines[-1]) if lines else {}
    return Measure(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, answer)


def job(name: str, **args: Any) -> Measure:
    """One of `benchmarks.jobs`, measured."""
    return measured([sys.executable, "-m", "benchmarks.jobs", name, json.dumps(args)])
