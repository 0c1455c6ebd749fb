"""A Salesforce organisation on loopback, for tests, training and rehearsals."""

from .errors import Failure
from .server import SalesforceServer

__all__ = ["Failure", "SalesforceServer"]
