"""The API inspector: what was sent to each system and what it answered, kept in a file without secrets.

A connector's `Calls` is the one place that every request passes; a `Recorder` listens there. Nothing of this package is
imported unless a recording is made or read.
"""

from .recorder import Recorder, RecordingError

__all__ = ["Recorder", "RecordingError"]
