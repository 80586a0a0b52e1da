"""Grafana's dashboards as JSON, from this one file.

    python -m scripts.dashboards [folder]

A panel is a title, a unit and its queries; the grid is filled from left to right. Queries use raw
metrics only, so that the dashboards work without the rule file.
"""

import sys
from pathlib import Path

from scripts.grafana import (
    Dashboard,
    Panel,
    Query,
    counter,
    gauge,
    graph,
    named,
    quantiles,
    rendered,
    series,
    stat,
    variable,
)

FOLDER = Path("helm/corpusmill/files/dashboards")
KUBE_HPA = "kube_horizontalpodautoscaler"
SOURCE = {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
NAMESPACE = variable("namespace", "corpusmill_queue_workers")
QUEUES = variable("queue", "corpusmill_queue_workers")
RECIPES = variable("recipe", "corpusmill_verdicts_total")
RUNS = variable("run", "corpusmill_training_steps")
TARGET = {
    "name": "target_seconds",
    "label": "seconds of backlog a worker (the chart's targetSeconds)",
    "type": "textbox",
    "query": "60",
    "current": {"text": "60", "value": "60"},
}

_LOOK = gauge("corpusmill_conductor_last_look_timestamp_seconds", "", legend="since the last look")
_SINCE_LOOK = Query(f"time() - {_LOOK.expr}", _LOOK.legend)
_MEMORY = gauge("corpusmill_valkey_memory_bytes", "", legend="used")
_LIMIT = Query(f"max({series('corpusmill_valkey_memory_limit_bytes')} > 0)", "limit")
_IN_FLIGHT = gauge("corpusmill_queue_in_flight")
_WORKERS = gauge("corpusmill_queue_workers")
_SECONDS = gauge("corpusmill_backlog_seconds")
_WANTED = Query(f"{_IN_FLIGHT.expr} + {_SECONDS.expr} / $target_seconds", named("queue", "wanted"))
_RUNNING = gauge("corpusmill_batches", "namespace", state="running")
_STARTS = f"changes({series('corpusmill_worker_start_timestamp_seconds')}[15m])"


def autoscaler(what: str, legend: str) -> Query:
    """What kube-state-metrics tells of the autoscalers; their names end with the service's."""
    selector = '{namespace=~"$namespace",horizontalpodautoscaler=~"(.*-)?($queue)"}'
    by = "horizontalpodautoscaler"
    return Query(f"max by ({by}) ({KUBE_HPA}_{what}{selector})", named(by, legend))


CLUSTER = Dashboard(
    "corpusmill-cluster",
    "Corpusmill: cluster",
    {
        "Now": (
            stat(
                "alerts firing",
                "short",
                'count(ALERTS{alertname=~"Corpusmill.*",alertstate="firing"}) or vector(0)',
                warn=1,
                text="What each alert means: docs/operations.md.",
            ),
            stat("batches running", "short", f"sum({_RUNNING.expr})"),
            stat("workers alive", "short", f"sum({_WORKERS.expr})"),
            stat("backlog of one worker", "s", f"sum({_SECONDS.expr})"),
            stat("conductor's last look", "s", _SINCE_LOOK.expr, warn=60, alarm=120),
            stat(
                "Valkey's memory used",
                "percentunit",
                f"{_MEMORY.expr} / {_LIMIT.expr}",
                warn=0.6,
                alarm=0.8,
                text="No value where Valkey has no limit.",
            ),
        ),
        "Queues": (
            graph("depth", "short", gauge("corpusmill_queue_depth")),
            graph("in flight", "short", _IN_FLIGHT),
            graph("oldest message", "s", gauge("corpusmill_queue_oldest_age_seconds")),
            graph(
                "ready tasks",
                "short",
                gauge("corpusmill_backlog_tasks", state="ready"),
                stacked=True,
                text="Could run now, sent or not; those in flight are not counted.",
            ),
            graph(
                "blocked tasks",
                "short",
                gauge("corpusmill_backlog_tasks", state="blocked"),
                stacked=True,
                text="Wait for an earlier stage or batch.",
            ),
            graph(
                "backlog in seconds of work",
                "s",
                _SECONDS,
                stacked=True,
                text="Ready tasks times measured seconds a task: what workers are scaled on.",
            ),
        ),
        "Workers and tasks": (
            graph(
                "workers: alive and wanted",
                "short",
                _WORKERS._replace(legend=named("queue", "alive")),
                _WANTED,
                width=12,
                text="Wanted: tasks in flight, and a worker for so many seconds of backlog.",
            ),
            graph(
                "autoscaler: desired and maximum",
                "short",
                autoscaler("status_desired_replicas", "desired"),
                autoscaler("spec_max_replicas", "maximum"),
                width=12,
                text="Only on Kubernetes with kube-state-metrics.",
            ),
            graph("tasks done", "ops", counter("corpusmill_tasks_total", "queue", outcome="done")),
            graph("seconds a task, estimate", "s", gauge("corpusmill_task_seconds_estimate")),
            graph(
                "starts of workers",
                "short",
                Query(f"sum by (queue) ({_STARTS})", "{{queue}}"),
                text="Of workers that were there before, in 15 minutes.",
            ),
            graph(
                "seconds of committed tasks",
                "s",
                *quantiles("corpusmill_task_seconds", "queue", 0.5, 0.95, outcome="committed"),
                width=12,
            ),
            graph(
                "failed, retried, careful",
                "short",
                *(
                    counter("corpusmill_tasks_total", "queue", "increase", outcome=outcome)
                    for outcome in ("failed", "retried", "careful")
                ),
                width=12,
                text="Careful: done again, document by document, after a process was lost.",
            ),
        ),
        "Store, Valkey, conductor, gateway": (
            graph(
                "store: seconds of a call",
                "s",
                *quantiles("corpusmill_store_seconds", "operation", 0.5, 0.95),
            ),
            graph("store: calls", "ops", counter("corpusmill_store_seconds_count", "operation")),
            graph(
                "store: errors",
                "ops",
                counter("corpusmill_store_errors_total", "operation, kind"),
            ),
            graph("Valkey's memory", "bytes", _MEMORY, _LIMIT),
            graph(
                "conductor",
                "s",
                _SINCE_LOOK,
                gauge("corpusmill_conductor_look_seconds", "", legend="a look takes"),
            ),
            graph(
                "gateway: requests by status",
                "reqps",
                counter("corpusmill_http_request_seconds_count", "status"),
                stacked=True,
            ),
            graph(
                "gateway: seconds of a request",
                "s",
                *quantiles("corpusmill_http_request_seconds", "route", 0.5, 0.99),
                width=24,
            ),
        ),
    },
    (SOURCE, NAMESPACE, QUEUES, TARGET),
)

_VERDICTS = "corpusmill_verdicts_total"
_KEPT = counter(_VERDICTS, "recipe", verdict="kept")
_DROPPED = counter(_VERDICTS, "recipe, rule", "increase", window="$__range", verdict="dropped")

BATCHES = Dashboard(
    "corpusmill-batches",
    "Corpusmill: batches and rules",
    {
        "Volume": (
            graph("batches by state", "short", gauge("corpusmill_batches", "state"), stacked=True),
            graph(
                "documents a second",
                "docs/s",
                counter("corpusmill_documents_total", "queue"),
                text="Documents that entered committed tasks.",
            ),
            graph("bytes a second", "Bps", counter("corpusmill_bytes_total", "queue, direction")),
        ),
        "Verdicts": (
            graph(
                "documents kept to the end",
                "percentunit",
                Query(f"{_KEPT.expr} / {counter(_VERDICTS, 'recipe').expr}", _KEPT.legend),
                text="Of the documents that got their verdict in the interval.",
            ),
            graph(
                "documents dropped, by rule",
                "docs/s",
                counter(_VERDICTS, "recipe, rule", verdict="dropped"),
                stacked=True,
                width=16,
            ),
            Panel(
                "rules that dropped most",
                "short",
                (Query(f"topk(25, {_DROPPED.expr})", _DROPPED.legend),),
                "bargauge",
                width=12,
                height=12,
                text="Documents within the time range.",
            ),
            Panel(
                "alarms: share that a rule drops",
                "percentunit",
                (gauge("corpusmill_rule_alarm", "batch, rule, kind"),),
                "table",
                width=12,
                height=12,
                text="Rules that drop nothing, or nearly all of what enters them.",
            ),
        ),
        "Faults": (
            graph(
                "documents failed, by step",
                "docs/s",
                counter(_VERDICTS, "recipe, rule", verdict="failed"),
            ),
            graph(
                "documents in quarantine",
                "short",
                counter("corpusmill_quarantined_documents_total", "queue", "increase"),
                text="They killed or hung the process that read them.",
            ),
            graph(
                "retries after transient errors",
                "ops",
                counter("corpusmill_task_retries_total", "queue"),
            ),
        ),
    },
    (SOURCE, NAMESPACE, QUEUES, RECIPES),
)

_STEP, _STEPS = gauge("corpusmill_training_step", "run"), gauge("corpusmill_training_steps", "run")
_PROGRESS = gauge("corpusmill_training_last_progress_timestamp_seconds", "run")
_PACE = f"max by (run) (deriv({series('corpusmill_training_step')}[15m])) > 0"

TRAINING = Dashboard(
    "corpusmill-training",
    "Corpusmill: training",
    {
        "Runs that go on": (
            graph("loss", "short", gauge("corpusmill_training_loss", "run"), width=12),
            graph(
                "tokens a second",
                "tokens/s",
                gauge("corpusmill_training_tokens_per_second", "run"),
                width=12,
            ),
            graph(
                "share of the GPUs' peak (MFU)",
                "percentunit",
                gauge("corpusmill_training_mfu", "run"),
                text="Only where the peak of the device is known.",
            ),
            graph("progress", "percentunit", Query(f"{_STEP.expr} / {_STEPS.expr}", _STEP.legend)),
            graph(
                "since the last step was told",
                "s",
                Query(f"time() - {_PROGRESS.expr}", _PROGRESS.legend),
            ),
            graph(
                "steps done",
                "short",
                _STEP._replace(legend="{{run}} done"),
                _STEPS._replace(legend="{{run}} of"),
                width=12,
            ),
            graph(
                "time left",
                "s",
                Query(f"({_STEPS.expr} - {_STEP.expr}) / ({_PACE})", _STEP.legend),
                width=12,
                text="At the pace of the last 15 minutes.",
            ),
        ),
    },
    (SOURCE, NAMESPACE, RUNS),
)

DASHBOARDS = (CLUSTER, BATCHES, TRAINING)


def main(folder: Path) -> None:
    """Write every dashboard."""
    folder.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (folder / f"{dashboard.uid}.json").write_text(rendered(dashboard))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
