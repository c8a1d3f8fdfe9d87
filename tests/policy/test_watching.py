"""A policy that follows its file."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from policy.sample import POLICY, TEXT

from calibrate.errors import PolicyError
from calibrate.policy import Policy, PolicyWatch, Routes, dump_routes, write_policy
from calibrate.policy.watching import FileWatch

NEVER = 3600.0


def large(policy: Policy = POLICY) -> Policy:
    entry = replace(policy.workflows["triage"], model="large", fallbacks=(), over_context=None)
    return replace(policy, workflows={"triage": entry})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_policy(tmp_path / "p.yaml", POLICY)
    return tmp_path / "p.yaml"


def test_a_changed_file_is_followed(path: Path) -> None:
    watch = Policy.watch(path, every_s=NEVER)
    assert watch.policy == POLICY
    assert not watch.refresh()
    write_policy(path, large())
    assert watch.route("triage").alias == "small"  # no look is due
    assert watch.refresh()
    assert watch.route("triage", input_tokens=1).alias == "large"
    assert (watch.policy, watch.problem) == (large(), None)


def test_routes_in_json_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_text(dump_routes(POLICY))
    watch = Routes.watch(path, every_s=NEVER)
    path.write_text(dump_routes(replace(large(), default="triage")))
    assert watch.refresh()
    assert watch.route("other", or_default=True).alias == "large"


def test_a_broken_file_is_reported_and_the_policy_before_it_stays(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Policy.watch(str(path), every_s=NEVER)
    path.write_text(TEXT.replace("    model: small\n", "    model: smal\n"))
    with caplog.at_level(logging.WARNING, "calibrate.policy"):
        assert not watch.refresh()
    problem = f"{path}:29: workflows.triage.model: no model is called 'smal'; did you mean 'small'?"
    assert caplog.messages == [f"{problem}; the policy before it stays in use"]
    assert watch.problem is not None
    assert watch.problem.problems == (problem,)
    assert watch.route("triage").alias == "small"
    assert not watch.refresh()
    assert len(caplog.messages) == 1  # told once
    write_policy(path, POLICY)
    assert not watch.refresh()  # it says what it said before
    assert watch.problem is None


def test_a_file_that_goes_away_leaves_its_policy(path: Path) -> None:
    watch = Policy.watch(path, every_s=NEVER)
    path.unlink()
    assert not watch.refresh()
    assert watch.problem is not None
    assert watch.problem.problems == (f"{path}: no such file",)
    assert watch.route("triage").alias == "small"


def test_a_file_that_was_only_touched_is_not_read_as_another_policy(path: Path) -> None:
    watch = Policy.watch(path, every_s=NEVER)
    before = watch.policy
    os.utime(path, (1, 1))
    assert not watch.refresh()
    assert watch.policy is before


def test_a_file_that_is_still_being_written_is_left_to_the_next_look(path: Path) -> None:
    watch = Policy.watch(path, every_s=NEVER)
    text, is_done = TEXT.replace("tier: cheap", "tier: dear").encode(), threading.Event()

    def write_on() -> None:
        """Grow a file that is a whole policy at any time, but for its end."""
        while not is_done.is_set():
            with path.open("ab") as file:
                file.write(b"# more\n")
            time.sleep(0.001)

    path.write_bytes(text)
    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        assert not watch.refresh()
        assert (watch.policy, watch.problem) == (POLICY, None)
    finally:
        is_done.set()
        writer.join()
    assert watch.refresh()
    assert watch.route("triage").tier == "dear"


def test_a_missing_or_broken_file_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such file"):
        Policy.watch(tmp_path / "p.yaml")
    (tmp_path / "p.yaml").write_text("[]")
    with pytest.raises(PolicyError, match="not a routing policy"):
        Policy.watch(tmp_path / "p.yaml")


def test_an_edited_file_is_no_policy_where_it_is_verified(path: Path) -> None:
    with pytest.raises(PolicyError, match="it has no digests"):
        Policy.watch(path, verify=True)


def wait_for(alias: str, watch: PolicyWatch[Policy]) -> None:
    """Ask for routes, as a service does, until one goes to `alias`."""
    for _ in range(20_000):
        if watch.route("triage").alias == alias:
            return
        time.sleep(0.001)
    pytest.fail(f"no request goes to {alias}")


def test_routes_follow_the_file_while_they_are_asked_for(path: Path) -> None:
    watch = Policy.watch(path, every_s=0)
    write_policy(path, large())
    wait_for("large", watch)
    write_policy(path, POLICY)
    wait_for("small", watch)


def test_threads_never_see_half_of_a_policy(path: Path) -> None:
    """Every route is the old policy's or the new one's, while the file changes ten times."""
    watch, is_done, wrong = Policy.watch(path, every_s=0), threading.Event(), []

    def ask() -> None:
        while not is_done.is_set():
            route = watch.route("triage", input_tokens=1)
            if (route.alias, len(route.fallbacks)) not in (("small", 1), ("large", 0)):
                wrong.append(route)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        write_policy(path, large() if number % 2 else POLICY)
        watch.refresh()
    is_done.set()
    for thread in threads:
        thread.join()
    assert (wrong, watch.problem) == ([], None)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path, texts = tmp_path / "f.yaml", ["second", "third"]

    def read(_: str, text: str) -> str:
        if text == "second":  # as another process may at this moment
            path.write_text(texts.pop())
        return text

    path.write_text("first")
    watch = FileWatch(path, read, every_s=NEVER)
    path.write_text("second")
    assert not watch.refresh()
    assert watch.current == "first"
    assert watch.refresh()
    assert watch.current == "third"


def test_a_slow_read_is_not_begun_twice(tmp_path: Path) -> None:
    path, is_asked_for, reads = tmp_path / "f.yaml", threading.Event(), []

    def read(_: str, text: str) -> str:
        reads.append(text)
        if text == "second":
            is_asked_for.wait(60)
        return text

    path.write_text("first")
    watch = FileWatch(path, read, every_s=0)
    path.write_text("second")
    while len(reads) < 2:
        assert watch.current == "first"
    assert [watch.current for _ in range(20)] == ["first"] * 20
    is_asked_for.set()
    while watch.current == "first":
        time.sleep(0.001)
    assert reads == ["first", "second"]


FORKED = """
import os, sys, time
from pathlib import Path
from calibrate.policy import Policy

path, other = Path(sys.argv[1]), Path(sys.argv[2])
watch = Policy.watch(path, every_s=0)
watch._lock.acquire()  # as if another thread were reading the file at this moment
child = os.fork()
if child == 0:
    os.replace(other, path)
    while watch.route("triage").alias != "large":
        time.sleep(0.001)
    os._exit(7)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_process_follows_the_file_too(path: Path) -> None:
    write_policy(path.with_name("other.yaml"), large())
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(path), str(path.with_name("other.yaml"))],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "7\n"
