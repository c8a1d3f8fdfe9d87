"""Ctrl-C and SIGTERM while `calibrate run` asks a real server, on a terminal and without one."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from held import HELD, WORKFLOW, HeldServer
from loopback import error

SLOTS = 4
CASES = 24
SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"
KEPT = "interrupted; every answer that had arrived is kept\n"
IN_FLIGHT = (
    "interrupted: 4 requests are still in flight, and the answers will be kept; "
    "Ctrl-C again ends the run without them\n"
)

TIERS = """\
version: 1
endpoints:
  local: {{kind: openai, base_url: "{url}", concurrency: 4, timeout_s: 30{limit}}}
recordings: datasets/recordings
models:
  only: {{endpoint: local, name: only-1, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}}}
tiers: {{frontier: [only]}}
baseline: frontier
"""


class Server(HeldServer):
    @property
    def asked(self) -> Counter[str]:
        return Counter(one.asked for one in self.received)


@dataclass(frozen=True)
class Project:
    root: Path

    def serve(self, url: str, *, limit: str = "") -> None:
        (self.root / "evals" / "tiers.yaml").write_text(TIERS.format(url=url, limit=limit))

    @contextmanager
    def running(self, *options: str, stderr: int = subprocess.PIPE) -> Iterator[Running]:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        process = subprocess.Popen(
            [sys.executable, "-m", "calibrate", "run", "sort", "--cases", "all", *options],
            cwd=self.root,
            env=environment | {"TERM": "xterm", "COLUMNS": "80"},
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        try:
            yield Running(process)
        finally:
            process.kill()
            process.communicate()

    def rerun(self, *options: str) -> dict[str, int]:
        with self.running("--json", *options) as rerun:
            stdout, stderr = rerun.process.communicate(timeout=60)
        assert (rerun.process.returncode, stderr) == (0, b"")
        (found,) = json.loads(stdout)["workflows"]
        return {name: found[f"requests_{name}"] for name in ("sent", "cached")}


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]

    def press(self, number: signal.Signals = signal.SIGINT) -> None:
        os.kill(self.process.pid, number)

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().decode()

    def end(self) -> tuple[int, str, str]:
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stdout.decode(), (stderr or b"").decode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for folder in ("evals", "datasets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "evals" / "sort.yaml").write_text(WORKFLOW)
    rows = ({"id": f"c{n}", "input": f"case {n}", "expected": "yes"} for n in range(CASES))
    (tmp_path / "datasets" / "sort.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Project(tmp_path)


def until(reached: Callable[[], bool]) -> None:
    for _ in range(3000):
        if reached():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def all_held(server: Server) -> bool:
    return len(server.received) == HELD + SLOTS and len(server.delivered) == HELD


def test_one_signal_keeps_what_is_in_flight_and_starts_nothing(project: Project) -> None:
    with Server() as server:
        project.serve(server.base_url)
        with project.running("--record") as run:
            until(lambda: all_held(server))
            run.press()
            assert run.line() == IN_FLIGHT
            server.let_go.set()
            assert run.end() == (130, "", KEPT)
        assert len(server.received) == HELD + SLOTS
        assert not (project.root / "routing-policy.yaml").exists()
        recordings = project.root / "datasets" / "recordings" / "sort.jsonl.gz"
        assert len(gzip.decompress(recordings.read_bytes()).splitlines()) == HELD + SLOTS
        assert project.rerun() == {"sent": CASES - HELD - SLOTS, "cached": HELD + SLOTS}
        assert server.asked == Counter(f"case {n}" for n in range(CASES))


def test_two_signals_end_it_now_and_only_what_had_arrived_is_kept(project: Project) -> None:
    with Server() as server:
        project.serve(server.base_url)
        with project.running() as run:
            until(lambda: all_held(server))
            run.press()
            assert run.line() == IN_FLIGHT
            run.press()
            assert run.end() == (130, "", KEPT)
        in_flight = Counter(one.asked for one in server.received[HELD:])
        server.let_go.set()
        assert project.rerun() == {"sent": CASES - HELD, "cached": HELD}
        assert server.asked == Counter(f"case {n}" for n in range(CASES)) + in_flight


def test_sigterm_is_one_signal_and_what_waits_for_a_turn_or_an_attempt_is_left(
    project: Project,
) -> None:
    with Server() as server:
        server.held_answer = error(503, "busy")  # tried again, but for the interruption
        # The minute's requests are used up: the other slots wait for the next one.
        project.serve(server.base_url, limit=f", requests_per_minute: {HELD + 2}")
        with project.running() as run:
            until(lambda: len(server.received) == HELD + 2 and len(server.delivered) == HELD)
            run.press(signal.SIGTERM)
            assert run.line() == IN_FLIGHT.replace("4 requests are", "2 requests are")
            server.let_go.set()
            assert run.end() == (130, "", KEPT)
        assert len(server.received) == HELD + 2


class Terminal:
    """A pseudo-terminal, and all that was written to it."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        self.shown = b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        while part := self._part():
            self.shown += part

    def _part(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:  # Linux says so when the other end of a terminal is closed
            return b""

    def close(self) -> bytes:
        self._reading.join(60)
        os.close(self._ours)
        return self.shown


@pytest.mark.parametrize("presses", [1, 2])
def test_a_terminal_sees_the_models_and_has_its_cursor_back(project: Project, presses: int) -> None:
    terminal = Terminal()
    with Server() as server:
        project.serve(server.base_url)
        with project.running(stderr=terminal.theirs) as run:
            os.close(terminal.theirs)
            until(lambda: all_held(server))
            until(lambda: b"10/24" in terminal.shown)
            run.press()
            until(lambda: b"Ctrl-C again" in terminal.shown)
            if presses == 1:
                server.let_go.set()
            else:
                run.press()
            status, stdout, _ = run.end()
        shown = terminal.close()
    assert (status, stdout) == (130, "")
    assert HIDE_CURSOR not in shown[shown.rindex(SHOW_CURSOR) :]
    table = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown).decode().replace("\r", "\n")
    assert "sort  " in table
    assert re.search(r"^only +10/24 +0 +0 +4 ", table, re.MULTILINE)
    assert "Traceback" not in table
    assert table.endswith(KEPT.replace("\n", "\n\n"))
