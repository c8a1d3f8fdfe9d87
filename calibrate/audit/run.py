"""Simulate every truth of every design, in as many processes as are wanted."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from calibrate.audit.bound import least_calls
from calibrate.audit.design import Design
from calibrate.audit.finding import Finding
from calibrate.audit.simulate import Counts, simulate
from calibrate.audit.truth import Truth, truths_of
from calibrate.fingerprint import seeded_order_key

__all__ = ["audit", "scenario_count"]

ANSWERS = 1_000_000  # drawn at once: the memory of a process, and never a matter of `jobs`
WORTH_PROCESSES = 5_000_000  # answers; fewer are drawn sooner than processes are started


def audit(
    designs: Sequence[Design],
    *,
    runs: int,
    seed: int = 0,
    jobs: int = 1,
    on_done: Callable[[int], None] = lambda _: None,
) -> list[Finding]:
    """Return what `runs` simulated calibrations of each design come to under each truth.

    The same for any number of `jobs` (processes): chunks have seeds of their own, and counts are
    added up. `on_done` is told the number of calibrations that have just been done.
    """
    scenarios = [(design, truth) for design in designs for truth in truths_of(design)]
    totals: dict[int, Counts] = {}
    chunks = [
        _Chunk(at, *scenario, number, size, seed)
        for at, scenario in enumerate(scenarios)
        for number, size in enumerate(_sizes(scenario[0], runs))
    ]
    for chunk, counts in zip(chunks, _computed(chunks, jobs), strict=True):
        so_far = totals.get(chunk.scenario)
        totals[chunk.scenario] = counts if so_far is None else so_far + counts
        on_done(counts.runs)
    return [
        Finding(design, truth, totals[at], least_calls(design, truth))
        for at, (design, truth) in enumerate(scenarios)
    ]


def scenario_count(designs: Iterable[Design]) -> int:
    """Return how many scenarios `audit` simulates."""
    return sum(len(truths_of(design)) for design in designs)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some of the calibrations of one scenario."""

    scenario: int
    design: Design
    truth: Truth
    number: int
    runs: int
    seed: int

    def counts(self) -> Counts:
        design = self.design
        name = f"{design.workflow}/{design.bar.floor}/{design.cases}/{len(design.groups)}"
        key = seeded_order_key(self.seed, f"{name}/{self.truth.name}/{self.number}")
        rng = np.random.default_rng(int.from_bytes(key))
        return simulate(design, self.truth, self.runs, rng)


def _sizes(design: Design, runs: int) -> Iterator[int]:
    size = max(1, ANSWERS // design.calls)
    for start in range(0, runs, size):
        yield min(size, runs - start)


def _computed(chunks: Sequence[_Chunk], jobs: int) -> Iterator[Counts]:
    if jobs == 1 or sum(chunk.runs * chunk.design.calls for chunk in chunks) < WORTH_PROCESSES:
        yield from map(_Chunk.counts, chunks)
        return
    # Started afresh, not forked: a copy of a process with threads may wait for ever.
    with ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=get_context("spawn")) as pool:
        with _interrupts_held():
            results = pool.map(_Chunk.counts, chunks)
        yield from results


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait: processes that start meanwhile never hear of it, and die with this one.

    Otherwise each would end in a traceback of its own.
    """
    mask = getattr(signal, "pthread_sigmask", lambda *_: ())  # Windows has none
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)
