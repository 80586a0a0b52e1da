"""Pages of docs that several commands write: each has its part, between two marks."""

from pathlib import Path


def write_part(page: Path, name: str, text: str) -> None:
    """Replace the part of a page that a command writes; appended where the page has none yet."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    old = page.read_text() if page.exists() else ""
    part = f"{begin}{text.rstrip()}\n{end}"
    if begin in old:
        before, _, rest = old.partition(begin)
        _, _, after = rest.partition(end)
        new = before + part + after
    else:
        new = f"{old.rstrip()}\n\n{part}" if old.strip() else part
    page.write_text(new)
