"""Process 1 of a container, as a process of its own."""

import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shared.container import link

INIT = [sys.executable, "-m", "shared.container"]
#: Ends with 7 at SIGTERM; says that it is there.
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    "print('ready', flush=True); signal.pause()"
)


def test_signals_reach_the_program_and_its_exit_code_comes_back():
    process = subprocess.Popen([*INIT, sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 7
    process.stdout.close()


def test_a_program_that_is_killed_ends_as_a_shell_says():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([*INIT, sys.executable, "-c", code], timeout=20).returncode == 128 + 9


def test_orphans_are_collected():
    """Needs a namespace of process ids, which only root can make here."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces of process ids here")
    code = (
        "import os, time, pathlib\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0: time.sleep(.2); os._exit(0)\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(.6)\n"
        "states = [p.read_text().split()[2] for p in pathlib.Path('/proc').glob('[0-9]*/stat')]\n"
        "print(os.getppid(), states.count('Z'))"
    )
    done = subprocess.run(
        [*unshare, *INIT, sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.split() == ["1", "0"], done.stderr


def test_what_is_prepared_is_linked_once_and_never_over_what_is_new(tmp_path):
    prepared, cache = tmp_path / "prepared", tmp_path / "cache"
    (prepared / "numba").mkdir(parents=True)
    for name in ("a", "b"):
        (prepared / "numba" / name).write_text("old")
    link(prepared, cache)
    assert (cache / "numba" / "a").is_symlink()
    partial = cache / "numba" / "partial"
    partial.write_text("new")
    partial.replace(cache / "numba" / "b")
    link(prepared, cache)
    assert (cache / "numba" / "b").read_text() == "new"
    assert (prepared / "numba" / "b").read_text() == "old"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_check_tells_by_its_exit_code():
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        codes = [
            subprocess.run([*INIT, "--check", url + path], capture_output=True).returncode
            for path in ("/healthz", "/readyz")
        ]
        server.shutdown()
    assert codes == [0, 1]
