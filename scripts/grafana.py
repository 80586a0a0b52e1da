"""The building blocks of Grafana's dashboards: queries, panels, variables, and their JSON.

Gateways tell the same figures, so that `max` takes one of them; workers' counters are summed. A
metric that shared/metrics.py does not define raises.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.metrics import FAMILIES

#: That of Grafana 10.4 and 11; newer ones migrate it.
SCHEMA_VERSION = 39
GRID_WIDTH = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: Labels that a variable of a dashboard may choose.
CHOSEN = ("queue", "recipe", "run")


class Query(NamedTuple):
    """A PromQL expression and how its series are called."""

    expr: str
    legend: str


def series(metric: str, **equal: str) -> str:
    """A metric with the selectors of the variables; a name that does not exist raises."""
    family = metric.removesuffix("_bucket").removesuffix("_count")
    labels = FAMILIES[family].labels
    parts = ['namespace=~"$namespace"', *(f'{x}=~"${x}"' for x in CHOSEN if x in labels)]
    parts += [f'{name}="{value}"' for name, value in equal.items()]
    return f"{metric}{{{','.join(parts)}}}"


def named(by: str, more: str) -> str:
    """A legend: the labels by which is grouped, and a word."""
    names = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",") if label)
    return f"{names} {more}".strip()


def gauge(metric: str, by: str = "queue", *, legend: str = "", **equal: str) -> Query:
    """A gauge, as one gateway tells it."""
    grouped = f"max by ({by}) " if by else "max "
    return Query(f"{grouped}({series(metric, **equal)})", named(by, legend))


def counter(
    metric: str, by: str, function: str = "rate", *, window: str = "$__rate_interval", **equal: str
) -> Query:
    """A counter by time: of a gateway's one gateway, of workers' all together."""
    family = FAMILIES[metric.removesuffix("_count")]
    over = "max" if family.source == "gateway" and family.kind == "counter" else "sum"
    inner = f"{function}({series(metric, **equal)}[{window}])"
    return Query(f"{over} by ({by}) ({inner})", named(by, equal.get("outcome", "")))


def quantiles(metric: str, by: str, *points: float, **equal: str) -> tuple[Query, ...]:
    """Quantiles of a histogram."""
    inner = f"sum by ({by}, le) (rate({series(f'{metric}_bucket', **equal)}[$__rate_interval]))"
    return tuple(
        Query(f"histogram_quantile({q}, {inner})", named(by, f"p{100 * q:g}")) for q in points
    )


@dataclass(frozen=True)
class Panel:
    """One panel; `kind` is Grafana's name of it."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    text: str = ""
    stacked: bool = False
    #: From these values on a figure is drawn orange and red.
    warn: float | None = None
    alarm: float | None = None


def graph(title: str, unit: str, *queries: Query, **options: Any) -> Panel:
    """A course over time."""
    return Panel(title, unit, queries, **options)


def stat(title: str, unit: str, expression: str, **options: Any) -> Panel:
    """One present figure."""
    return Panel(title, unit, (Query(expression, title),), "stat", width=4, height=4, **options)


@dataclass(frozen=True)
class Dashboard:
    """Rows of panels, and the variables that its queries use."""

    uid: str
    title: str
    rows: dict[str, tuple[Panel, ...]]
    variables: tuple[dict[str, Any], ...]


def variable(name: str, metric: str) -> dict[str, Any]:
    """A variable with the values of a metric's label, several at once or all."""
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,  # with every change of the time range
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


_CALCULATED = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {"reduceOptions": _CALCULATED},
    "bargauge": {"orientation": "horizontal", "displayMode": "basic"}
    | {"reduceOptions": _CALCULATED},
    "table": {"showHeader": True},
}


def panels_of(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Rows and panels with ids and places."""
    ident, top = 0, 0
    for title, panels in dashboard.rows.items():
        ident += 1
        place = {"h": 1, "w": GRID_WIDTH, "x": 0, "y": top}
        yield {"id": ident, "type": "row", "title": title, "gridPos": place, "panels": []}
        top, left, height = top + 1, 0, 0
        for panel in panels:
            if left + panel.width > GRID_WIDTH:
                top, left, height = top + height, 0, 0
            ident += 1
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            yield {"id": ident, "gridPos": place} | _described(panel)
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _described(panel: Panel) -> dict[str, Any]:
    """A panel but for its place."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    for color, value in (("orange", panel.warn), ("red", panel.alarm)):
        steps += [] if value is None else [{"color": color, "value": value}]
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        mode = "normal" if panel.stacked else "none"
        stacking = {"mode": mode, "group": "A"}
        defaults["custom"] = {"fillOpacity": 20, "showPoints": "auto", "stacking": stacking}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [_target(panel, i) for i in range(len(panel.queries))],
    }


def _target(panel: Panel, index: int) -> dict[str, Any]:
    query, course = panel.queries[index], panel.kind == "timeseries"
    return {
        "refId": "ABCDEFGH"[index],
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "range": course,
        "instant": not course,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def rendered(dashboard: Dashboard) -> str:
    """The dashboard's JSON, always the same for the same description."""
    links = {"type": "dashboards", "tags": ["corpusmill"], "title": "Corpusmill"}
    content = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["corpusmill"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(dashboard.variables)},
        "links": [links | {"asDropdown": True, "keepTime": True, "includeVars": True}],
        "panels": list(panels_of(dashboard)),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
