"""Sorted runs: what the deduplication index is made of."""
