"""Answers of the API as options of ECharts. Pure functions of plain data.

Colours are written as CSS variables, which the page's script looks up, so that charts follow the
theme. `tip` of a data item is what its tooltip says; `ticks` of an axis are labels at positions.
Nothing here is HTML: ECharts draws on a canvas.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from services.gateway.ui.formats import number, share

Options = dict[str, Any]
#: What became of a document, in the order in which charts stack it, and its colour.
GROUPS = {
    "kept": ("kept", "var(--kept)"),
    "dropped_here": ("dropped by this step", "var(--dropped)"),
    "dropped_elsewhere": ("dropped later", "var(--dropped-faint)"),
    "failed": ("failed", "var(--failed)"),
}
#: Rules of a stage that are drawn by name; the smaller rest is one branch.
MOST_RULES = 5
#: Labels along a histogram's axis at most.
MOST_TICKS = 8
#: Points of a curve at most: more cannot be told apart on a screen.
MOST_POINTS = 500


def sankey(funnel: dict[str, Any]) -> Options | None:
    """Documents through the stages, with a branch for each rule that drops some.

    Stages that change nothing are left out, as are rules that drop nothing. What a stage kept
    and the next has not seen yet is a branch of its own, so that every node's flows add up. None
    before there is anything to draw.
    """
    raw = funnel["documents"]
    if not raw:
        return None
    nodes = [_node("documents", "documents", raw, raw, "var(--flow)", 0)]
    links: list[Options] = []
    source, depth, left = "documents", 0, raw
    for stage in funnel["stages"]:
        if "entered" not in stage:
            continue
        if left == 0:
            break
        waiting = left - stage["entered"]
        branches = _branches(stage)
        if not branches and not waiting:
            continue
        depth += 1
        if waiting:
            name = f"waiting {stage['stage']}"
            label = f"waiting for {stage['service']}"
            nodes.append(_node(name, label, waiting, raw, "var(--waiting)", depth))
            links.append(_link(source, name, waiting, "var(--waiting)"))
        if stage["kept"]:
            name = f"after {stage['stage']}"
            label = f"after {stage['service']}"
            nodes.insert(
                len(nodes) - bool(waiting),
                _node(name, label, stage["kept"], raw, "var(--flow)", depth),
            )
            links.append(_link(source, name, stage["kept"], "var(--flow)"))
        for branch, count, colour in branches:
            name = f"{stage['stage']} {branch}"
            nodes.append(_node(name, branch, count, raw, colour, depth))
            links.append(_link(source, name, count, colour))
        source, left = f"after {stage['stage']}", stage["kept"]
    if left:
        last = next(n for n in nodes if n["name"] == source)
        last["itemStyle"] = {"color": "var(--kept)"}
        last["label"]["formatter"] = _label(
            "kept so far" if funnel["kept"] != left else "kept", left
        )
    return _sankey_options(nodes, links)


def _branches(stage: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Name, documents and colour of what leaves at a stage: the top rules, the rest, failures."""
    rules = [(r["rule"], r["documents"]) for r in stage["rules"] if r["documents"]]
    rules.sort(key=lambda r: -r[1])
    shown = rules if len(rules) <= MOST_RULES + 1 else rules[:MOST_RULES]
    found = [(name, count, "var(--dropped)") for name, count in shown]
    others = rules[len(shown) :]
    if others:
        total = sum(count for _, count in others)
        found.append((f"{len(others)} other rules", total, "var(--dropped)"))
    failed = sum(stage["failed"].values())
    return [*found, ("failed", failed, "var(--failed)")] if failed else found


def _label(text: str, count: int) -> str:
    return f"{text}  {{count|{number(count)}}}"


def _node(name: str, label: str, count: int, raw: int, colour: str, depth: int) -> Options:
    short = label.rpartition(".")[2] if "." in label else label
    return {
        "name": name,
        "depth": depth,
        "value": count,
        "itemStyle": {"color": colour},
        "label": {"formatter": _label(short, count)},
        "tip": f"{label}\n{number(count)} documents, {share(count / raw)} of all",
    }


