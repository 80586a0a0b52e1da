"""The only file that imports Celery: queues, messages, retry policy, careful mode.

One queue a service and one task type. Results are ignored, messages are acknowledged late and
carry ids only. A message is a hint, never the truth: what is done stands in the store, and the
conductor sends again what was lost. So the policy is short:

- transient error: the task pauses (2, 4, 8, ... seconds) and is sent again, `task_tries` times;
- usage or permanent error, or no tries left: a failure mark under the batch, until a retry;
- the process was killed or hung: the next try finds a begun task and runs it in careful mode.
"""

import argparse
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps, signals
from celery.worker import state
from kombu.entity import Exchange, Queue
from redis.exceptions import RedisError

from shared import metrics, tracing
from shared.careful import CarefulCompute
from shared.compute import Compute, compute
from shared.errors import CorpusmillError, PermanentError, TransientError
from shared.estimates import Estimates
from shared.failures import mark_failed
from shared.leases import Leases, sign_of_life
from shared.logs import StreamHandler
from shared.metrics import Started
from shared.metrics_server import KeptCheck, ProcessTree, Pulse, serve
from shared.plan import runnable_after
from shared.processes import die_with_parent, give_memory_back, own_temporary_folder
from shared.ref import REF, JobRef, RunRef, TaskRef
from shared.run import Done, run_task
from shared.settings import settings
from shared.shards import Batch
from shared.shutdown import Ending, noticing_the_end
from shared.stages import Pipeline, compile_batch
from shared.step import job_handler, load_registry
from shared.store import Store
from shared.telemetry import add_context, configure_logging, context, log_context
from shared.warming import warm

log = logging.getLogger(__name__)

SERVICES = ("extraction", "langid", "quality", "dedup", "export", "training")
TASK = "corpusmill.work"
#: A message is an id; more would be a mistake.
MESSAGE_BYTES = 512
LARGEST_PAUSE_SECONDS = 60.0
#: Of Celery's loop: it turns every second, unless an operation hangs until its time-out (30 s).
PULSE = Pulse(90.0)
#: How long an answered, or unanswered, ping says whether the worker is ready.
PING_EVERY_SECONDS = 10.0
PING_SECONDS = 2.0
#: The services that this worker serves; set before Celery forks.
_served: list[str] = []


def _broker_url(url: str) -> str:
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


@cache
def app() -> Celery:
    """The Celery application, configured once a process."""
    conf = settings()
    celery = Celery("corpusmill", broker=_broker_url(conf.redis.get_secret_value()))
    celery.conf.update(
        # With an exchange of its own each: on a common one every queue would get every message.
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in SERVICES],
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # the conductor sends it again, in careful mode
        task_time_limit=conf.task_time_limit.total_seconds(),
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=120,  # compiled loops load before the first task
        worker_hijack_root_logger=False,
        # For its ping to itself alone: with a mailbox of its own, others' pings do not wake it.
        worker_enable_remote_control=conf.metrics_port != 0,
        control_exchange=f"pidbox-{worker_name()}",
        control_queue_exclusive=True,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": conf.visibility_timeout.total_seconds(),
            "socket_timeout": 30,
            "socket_keepalive": True,
        },
    )
    celery.task(name=TASK)(work)
    celery.steps["consumer"].add(_Pulse)
    return celery


def worker_name() -> str:
    """The name of this process, where it is a worker."""
    return f"{socket.gethostname()}-{os.getpid()}"


class _Pulse(bootsteps.StartStopStep):  # type: ignore[misc]
    """Tells that Celery's loop turns; without a broker there is none, and none is missed."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, _consumer: Any) -> None:
        PULSE.turn()

    def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
        hub.call_repeatedly(1.0, PULSE.turn)

    def stop(self, _consumer: Any) -> None:
        PULSE.pause()


def _ping() -> str | None:
    """Ask this worker's loop for a sign of life, through the broker."""
    with app().connection_for_write() as connection:
        node = f"celery@{worker_name()}"
        answers = app().control.ping([node], PING_SECONDS, connection=connection)
    return None if answers else f"no answer to a ping within {PING_SECONDS:g} s"


def _serve_metrics(services: list[str]) -> None:
    """Metrics and probes, where a port for them is set. Before Celery forks."""
    if settings().metrics_port:
        counted = ProcessTree(Path(tempfile.gettempdir(), "metrics"))
        ready = KeptCheck(_ping, PING_EVERY_SECONDS, PING_SECONDS + 1)
        serve(settings(), [counted, Started(services, time.time())], PULSE.missing, ready)


