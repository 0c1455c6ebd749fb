"""Whether the process that left its name behind still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_machine() -> str:
    """Where process numbers mean what they mean here: this machine, or the container of it that has its own."""
    try:
        numbers = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        numbers = ""
    return socket.gethostname() + (f"#{numbers}" if numbers not in ("", _FIRST) else "")


_FIRST = "4026531836"
"""Linux: the namespace of process numbers that a machine begins with (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""


def ended(host: str, pid: str) -> bool:
    """Whether this was a process of this machine and is no more. Of another machine's nobody here can say so."""
    if host != this_machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _unburied(pid)


def _unburied(pid: str) -> bool:
    """Whether a process ended and its parent has not asked how: it still answers to its number. Linux tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return False
