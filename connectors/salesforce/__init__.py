"""Salesforce, through simple-salesforce."""

from .connector import SalesforceConnector

__all__ = ["SalesforceConnector"]
