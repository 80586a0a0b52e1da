"""How many sentences a text has, where a step before may have cut some of its lines.

Source: C4's released code (specs 3.2, row 5), which counts again once repeated lines are gone, now
over the whole text. The keep rule is `sentences >= 3`.
"""

from typing import Final, Literal

import pyarrow as pa

from shared.schema import Column
from shared.step import Params, row_step


class SentenceCountParams(Params):
    """What a sentence is, as in `quality.c4_quality_v1`."""

    #: `marks`: what ends in one or more of .?!, maybe with quotes and brackets after them, before
    #: white space, and the rest of the text. `spacy`: a convention of `shared.text.segment`.
    sentences: Literal["marks", "spacy"] = "marks"


COLUMNS: Final = (Column("sentences", pa.int64(), "sentences of the text", "sentences"),)


@row_step("quality.sentence_count_v1", reads=("text",), columns=COLUMNS, params=SentenceCountParams)
def sentence_count(rows: pa.Table, params: SentenceCountParams) -> pa.Table:
    """Sentences of the whole text; a line's end is white space. Null of a null text.

    C4's code counts with NLTK's trained Punkt model, which also knows abbreviations.
    """
    from services.quality.kernels.sentences import count_marked_sentences
    from shared.text import characters
    from shared.text.segment import segment

    texts = segment(rows["text"])
    if params.sentences == "spacy":
        counts = texts.sentences("spacy").counts
    else:
        counts = count_marked_sentences(texts.data, texts.begins, texts.stops, characters.flags())
    return pa.table({"sentences": pa.array(counts, mask=~texts.valid)})
