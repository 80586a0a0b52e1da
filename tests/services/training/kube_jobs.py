"""Kubernetes' Job controller, as far as our Jobs use it, and what kubelets and schedulers report.

It makes the pods of an Indexed Job, applies the Job's own podFailurePolicy and backoffLimit to pods
that end, and sets the Job's conditions. Every object that it makes is valid by Kubernetes' schema.
"""

import secrets
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils

#: The oldest whose Jobs have all that we use, one between, the newest.
VERSIONS = ("1.30", "1.33", "1.37")


# It reads two megabytes of definitions for every check.
utils.schema_contents = cache(utils.schema_contents)


def now(ago: float = 0.0) -> str:
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def check(thing: dict[str, Any], versions=VERSIONS) -> None:
    for version in versions:
        kubernetes_validate.validate(thing, version, strict=True)


class Jobs:
    """Jobs, pods and events of one namespace."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        #: Message with which pods are refused, as by a quota of GPUs.
        self.pods_refused = ""

    def add(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take a Job, with what the API server adds, and make its pods."""
        uid, name = str(uuid.uuid4()), body["metadata"]["name"]
        body["metadata"] |= {"uid": uid, "creationTimestamp": now(), "resourceVersion": "1"}
        own = {"batch.kubernetes.io/job-name": name, "batch.kubernetes.io/controller-uid": uid}
        body["spec"]["selector"] = {"matchLabels": own}
        body["spec"]["template"]["metadata"]["labels"] |= own
        body["status"] = {"failed": 0}
        self.jobs[name] = body
        for index in range(body["spec"]["completions"]):
            self._make_pod(body, index)
        return body

    def _make_pod(self, job: dict[str, Any], index: int) -> None:
        template, name = job["spec"]["template"], job["metadata"]["name"]
        if self.pods_refused:
            self.event("Job", name, "FailedCreate", self.pods_refused)
            return
        place = {"batch.kubernetes.io/job-completion-index": str(index)}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-{index}-{secrets.token_hex(3)[:5]}",
                "namespace": job["metadata"]["namespace"],
                "uid": str(uuid.uuid4()),
                "labels": template["metadata"]["labels"] | place,
                "annotations": template["metadata"]["annotations"] | place,
                "creationTimestamp": now(),
                "finalizers": ["batch.kubernetes.io/job-tracking"],
            },
            "spec": template["spec"] | {"hostname": f"{name}-{index}"},
            "status": {"phase": "Pending"},
        }
        self.pods[pod["metadata"]["name"]] = pod

    def pod(self, index: int) -> dict[str, Any]:
        """The newest pod of an index."""
        key = "batch.kubernetes.io/job-completion-index"
        return [p for p in self.pods.values() if p["metadata"]["annotations"][key] == str(index)][
            -1
        ]

    def event(self, kind: str, name: str, reason: str, message: str) -> None:
        about = {"kind": kind, "name": name, "namespace": "train"}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{secrets.token_hex(4)}", "namespace": "train"},
            "involvedObject": about,
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": now(),
            "count": 1,
        }
        check(event, VERSIONS[-1:])
        self.events.append(event)

    def status(self, pod: dict[str, Any], *conditions: dict[str, Any], **fields: Any) -> None:
        """What a kubelet or the scheduler reports of a pod."""
        pod["status"] = fields
        if conditions:
            pod["status"]["conditions"] = list(conditions)
        check(pod, VERSIONS[-1:])

    def unschedulable(self, index: int, message: str) -> None:
        pod = self.pod(index)
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        self.status(pod, condition | {"message": message}, phase="Pending")
        self.event("Pod", pod["metadata"]["name"], "FailedScheduling", message)

    def no_image(self, index: int) -> None:
        pod = self.pod(index)
        message = f'Back-off pulling image "{pod["spec"]["containers"][0]["image"]}"'
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
        self.status(pod, phase="Pending", containerStatuses=[_container(pod, waiting)])
        self.event("Pod", pod["metadata"]["name"], "Failed", message)

    def runs(
        self, index: int, node: str = "gpu-1", log: str = "run: 0 of 12 steps are done\n"
    ) -> None:
        pod = self.pod(index)
        pod["spec"] = pod["spec"] | {"nodeName": node}
        state = {"running": {"startedAt": now()}}
        self.status(pod, phase="Running", containerStatuses=[_container(pod, state)])
        self.logs[pod["metadata"]["name"]] = log

    def evicted(self, index: int) -> None:
        """The kubelet ends the pod; the container commits a checkpoint and says 75."""
        reason = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
        self.ended(index, 75, "", {"type": "DisruptionTarget", "status": "True"} | reason)

    def node_lost(self, index: int, ago: float) -> None:
        """The pod was to be deleted; its node says nothing any more."""
        pod = self.pod(index)
        reason = {"reason": "DeletionByTaintManager", "message": "Taint manager: deleting"}
        condition = {"type": "DisruptionTarget", "status": "True"} | reason
        pod["metadata"]["deletionTimestamp"] = now(ago)
        message = "Node gpu-1 which was running the pod is unresponsive"
        self.status(pod, condition, phase="Running", reason="NodeLost", message=message)

    def ended(self, index: int, code: int, message: str, *conditions: dict[str, Any]) -> None:
        """The container has ended; the Job controller acts on it."""
        pod = self.pod(index)
        times = {"startedAt": now(), "finishedAt": now()}
        why = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
        state = {"terminated": why | times}
        phase = "Failed" if code else "Succeeded"
        self.status(pod, *conditions, phase=phase, containerStatuses=[_container(pod, state)])
        owner = self.jobs.get(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])
        if owner is not None:
            self._settle(owner, pod, index, code)

    def _settle(self, job: dict[str, Any], pod: dict[str, Any], index: int, code: int) -> None:
        """The Job's rules for a pod that has ended."""
        if code == 0:
            done = {
                p["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
                for p in self.pods.values()
                if p["status"]["phase"] == "Succeeded"
            }
            if len(done) == job["spec"]["completions"]:
                self._condition(job, "Complete", "CompletionsReached", "Reached expected number")
            return
        action = _action(job["spec"]["podFailurePolicy"], pod, code)
        name = pod["metadata"]["name"]
        if action == "FailJob":
            message = f"Container train for pod train/{name} failed with exit code {code} matching FailJob rule at index 1"
            self._condition(job, "Failed", "PodFailurePolicy", message)
            return
        job["status"]["failed"] += action == "Count"
        if job["status"]["failed"] > job["spec"]["backoffLimit"]:
            message = "Job has reached the specified backoff limit"
            self._condition(job, "Failed", "BackoffLimitExceeded", message)
        else:
            self._make_pod(job, index)

    def _condition(self, job: dict[str, Any], type: str, reason: str, message: str) -> None:
        times = {"lastProbeTime": now(), "lastTransitionTime": now()}
        condition = {"type": type, "status": "True", "reason": reason, "message": message}
        job["status"]["conditions"] = [condition | times]
        check(job, VERSIONS[-1:])

    def delete(self, name: str, propagation: str) -> None:
        """Foreground: the Job stays as long as a pod of its lives. Background: it goes at once."""
        job = self.jobs[name]
        job["metadata"] |= {"deletionTimestamp": now(), "finalizers": ["foregroundDeletion"]}
        mine = [
            p
            for p in self.pods.values()
            if p["metadata"]["labels"]["batch.kubernetes.io/job-name"] == name
        ]
        for pod in mine:
            pod["metadata"].setdefault("deletionTimestamp", now(-60))
        if propagation == "Background":
            del self.jobs[name]

    def pods_are_gone(self, name: str) -> None:
        """The kubelets have ended a deleted Job's pods."""
        label = "batch.kubernetes.io/job-name"
        self.pods = {k: p for k, p in self.pods.items() if p["metadata"]["labels"][label] != name}
        if "deletionTimestamp" in self.jobs.get(name, {}).get("metadata", {}):
            del self.jobs[name]


def _container(pod: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    container = pod["spec"]["containers"][0]
    facts = {"name": container["name"], "image": container["image"], "imageID": ""}
    return facts | {"ready": "running" in state, "restartCount": 0, "state": state}


def _action(policy: dict[str, Any], pod: dict[str, Any], code: int) -> str:
    """The first rule that matches, as the Job controller finds it; else the failure counts."""
    conditions = {(c["type"], c["status"]) for c in pod["status"].get("conditions", ())}
    for rule in policy["rules"]:
        wanted = {(c["type"], c["status"]) for c in rule.get("onPodConditions", ())}
        codes = rule.get("onExitCodes", {"operator": "In", "values": []})
        assert codes["operator"] == "In"
        if wanted & conditions or code in codes["values"]:
            return rule["action"]
    return "Count"
