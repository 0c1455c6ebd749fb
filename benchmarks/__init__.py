"""Benchmarks: ratios taken in one run against a floor or a peer, and calls against their minimum."""
