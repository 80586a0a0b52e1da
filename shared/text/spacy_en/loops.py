"""Compiled segmentation of a column's texts into spaCy's tokens and sentences."""

import numpy as np
from numba import njit

from shared.text.compiled import leaf
from shared.text.spacy_en.affixes import Flags
from shared.text.spacy_en.chunks import put_chunk, put_special
from shared.text.spacy_en.matcher import apply_special_cases, changes_within, follows
from shared.text.spacy_en.strings import Bytes, Int64Array, find
from shared.text.spacy_en.tables import ACTIVE, PUNCTUATION, SENTENCE_END, SPACE, SPECIALS, Tables
from shared.text.utf8 import flags_at


@leaf
def chunk_end(data: Bytes, at: int, stop: int, flags: Flags) -> tuple[int, int]:
    """The next white space, or the text's end; all classes of the characters before it."""
    kinds = 0
    while at < stop:
        byte = data[at]
        if byte < 0x80:
            kind, size = np.int64(flags[byte]), 1
        else:
            kind, size = flags_at(data, at, stop, flags)
        if kind & SPACE:
            break
        kinds |= int(kind)
        at += size
    return at, kinds


@njit(cache=True, nogil=True)
def spacy_words(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    tables: Tables,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Tokens of spaCy that are not white space. Tokens may touch: a place a byte is enough."""
    flags, memory = tables
    specials, count = memory[SPECIALS], 0
    for row in range(len(begins)):
        bounds[row] = count
        at, stop, again = begins[row], stops[row], False
        while at < stop:
            end, kinds = chunk_end(data, at, stop, flags)
            if end == at:
                at += flags_at(data, at, stop, flags)[1]
                continue
            if kinds & ACTIVE:
                first = count
                count = put_chunk(data, at, end, flags, memory, starts, ends, count)
                again |= changes_within(data, starts, ends, first, count, memory)
            else:
                special = find(data, at, end, memory, specials)
                if special >= 0:
                    count = put_special(at, special, memory, starts, ends, count)
                else:
                    starts[count], ends[count] = at, end
                    count += 1
            at = end
        if again:
            count = apply_special_cases(data, starts, ends, bounds[row], count, memory)
    bounds[len(begins)] = count
    return count


@leaf
def is_punctuation(data: Bytes, at: int, end: int, flags: Flags) -> bool:
    """Whether all characters are."""
    while at < end:
        kind, size = flags_at(data, at, end, flags)
        if not kind & PUNCTUATION:
            return False
        at += size
    return True


@njit(cache=True, nogil=True)
def spacy_sentences(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Flags,
    words: tuple[Int64Array, Int64Array, Int64Array],
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Sentences of the texts with these words (starts, ends, bounds), stripped of white space.

    One ends before the first token after its end mark that is neither punctuation nor such a mark.
    White space is a token where it is more than the one space between two others, so white space at
    a text's end can be a sentence: it is an empty one. So is a text of nothing.
    """
    word_starts, word_ends, word_bounds = words
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        start, ended, at = np.int64(-1), False, begins[row]
        for i in range(word_bounds[row], word_bounds[row + 1]):
            kind, size = flags_at(data, word_starts[i], word_ends[i], flags)
            mark = kind & SENTENCE_END and size == word_ends[i] - word_starts[i]
            opens = not mark and not is_punctuation(data, word_starts[i], word_ends[i], flags)
            if ended and (opens or not follows(data, at, word_starts[i])):
                starts[count], ends[count] = start, at
                count += 1
                start, ended = np.int64(-1), False
            if mark:
                ended = True
            if start < 0:
                start = word_starts[i]
            at = word_ends[i]
        if ended and not follows(data, at, stops[row]):
            starts[count], ends[count] = start, at
            count += 1
            start = np.int64(-1)
        starts[count] = stops[row] if start < 0 else start
        ends[count] = stops[row] if start < 0 else at
        count += 1
    bounds[len(begins)] = count
    return count
