"""The backend `kubernetes`: makes what is missing of a run's Job, follows it, cleans up.

Level-triggered as the local one: what is to be done follows from the store and from what the API
server says, so it may be called again after any crash, by any worker. The pods write metrics,
checkpoints and the end of the run into the store themselves; this shows what Kubernetes knows
(`shared.run_cluster`), and decides what a Job's failure means:

- a pod was evicted, or its node was lost: the Job replaces it, torchrun goes on from the last
  checkpoint. A pod that is stuck on a lost node: the Job is made anew;
- a pod ended with 70 (it would fail again): the run fails, with the pod's last words;
- the Job failed otherwise: it is made anew, so often as it brings a checkpoint, and
  `job_attempts` times without;
- the quota is used up, no node has room, the image does not come: shown, and tried again;
- the API server is out of reach: waited out with back-off. That is no fault of the task, whose
  number of tries is limited: the pods meanwhile train on.
"""

import logging
import time
from contextlib import closing
from typing import Any

from services.training.kubernetes.client import Api, ApiRefusedError, ApiTroubleError
from services.training.kubernetes.logs import Logs
from services.training.kubernetes.manifests import (
    HASH_ANNOTATION,
    RUN_LABEL,
    job_manifest,
    job_name,
    pod_selector,
    service_manifest,
    spec_hash,
)
from services.training.kubernetes.observe import (
    JobEnd,
    cluster_events,
    in_the_way,
    job_end,
    lost,
    pod_state,
)
from services.training.kubernetes.settings import KubernetesSettings
from services.training.local import EXIT_PERMANENT
from shared.errors import ConflictError
from shared.run_cluster import (
    ClusterEvent,
    ClusterState,
    PodState,
    hold,
    is_held,
    read_cluster,
    release,
    write_cluster,
)
from shared.store import Store, to_json
from shared.training_run import RunSpec, read_checkpoints, read_spec, run_end, run_key

#: The pause after the n-th trouble in a row is 2**n seconds, at most this many.
LARGEST_PAUSE_SECONDS = 60.0
#: A state that does not change is written again this often.
REWRITE_SECONDS = 30.0
#: Pods whose events are asked for: of those that do not run.
_PODS_WITH_EVENTS = 4

log = logging.getLogger(__name__)


def advance(store: Store, run: str, slice_seconds: float) -> None:
    """Look after a run for a slice of time, shorter than asked, so that all runs get their turn.

    Does nothing where the run has ended and is cleaned up. UsageError where run and settings do not
    fit, TransientError where the store is out of reach.
    """
    if run_end(store, run) is not None and not is_held(store, run):
        return
    conf = KubernetesSettings()
    with closing(Api(conf.namespace)) as api:
        follower = Follower(store, read_spec(store, run), api, conf)
        follower.follow(min(slice_seconds, conf.follow.total_seconds()))


