"""The live report beside a run that asks a real server: half way, in the end, and after a kill."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from held import HELD, WORKFLOW, HeldServer
from served import Got, served

CASES, SLOTS = 40, 4

TIERS = """\
version: 1
endpoints:
  local: {{kind: openai, base_url: "{url}", concurrency: 4, timeout_s: 60}}
models:
  low: {{endpoint: local, name: low-1, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 1}}}}
  dear: {{endpoint: local, name: dear-1, price: {{input_usd_per_mtok: 9, output_usd_per_mtok: 9}}}}
tiers: {{cheap: [low], frontier: [dear]}}
baseline: frontier
"""


class Server(HeldServer):
    @property
    def is_held(self) -> bool:
        return len(self.received) == HELD + SLOTS and len(self.delivered) == HELD


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("evals", "datasets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "evals" / "sort.yaml").write_text(WORKFLOW)
    rows = ({"id": f"c{n}", "input": f"case {n}", "expected": "yes"} for n in range(CASES))
    (tmp_path / "datasets" / "sort.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


@contextmanager
def running(root: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the workflow until a held request is all that is left."""
    (root / "evals" / "tiers.yaml").write_text(TIERS.format(url=url))
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [sys.executable, "-m", "calibrate", "run", "sort"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(reached: Callable[[], bool]) -> None:
    for _ in range(3000):
        if reached():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def files(root: Path) -> set[str]:
    """Return what there is, but for what SQLite keeps beside a file that is open."""
    found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return {name for name in found if not name.endswith(("-wal", "-shm"))}


def prefix_of(page: Got) -> int:
    """Return how many cases have been answered in a row; a few may be held before others."""
    undecided = r"sort is not decided yet: low has answered the first (\d+) of 40 cases\."
    found = re.search(undecided, page.text)
    assert found
    return int(found[1])


def test_a_run_is_seen_half_way_and_in_the_end(root: Path) -> None:
    with Server() as server, running(root, server.base_url) as run:
        until(lambda: server.is_held)
        before = files(root)
        with served(root) as report:
            page, index = report.get("sort.html"), report.get()
            assert (page.status, index.status) == (200, 200)
            assert "10 of at most 80 answers stored" in page.text
            assert re.search(r"Live , as of \d\d:\d\d:\d\d:", page.text)
            assert HELD - SLOTS < prefix_of(page) <= HELD
            assert "sort Not decided yet 10 of at most 80 answers stored" in index.text
            assert files(root) == before
            asked = len(server.received)
            server.let_go.set()
            assert run.wait(60) == 0
            assert asked == HELD + SLOTS  # so far nobody but the run had asked

            def now() -> Got:
                return report.get("sort.html")

            until(lambda: "not decided yet" not in now().text)
            assert "sort goes to low (cheap): certified" in now().text
            assert now().headers["Refresh"] == "30"
            assert "1 of 1 route certified." in report.get("index.html").text
            requests = len(server.received)
            written = (root / "reports" / "sort.html").read_text("utf-8")
            assert re.sub(r'(?s)<aside class="up".*?</aside>\n', "", now().body.decode()) == written
            assert len(server.received) == requests
            status, stdout, _ = report.press()
            assert (status, stdout) == (0, "")


def test_a_run_that_was_killed_is_shown_as_far_as_it_came(root: Path) -> None:
    with Server() as server:
        with running(root, server.base_url) as run:
            until(lambda: server.is_held)
            run.kill()
            run.wait(60)
        with served(root, "sort") as report:
            page = report.get("sort.html")
            assert "10 of at most 80 answers stored" in page.text
            assert HELD - SLOTS < prefix_of(page) <= HELD
            assert "The policy has no route for it." in page.text
            server.let_go.set()
            assert len(server.received) == HELD + SLOTS
        assert not list((root / "reports").iterdir())
        assert not (root / "routing-policy.yaml").exists()
