"""spaCy's blank English tokenizer and sentencizer, as compiled loops over bytes of UTF-8.

The same tokens as spaCy 3.8's `spacy.blank("en")`, white space left out, and the same sentences as
its `sentencizer`: what datatrove 0.10.1 counts as words and sentences. `tables.json` holds what
spaCy 3.8.18 (https://spacy.io) knows: classes of characters, exceptions, units. It is under spaCy's
MIT License, LICENSE.txt; spaCy is not needed at run time. The order of the rules is that of its
`Tokenizer._tokenize_affixes` and `_apply_special_cases`.
"""
