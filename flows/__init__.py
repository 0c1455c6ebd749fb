"""Prefect flows: a thin shell that orders, schedules and shows what the core does.

Nothing here decides anything about a record. What the command line runs, a flow runs, through the same functions; the
workspace's own cursors, leases and intents are the truth, and Prefect's states are a report of it.
"""
