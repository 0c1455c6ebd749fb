"""Programs that are measured beside ours, each in a virtual environment of its own that the benchmark makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "results" / "peers"


def python_with(name: str, *requirements: str) -> str:
    """The interpreter of a virtual environment that holds these packages; made the first time."""
    place = FOLDER / name
    interpreter = place / "bin" / "python"
    if not (place / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(interpreter), "-m", "pip", "install", "-q", *requirements], check=True)
        (place / "complete").touch()
    return str(interpreter)
