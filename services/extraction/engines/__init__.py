"""Extraction engines: each turns the characters of a page into its main text."""
