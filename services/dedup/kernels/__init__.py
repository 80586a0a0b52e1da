"""Compiled loops over the bytes of Arrow columns. Imported by the functions that run them."""
