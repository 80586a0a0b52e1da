"""Extraction: archives to documents, bytes to characters, pages to main text."""