@cache
def leases() -> Leases:
    """Leases of this process."""
    return Leases(settings().redis.get_secret_value())


@cache
def store() -> Store:
    """The store of this process."""
    return Store(settings().store)


@lru_cache(maxsize=16)
def pipeline(batch: str) -> Pipeline:
    """The compiled batch; its record is immutable, so it is read once a process."""
    return compile_batch(Batch.model_validate(store().get_json(f"batches/{batch}/batch.json")))


def send(service: str, ref: TaskRef | JobRef) -> None:
    """Put a message into a service's queue."""
    message = ref.model_dump()
    if len(json.dumps(message)) > MESSAGE_BYTES:
        raise ValueError(f"message of {ref.id} is larger than {MESSAGE_BYTES} bytes")
    headers = {"sent_at": time.time()}
    app().send_task(TASK, args=[message], queue=service, task_id=ref.id, headers=headers)


def waiting(service: str) -> dict[str, float]:
    """The tasks that wait in a service's queue (the window bounds them): id to time sent."""
    messages: Any = leases().redis.lrange(service, 0, -1)
    return sent_times(messages)


def sent_times(messages: list[str]) -> dict[str, float]:
    """Of messages as they lie in a queue: task id to time sent."""
    headers = [json.loads(m)["headers"] for m in messages]
    return {h["id"]: float(h["sent_at"]) for h in headers}


def work(message: dict[str, Any]) -> None:
    """Run the task that a message names. Never raises: outcomes are receipts and marks."""
    ref = REF.validate_python(message)
    whose = ("batch", ref.batch) if isinstance(ref, TaskRef) else (ref.kind, ref.job)
    with (
        log_context(**dict([whose]), task=ref.id),
        leases().hold(f"lease:{ref.id}", settings().lease),
        noticing_the_end(),
    ):
        started = time.perf_counter()
        service = "training"
        try:
            tries = leases().begin(ref.id)
            service = _service(ref)
            if not isinstance(ref, RunRef):
                _check_tries(tries)
            done = _run_observed(ref, service, tries)
            leases().end(ref.id)
            elapsed = time.perf_counter() - started
            _note(service, done, elapsed, tries)
        except Exception as error:  # noqa: BLE001 (every error has a policy)
            metrics.observe_task(service, "failed", time.perf_counter() - started)
            _failed(ref, service, error)
            return
    if isinstance(ref, TaskRef) and done.committed:
        _send_next(ref)


def _service(ref: TaskRef | JobRef) -> str:
    """Whose task it is; the log lines from here on name its stage."""
    if not isinstance(ref, TaskRef):
        return ref.service
    stage = pipeline(ref.batch).stages[ref.stage]
    add_context(stage=stage.name, **{"partition" if stage.phase else "shard": ref.unit})
    return stage.service


def _run_observed(ref: TaskRef | JobRef, service: str, tries: int) -> Done:
    """Run it, with its bytes counted and a span."""
    told = {**context(), "queue": service, "attempt": tries}
    with metrics.task_of(service), tracing.task_span(service, told) as span:
        if isinstance(ref, TaskRef):
            done = _run(ref, tries)
        else:
            job_handler(service)(store(), ref.job, settings().run_slice.total_seconds())
            done = Done(committed=True)
        span.set(documents=done.documents, outcome="committed" if done.committed else "repeated")
        return done


def _note(service: str, done: Done, seconds: float, tries: int) -> None:
    """Count a task that has ended well."""
    amounts = {"done": 1, "milliseconds": int(1000 * seconds), "documents": done.documents}
    leases().count(service, **amounts, careful=int(tries > 1))
    outcome: metrics.TaskOutcome = "committed" if done.committed else "repeated"
    metrics.observe_task(service, outcome, seconds, done.documents)
    stage = context().get("stage")
    if stage and done.committed and done.computed and tries == 1:
        Estimates(leases().redis).note(service, stage, done.seconds)


def _check_tries(tries: int) -> None:
    """PermanentError for what has killed its worker too often."""
    if tries > settings().task_tries:
        raise PermanentError(f"killed its worker {tries - 1} times")


def _run(ref: TaskRef, tries: int) -> Done:
    """Run a task of a batch; the second try and later ones in careful mode."""
    if store().exists(f"batches/{ref.batch}/cancelled.json"):
        return Done(committed=False)
    how: Compute = compute
    guard = None
    if tries > 1:
        add_context(careful=True)
        guard = CarefulCompute(store(), ref, settings())
        how = guard
    try:
        done = run_task(store(), pipeline(ref.batch), ref, how, tries)
    finally:
        if guard is not None:
            guard.close()
    log.info("committed" if done.committed else "was done")
    return done


