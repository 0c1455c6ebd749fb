"""The kit that every practice server is built from."""

from .client import Control, ControlError
from .clock import Clock
from .counters import Counters
from .faults import Fault, FaultBook, FaultHit
from .http import BadJson, Connection, DropConnection, Headers, Request, Response
from .log import RequestLog, replay
from .server import Crash, PracticeServer
from .tls import CertificateAuthority

__all__ = [
    "BadJson",
    "CertificateAuthority",
    "Clock",
    "Connection",
    "Control",
    "ControlError",
    "Counters",
    "Crash",
    "DropConnection",
    "Fault",
    "FaultBook",
    "FaultHit",
    "Headers",
    "PracticeServer",
    "Request",
    "RequestLog",
    "Response",
    "replay",
]
