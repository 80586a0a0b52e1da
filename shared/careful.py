"""Careful mode: steps run in a guarded process with limits on time and memory.

A task that killed or hung its worker is tried again this way. Rows go to the guarded process a few
at a time; a group that exceeds a limit or kills it is repeated row by row, and the row that did it
gets an `error` and lies in quarantine. Row steps are row-wise, so all other rows come out as ever.

Protocol, both ways: 8 bytes length (little-endian), then the bytes. To the guarded process: JSON
{"step", "params"}, then the rows as an Arrow stream; back: the result as an Arrow stream.
"""

import json
import os
import resource
import selectors
import struct
import subprocess
import sys
import time
from typing import Any, BinaryIO

import pyarrow as pa
from blake3 import blake3

from shared.compute import compute, error_rows
from shared.metrics import count_quarantined
from shared.processes import die_with_parent, give_memory_back
from shared.ref import TaskRef
from shared.settings import Settings
from shared.step import Step, load_registry
from shared.store import Store

#: Rows a message; a group that fails is repeated one by one.
GROUP_ROWS = 16
_LENGTH = struct.Struct("<Q")
_START_SECONDS = 120.0


class GuardError(Exception):
    """The guarded process died or exceeded its time; the text is the row's error."""


class CarefulCompute:
    """A `Compute` that runs steps in a guarded process and quarantines what breaks it."""

    def __init__(self, store: Store, ref: TaskRef, conf: Settings) -> None:
        self._store, self._ref = store, ref
        self._seconds = conf.document_time_limit.total_seconds()
        self._memory = conf.document_memory
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, step: Step, params: Any, rows: pa.Table) -> pa.Table:
        """Like `shared.compute.compute`; rows that break the guarded process get an `error`."""
        parts = [step.schema.empty_table()]
        for start in range(0, rows.num_rows, GROUP_ROWS):
            group = rows.slice(start, GROUP_ROWS)
            try:
                parts.append(self._ask(step, params, group))
            except GuardError:
                parts.extend(self._one(step, params, group.slice(i, 1)) for i in range(len(group)))
        return pa.concat_tables(parts)

    def _one(self, step: Step, params: Any, row: pa.Table) -> pa.Table:
        try:
            return self._ask(step, params, row)
        except GuardError as error:
            reason = f"{error} in {step.name}"
            self._quarantine(step, row, reason)
            return error_rows(step, [reason])

    def _ask(self, step: Step, params: Any, rows: pa.Table) -> pa.Table:
        """Send rows and wait for the result, at most the time limit."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        header = {"step": step.name, "params": params.model_dump(mode="json")}
        try:
            _write(process.stdin, json.dumps(header).encode())
            _write(process.stdin, _to_bytes(rows))
            reply = _read_within(process.stdout, self._seconds)
        except TimeoutError:
            self.close()
            raise GuardError(f"killed: exceeded {self._seconds:g} s") from None
        except (EOFError, BrokenPipeError):
            code = process.wait()
            self.close()
            raise GuardError(f"killed: {_describe_exit(code)}") from None
        return _from_bytes(reply)

    def _started(self) -> subprocess.Popen[bytes]:
        """The guarded process, started and ready: loading models does not count as work."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shared.careful", str(self._memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            _read_within(self._process.stdout, _START_SECONDS)
        return self._process

    def close(self) -> None:
        """End the guarded process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    _close_quietly(pipe)
            self._process = None

    def _quarantine(self, step: Step, row: pa.Table, reason: str) -> None:
        """Keep what broke the process: its row as an Arrow file, and why."""
        data = _to_bytes(row)
        content = f"{self._ref.unit}-{blake3(data).hexdigest(8)}"
        folder = f"quarantine/{self._ref.batch}/"
        self._store.put(f"{folder}{content}.arrow", data)
        self._store.put_json(
            f"{folder}{content}.json",
            {"task": self._ref.id, "step": step.name, "error": reason, "rows": f"{content}.arrow"},
        )
        count_quarantined()


def _describe_exit(code: int) -> str:
    return f"died of signal {-code}" if code < 0 else f"exited with {code}"


def _close_quietly(pipe: Any) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_bytes(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def _write(pipe: Any, data: bytes) -> None:
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _read_within(pipe: Any, seconds: float) -> bytes:
    """One message; TimeoutError where it has not come in time, EOFError where it never will."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)

        def exactly(count: int) -> bytes:
            data = bytearray()
            while len(data) < count:
                if not selector.select(deadline - time.monotonic()):
                    raise TimeoutError
                part = os.read(pipe.fileno(), min(count - len(data), 1 << 20))
                if not part:
                    raise EOFError
                data += part
            return bytes(data)

        (length,) = _LENGTH.unpack(exactly(_LENGTH.size))
        return exactly(length)


def _read(pipe: BinaryIO) -> bytes:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    return pipe.read(length)


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """The guarded process: compute what comes until the pipe closes."""
    registry = load_registry()
    _write(replies, b"ready")
    while True:
        try:
            header = json.loads(_read(requests))
            rows = _from_bytes(_read(requests))
        except EOFError:
            return
        step = registry[header["step"]]
        params = step.params.model_validate(header["params"])
        _write(replies, _to_bytes(compute(step, params, rows)))


if __name__ == "__main__":
    die_with_parent()
    give_memory_back()
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a step prints must not mix with the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, replies)
