"""What the other modules need of lxml, on plain elements.

Plain `lxml.etree` elements instead of `lxml.html` ones: lxml asks a Python function for the class
of every `lxml.html` element that it hands out, two million times on 300 pages.
"""

from typing import Any, Final

from lxml import etree
from lxml.etree import XPath

#: An lxml element (lxml has no types).
Element = Any
new_element: Final = etree.Element

_STRING: Final = XPath("string()", smart_strings=False)
_STRING_LENGTH: Final = XPath("string-length()")


def text_content(element: Element) -> str:
    """The text of an element and all its descendants, without its tail."""
    found: str = _STRING(element)
    return found


def text_length(element: Element) -> int:
    """Characters of `text_content`."""
    return int(_STRING_LENGTH(element))


def trimmed(text: str | None) -> str:
    """Runs of white space as one space, none at the ends."""
    return " ".join(text.split()) if text else ""


def trimmed_content(element: Element) -> str:
    """`text_content`, trimmed."""
    return " ".join(_STRING(element).split())


def trimmed_length(element: Element) -> int:
    """Characters of `trimmed_content`."""
    return len(" ".join(_STRING(element).split()))


class RootError(Exception):
    """A root cannot be dropped."""


def drop(element: Element) -> None:
    """Remove an element, its tail joins what stands before it. RootError for a root.

    That is `lxml.html.HtmlElement.drop_tree`.
    """
    if element.getparent() is None:
        raise RootError
    delete(element)


def delete(element: Element) -> None:
    """As `drop`; a root stays."""
    parent = element.getparent()
    if parent is None:
        return
    tail = element.tail
    if tail:
        previous = element.getprevious()
        if previous is None:
            parent.text = (parent.text or "") + tail
        else:
            previous.tail = (previous.tail or "") + tail
    parent.remove(element)


def delete_with_tail(element: Element) -> None:
    """Remove an element and its tail; a root stays."""
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)
