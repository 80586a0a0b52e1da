"""Exact substring duplicates: parameters, two engines, spans."""
