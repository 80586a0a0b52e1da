"""The text engine: segmentation, hashes and edits over Arrow columns of UTF-8.

- `segment.segment(texts)`: words, lines, sentences and paragraphs of a column, once for all steps;
- `edits.apply_edits(texts, edits)`: the text that later steps read.

Importing this package costs nothing: compiled modules are imported by who calls them.
"""
