"""Chinese words by jieba, which keeps its dictionary as a file of the machine's cache."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jieba


def cut(text: str) -> str:
    """The words of a normal form with single spaces between them."""
    return " ".join(word for word in _tokenizer().cut(text) if not word.isspace())


@cache
def _tokenizer() -> "jieba.Tokenizer":
    """The tokenizer with jieba's own dictionary; made once a process, in about a second."""
    import logging
    import warnings

    from shared.settings import settings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its patterns are written as Python 3.5 allowed
        import jieba
    jieba.setLogLevel(logging.WARNING)  # it reports on its dictionary
    folder = settings().cache / "jieba"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(folder)
    tokenizer.initialize()
    return tokenizer