class Follower:
    """A worker's view of one run."""

    def __init__(self, store: Store, spec: RunSpec, api: Api, conf: KubernetesSettings) -> None:
        self.store, self.spec, self.api, self.conf = store, spec, api, conf
        name = job_name(store.url, spec.id, 1)
        found = read_cluster(store, spec.id)
        self.state = found or ClusterState(namespace=conf.namespace, job=name)
        self._logs = Logs(api, conf.log_lines)

    def follow(self, seconds: float) -> None:
        """Look again and again until all is over or the time is up; look once at least."""
        deadline = time.monotonic() + seconds
        pause = self.conf.poll.total_seconds()
        while not self._try() and time.monotonic() + pause < deadline:
            time.sleep(pause)

    def _try(self) -> bool:
        """A look; what keeps the API server from answering is shown, and counted."""
        end = run_end(self.store, self.spec.id)
        if end is not None and self.state.phase != "stopping":  # now, however long the pause is
            self._show(phase="stopping", stuck_at=time.time(), retry_at=None)
        if time.time() < (self.state.retry_at or 0.0):
            return False
        try:
            over = self._look() if end is None else self._clean_up(end)
        except (ApiTroubleError, ApiRefusedError) as error:
            troubles = self.state.troubles + 1
            pause = min(2.0**troubles, LARGEST_PAUSE_SECONDS)
            log.warning("run %s: %s; again in %.0f s", self.spec.id, error, pause)
            self._show(message=str(error), troubles=troubles, retry_at=time.time() + pause)
            return False
        if self.state.troubles:
            self._show(troubles=0, retry_at=None)
        return over

    def _show(self, **changes: Any) -> None:
        """Change the state, and write it where something has changed."""
        state = self.state.model_copy(update=changes)
        now = time.time()
        if state != self.state or now - self.state.time > REWRITE_SECONDS:
            self.state = state.model_copy(update={"time": now})
            write_cluster(self.store, self.spec.id, self.state)

    def _look(self) -> bool:
        """One look at a run that has not ended."""
        job = self.api.job(self.state.job)
        if job is None:
            return self._create()
        if not self._is_ours(job):
            found = job["metadata"].get("annotations", {}).get(HASH_ANNOTATION)
            return self._fail(
                f"the Job {self.state.job} in {self.conf.namespace} is not this run's: spec hash "
                f"{found}, not {spec_hash(self.spec)}"
            )
        end = job_end(job)
        if end is None and self.api.service(self.state.job) is None:
            self._create_service(job)
        found = self.api.pods(pod_selector(self.state.job))
        pods = self._observe(job, found, end)
        if end is not None:
            return self._ended(end, pods)
        stuck = lost(found, time.time(), self.conf.lost_limit.total_seconds())
        if stuck is not None:
            self.api.delete_job(self.state.job, "Background")
            return self._again(f"pod {stuck} is lost with its node")
        waited = time.time() - (self.state.stuck_at or time.time())
        if waited > self.conf.start_limit.total_seconds():
            return self._fail(f"the pods could not be started: {self.state.message}")
        return False

    def _is_ours(self, job: dict[str, Any]) -> bool:
        notes = job["metadata"].get("annotations", {})
        wanted = (self.spec.id, spec_hash(self.spec))
        return (notes.get(RUN_LABEL), notes.get(HASH_ANNOTATION)) == wanted

    def _create(self) -> bool:
        """Make the Job of this attempt; what another worker made meanwhile is looked at next."""
        if self.state.uid is not None:
            return self._again(f"the Job {self.state.job} was deleted")
        manifest = job_manifest(self.spec, self.conf, self.store.url, self.state.attempt)
        hold(self.store, self.spec.id)
        self._show(phase="creating")
        try:
            job = self.api.create_job(manifest)
        except ConflictError:
            return False
        except ApiRefusedError as error:
            return self._fail(str(error))
        log.info("run %s: created the Job %s", self.spec.id, self.state.job)
        self._show(phase="pending", uid=job["metadata"]["uid"], message=None, stuck_at=None)
        self._create_service(job)
        return False

    def _create_service(self, job: dict[str, Any]) -> None:
        try:
            self.api.create_service(service_manifest(job))
        except ConflictError:
            log.info("run %s: there is a Service %s", self.spec.id, self.state.job)

    def _observe(
        self, job: dict[str, Any], found: list[dict[str, Any]], end: JobEnd | None
    ) -> list[PodState]:
        """Show what there is: pods, events, logs."""
        pods = sorted(map(pod_state, found), key=lambda p: (p.index, p.name))
        running = {p.index for p in pods if p.phase in ("Running", "Succeeded")}
        all_run = len(running) == self.spec.nodes
        events = self._events(pods)
        why = end.message if end else in_the_way(pods, events, self.spec.nodes)
        stopping = self.state.phase == "stopping"
        phase = (
            "stopping" if stopping else end.phase if end else "running" if all_run else "pending"
        )
        since = None if why is None else self.state.stuck_at or time.time()
        self._show(
            uid=job["metadata"]["uid"],
            phase=phase,
            message=why,
            stuck_at=self.state.stuck_at if stopping else since,
            pods=tuple(pods),
            events=events,
            logs=self._logs.of(pods, self.state.logs),
        )
        return pods

    def _events(self, pods: list[PodState]) -> tuple[ClusterEvent, ...]:
        """Of the Job and of pods that do not run."""
        idle = [p.name for p in pods if p.phase != "Running"][:_PODS_WITH_EVENTS]
        return cluster_events(e for name in (self.state.job, *idle) for e in self.api.events(name))

    def _ended(self, end: JobEnd, pods: list[PodState]) -> bool:
        """The Job has ended; has the run?"""
        if run_end(self.store, self.spec.id) is not None:  # since this look began
            return False
        said = [p.message for p in pods if p.exit_code == EXIT_PERMANENT and p.message]
        if said or end.reason == "PodFailurePolicy":
            return self._fail([*said, end.message][0], EXIT_PERMANENT)
        if end.phase == "succeeded":
            return self._again("the Job has completed, but not the run")
        return self._again(f"the Job has failed: {end.reason}: {end.message}")

    def _again(self, why: str) -> bool:
        """Have the next look make another Job; fail where that has brought nothing too often."""
        step = max(read_checkpoints(self.store, self.spec.id), default=0)
        fruitless = 0 if step > self.state.attempt_step else self.state.fruitless + 1
        if fruitless >= self.conf.job_attempts:
            return self._fail(f"{why} (after {self.state.attempt} Jobs)")
        self.api.delete_service(self.state.job)
        attempt = self.state.attempt + 1
        log.warning("run %s: %s; making Job %d", self.spec.id, why, attempt)
        self._show(
            job=job_name(self.store.url, self.spec.id, attempt),
            uid=None,
            phase="creating",
            message=why,
            attempt=attempt,
            attempt_step=step,
            fruitless=fruitless,
            stuck_at=None,
        )
        return False

    def _fail(self, error: str, exit_code: int | None = None) -> bool:
        """End the run; the next look cleans up."""
        lines = [f"{pod}: {line}" for pod, tail in self.state.logs.items() for line in tail]
        mark = {"error": error, "exit_code": exit_code, "log": lines}
        self.store.put_if_absent(run_key(self.spec.id, "failed.json"), to_json(mark))
        return False

    def _clean_up(self, run_ended: str) -> bool:
        """One look at a run that has ended: True when nothing of it runs any more."""
        name = self.state.job
        job = self.api.job(name)
        if job is not None and self._is_ours(job):
            end = job_end(job)
            self._observe(job, self.api.pods(pod_selector(name)), end)
            if end is None:
                self._stop(job, run_ended)
                return False
        if job is None or self._is_ours(job):
            self.api.delete_service(name)
        self._show(phase="gone", message=f"the run has {run_ended}", troubles=0, retry_at=None)
        release(self.store, self.spec.id)
        return True

    def _stop(self, job: dict[str, Any], run_ended: str) -> None:
        """End a Job: one that has done its work by itself, but not for ever."""
        waited = time.time() - (self.state.stuck_at or time.time())
        grace = self.conf.stop_grace.total_seconds()
        if waited > grace + self.conf.lost_limit.total_seconds():
            self.api.delete_job(self.state.job, "Background")
        elif "deletionTimestamp" in job["metadata"]:
            return
        elif run_ended != "finished" or waited > grace:
            self.api.delete_job(self.state.job, "Foreground")
