"""The langid service."""
