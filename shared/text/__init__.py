"""Compiled text engine: segmentation, hashes and edits over Arrow columns of UTF-8."""
