"""How numbers, sizes and times are written on the pages. Pure functions, filters of the templates.

What is not known is a dash.
"""

import math
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

DASH = "\u2013"
#: Beyond this many seconds the next larger unit tells enough.
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
#: From this on a float is written without digits after the point.
_WHOLE = 10_000


def number(value: Any) -> str:
    """A number with thousands separators; a float with four digits that count."""
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if abs(value) < _WHOLE:
            return f"{value:.4g}"
        value = round(value)
    return f"{value:,}"


def measured(value: Any) -> str:
    """A value as a verdict holds it, in words: numbers are rounded."""
    if value is None:
        return "nothing"
    try:
        return number(float(value)) if "." in str(value) or "e" in str(value) else str(value)
    except ValueError:
        return str(value)


def size(count: float | None) -> str:
    """Bytes in SI units: 24.1 MB."""
    if count is None:
        return DASH
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return (
        f"{value:.0f} {_SIZES[unit]}"
        if unit == 0 or value >= 100
        else f"{value:.3g} {_SIZES[unit]}"
    )


def duration(seconds: float | None) -> str:
    """A time span in at most two units: 3 min 20 s."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds else "0 s"
    left = round(seconds)
    for i, (unit, length) in enumerate(_UNITS):
        if left >= length:
            whole, rest = divmod(left, length)
            if i + 1 == len(_UNITS):
                return f"{whole} {unit}"
            below, step = _UNITS[i + 1]
            return f"{whole} {unit} {rest // step} {below}" if rest >= step else f"{whole} {unit}"
    return "0 s"


def share(fraction: float | None) -> str:
    """A share in per cent: 48.0 %."""
    return DASH if fraction is None else f"{100 * fraction:.1f} %"


def percent(value: float | None) -> str:
    """What is in per cent already: 48.02 %."""
    return DASH if value is None else f"{value:.2f} %"


def when(iso: str | None) -> Markup:
    """A moment as a `time` element, UTC to the second."""
    if not iso:
        return Markup("&ndash;")
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    )


def ago(iso: str | None, now: datetime | None = None) -> Markup:
    """How long ago a moment was, with the moment itself in the element."""
    if not iso:
        return Markup("&ndash;")
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    # Coarse, so that a polled page does not change each second.
    passed = "just now" if seconds < 60 else f"{duration(seconds - seconds % 60)} ago"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), f"{moment:%Y-%m-%d %H:%M:%S} UTC", passed
    )


def words(name: str) -> str:
    """A name of the REST API as words: `dropped_here` is "dropped here"."""
    return name.replace("_", " ")
