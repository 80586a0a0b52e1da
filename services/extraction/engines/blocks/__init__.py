"""`blocks`: our own learned extractor: one compiled pass over a page, trees over its blocks."""
