"""Compiled loops of the quality rules."""