def _link(source: str, target: str, count: int, colour: str) -> Options:
    return {
        "source": source,
        "target": target,
        "value": count,
        "lineStyle": {"color": colour},
        "tip": f"{target.removeprefix('after ')}\n{number(count)} documents",
    }


def _sankey_options(nodes: list[Options], links: list[Options]) -> Options:
    return {
        "tooltip": {"trigger": "item"},
        "series": [
            {
                "type": "sankey",
                "data": nodes,
                "links": links,
                "left": 8,
                "right": 150,
                "top": 12,
                "bottom": 16,
                "nodeWidth": 12,
                "nodeGap": 16,
                # The order of the data: kept along the top, what leaves falls below.
                "layoutIterations": 0,
                "draggable": False,
                "emphasis": {"focus": "adjacency"},
                "lineStyle": {"opacity": 0.32, "curveness": 0.5},
                "label": {
                    "color": "var(--text)",
                    "fontSize": 11,
                    "rich": {"count": {"fontWeight": "bold", "color": "var(--text)"}},
                },
            }
        ],
    }


def histogram(told: dict[str, Any], rule: dict[str, Any] | None = None) -> Options | None:
    """A signal's distribution, stacked by verdict, with a line at a rule's threshold.

    Bins stand side by side at equal width whatever the scale: the axis is the number of the bin,
    and ticks name values. None where there are no values.
    """
    found = told["histogram"]
    if not found["counts"]:
        return None
    names = bin_names(found)
    series = [
        _bars(GROUPS[group][0], GROUPS[group][1], split["counts"], names)
        for group, split in told["by_verdict"].items()
        if split["count"]
    ]
    at = None if rule is None else threshold_position(found, rule["op"], rule["value"])
    if rule is not None and at is not None and series:
        series[0]["markLine"] = _threshold(at, rule["condition"], len(names))
    return {
        "grid": {"left": 8, "right": 16, "top": 56, "bottom": 28, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 12, "itemHeight": 12},
        "tooltip": {"trigger": "item"},
        "xAxis": {
            "type": "value",
            "min": 0,
            "max": len(names),
            "containShape": False,
            "ticks": _ticks(found),
            "splitLine": {"show": False},
            "name": _axis_name(told["column"], told["unit"]),
            "nameLocation": "middle",
            "nameGap": 28,
        },
        "yAxis": {"type": "value", "minInterval": 1, "thousands": True},
        "series": series,
    }


def _axis_name(column: str, unit: str) -> str:
    return column if unit in ("", column) else f"{column}, {unit}"


def _bars(label: str, colour: str, counts: Sequence[int], names: Sequence[str]) -> Options:
    return {
        "type": "bar",
        "name": label,
        "stack": "documents",
        "barWidth": "92%",
        "itemStyle": {"color": colour},
        "data": [
            {"value": [i + 0.5, count], "tip": f"{name}\n{label}: {number(count)}"}
            for i, (count, name) in enumerate(zip(counts, names, strict=True))
        ],
    }


def _threshold(at: float, condition: str, bins: int) -> Options:
    """The line, its label on the side that has room."""
    return {
        "silent": True,
        "symbol": "none",
        "lineStyle": {"color": "var(--text)", "type": "dashed", "width": 2},
        "label": {
            "formatter": f"keep if {condition}",
            "color": "var(--text)",
            "fontWeight": "bold",
            "align": "right" if at > bins / 2 else "left",
        },
        "data": [{"xAxis": at}],
    }


def bin_names(found: dict[str, Any]) -> list[str]:
    """What each bin holds, for people."""
    if found["scale"] == "values":
        return [number(v) if v is not None else "null" for v in found["values"]]
    return [f"{number(a)} to {number(b)}" for a, b in pairwise(found["edges"])]


