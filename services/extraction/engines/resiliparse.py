"""resiliparse 2: one parse by lexbor, then a walk over the tree; the extractor of DCLM."""


def main_text(html: str) -> str:
    """As DCLM calls it: main content, no links, lists with bullets, no alternative texts."""
    from resiliparse.extract.html2text import extract_plain_text

    found: str = extract_plain_text(html, main_content=True, alt_texts=False)
    return found


def all_text(html: str) -> str:
    """The text of the whole page with navigation and all, a line a block; half the work."""
    from resiliparse.extract.html2text import extract_plain_text

    found: str = extract_plain_text(html, list_bullets=False, alt_texts=False)
    return found
