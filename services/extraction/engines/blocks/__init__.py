"""`blocks`: a learned extractor of our own.

One compiled pass over the page gives its elements and blocks of text (`scan`); counts and places of
the blocks (`features`), what words say (`lexicon`) and what the neighbours are (`context`) go
through two stages of trees (`forest`); the choice with the highest expected F1 (`decide`) is
written (`write`). docs/extraction.md has the measurements, MODEL_CARD.md what it learned from.
"""

from services.extraction.engines.blocks.engine import Block, Extraction, extract, main_text

__all__ = ["Block", "Extraction", "extract", "main_text"]