def _ticks(found: dict[str, Any]) -> dict[str, str]:
    """Positions on the axis of bins, and what stands there: values in bins, or edges between."""
    if found["scale"] == "values":
        places = [(i + 0.5, v) for i, v in enumerate(found["values"])]
    else:
        places = [(float(i), v) for i, v in enumerate(found["edges"])]
    every = math.ceil(len(places) / MOST_TICKS)
    return {f"{at:g}": number(v) if v is not None else "null" for at, v in places[::every]}


def threshold_position(found: dict[str, Any], op: str, value: Any) -> float | None:
    """Where a threshold lies on the axis of bins; None where it is no number or far outside."""
    if op not in (">", ">=", "<", "<=") or isinstance(value, bool | str | list):
        return None
    if found["scale"] == "values":
        values = found["values"]
        if any(isinstance(v, bool | str | None.__class__) for v in values):
            return None
        # Between the values that the condition tells apart.
        return float(sum(v < value or (v == value and op in (">", "<=")) for v in values))
    edges = found["edges"]
    if not edges[0] <= value <= edges[-1]:
        return 0.0 if value < edges[0] else float(len(edges) - 1)
    for i, (low, high) in enumerate(pairwise(edges)):
        if value <= high:
            return i + _inside(low, high, value, log=found["scale"] == "log")
    return None


def _inside(low: float, high: float, value: float, *, log: bool) -> float:
    """How far into a bin a value lies, 0 to 1."""
    if high == low:
        return 0.0
    if log and low > 0:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def loss_curve(metrics: Sequence[dict[str, Any]]) -> Options | None:
    """Loss by step; None where nothing was measured yet."""
    return _curve(metrics, "loss", "loss, nats a token", "var(--accent)")


def throughput_curve(metrics: Sequence[dict[str, Any]]) -> Options | None:
    """Tokens a second by step; None where nothing was measured yet."""
    return _curve(metrics, "tokens_per_second", "tokens a second", "var(--kept)", from_zero=True)


def _curve(
    metrics: Sequence[dict[str, Any]],
    name: str,
    title: str,
    colour: str,
    *,
    from_zero: bool = False,
) -> Options | None:
    """One value by step, thinned evenly; what is not finite leaves a gap."""
    every = math.ceil(len(metrics) / MOST_POINTS) or 1
    chosen = [*metrics[:-1:every], *metrics[-1:]]
    points = [(m["step"], m[name]) for m in chosen if name in m]
    if not points:
        return None
    data = [
        {
            "value": [step, value if value is not None and math.isfinite(value) else "-"],
            "tip": f"step {number(step)}\n{title}: {number(value)}",
        }
        for step, value in points
    ]
    return {
        "grid": {"left": 8, "right": 16, "top": 32, "bottom": 24, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "value",
            "name": "step",
            "nameLocation": "middle",
            "nameGap": 26,
            "min": 0,
            "max": "dataMax",
            "minInterval": 1,
            "thousands": True,
            "splitLine": {"show": False},
        },
        "yAxis": {"type": "value", "name": title, "scale": not from_zero, "thousands": True},
        "series": [
            {
                "type": "line",
                "name": title,
                "showSymbol": len(data) < 3,
                "itemStyle": {"color": colour},
                "lineStyle": {"color": colour, "width": 2},
                "data": data,
            }
        ],
    }


def sparkline(values: Iterable[float], width: int = 100, height: int = 24) -> str:
    """Points of a polyline, newest at the right end; a flat line lies at the bottom."""
    shown = list(values)
    if len(shown) < 2:
        return ""
    most = max(shown) or 1.0
    step = width / (len(shown) - 1)
    room = height - 2
    return " ".join(
        f"{i * step:.1f},{height - 1 - room * v / most:.1f}" for i, v in enumerate(shown)
    )