def _failed(ref: TaskRef | JobRef, service: str, error: Exception) -> None:
    """The retry policy."""
    tries = leases().fault(ref.id)
    transient = isinstance(error, TransientError | RedisError | OSError)
    if transient and tries < settings().task_tries:
        pause = min(2.0**tries, LARGEST_PAUSE_SECONDS)
        log.warning("transient: %s; again in %.0f s", error, pause)
        leases().pause(ref.id, pause)
        leases().count(service, retried=1)
        metrics.count_retry(service)
        return
    log.error("failed: %s", error, exc_info=not isinstance(error, CorpusmillError))
    leases().count(service, failed=1)
    mark_failed(store(), ref, error, tries)
    leases().end(ref.id)


def _send_next(ref: TaskRef) -> None:
    """After a commit: hand the shard on to its next stage, where there is room in the queue."""
    for following in runnable_after(pipeline(ref.batch), ref):
        service = pipeline(ref.batch).stages[following.stage].service
        with suppress(RedisError):  # the conductor's next look sends it
            if leases().redis.llen(service) < settings().window:
                send(service, following)


@signals.worker_process_init.connect
def _warm_up(**_: Any) -> None:
    """In the process that runs tasks: load steps and compiled loops before the first task."""
    die_with_parent()
    give_memory_back()
    own_temporary_folder()
    configure_logging("INFO", StreamHandler(settings()))
    leases.cache_clear()
    tracing.start(settings(), "worker")
    load_registry()
    for service in _served if settings().warm else ():
        warm(service)


class _Begun:
    """A task of this worker, at its end; see `shared.shutdown`."""

    def __init__(self, request: Any) -> None:
        self.task: str = request.id
        self.process: int = request.worker_pid
        self._request = request

    def take(self) -> None:
        self._request.acknowledged = True  # to Celery, which would take it for a failure

    def _message(self) -> Any:
        """Directly: Celery's own way leads through its loop, which has ended."""
        return self._request.message

    def acknowledge(self) -> None:
        if not self._message().acknowledged:
            self._message().ack_log_error(log, (RedisError, OSError))

    def hand_back(self) -> None:
        with suppress(RedisError):  # then the lease runs out, and the conductor sends it again
            leases().uncount(self.task)
            self._message().reject_log_error(log, (RedisError, OSError), requeue=True)
            leases().release(self.task)


_ending = Ending(
    lambda: [_Begun(r) for r in list(state.active_requests) if r.worker_pid and not r.acknowledged]
)


@signals.worker_shutting_down.connect
def _end(**_: Any) -> None:
    """SIGTERM, or the first SIGINT: Celery takes no new task and waits for those it has."""
    _ending.begin(settings().stop_grace.total_seconds())


@signals.worker_shutdown.connect
def _settle(**_: Any) -> None:
    """Celery hands acknowledgements to its loop, which may have ended before."""
    _ending.settle()


@signals.worker_ready.connect
def _end_at_once_on_sigquit(**_: Any) -> None:
    """Celery's own way kills tasks as if they had failed."""
    _ending.at_once_on(signal.SIGQUIT)


def main(*default_services: str) -> None:
    """Run a worker for some services until SIGTERM: it ends or hands back what it has begun."""
    parser = argparse.ArgumentParser(prog="worker", description=main.__doc__)
    parser.add_argument("services", nargs="*", default=default_services or SERVICES)
    parser.add_argument("--concurrency", type=int, default=1, help="tasks at once (processes)")
    arguments = parser.parse_args()
    unknown = set(arguments.services) - set(SERVICES)
    if unknown:
        parser.error(f"no service {sorted(unknown)}; there are {', '.join(SERVICES)}")
    configure_logging()
    _served.extend(arguments.services)
    # In a process of its own: what Celery forks must not inherit the object store's threads.
    if subprocess.run(
        [sys.executable, "-m", "shared.store", settings().store], check=False
    ).returncode:
        sys.exit(1)
    own_temporary_folder()
    _serve_metrics(list(arguments.services))
    name = worker_name()
    alive = (leases(), name, list(arguments.services))
    threading.Thread(target=sign_of_life, args=alive, daemon=True).start()
    app().worker_main(
        [
            "worker",
            "--loglevel=WARNING",
            f"--concurrency={arguments.concurrency}",
            f"--queues={','.join(arguments.services)}",
            f"--hostname={name}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
