"""Data that the quality rules need: facts of Unicode and of published code."""
