"""What is true of the models in a simulated calibration, and answers drawn from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from calibrate.audit.design import Design
from calibrate.criteria import Criterion, Part

__all__ = ["Answers", "Truth", "draw", "truths_of"]

Floats = NDArray[np.float32]

CORRELATION = 0.5  # of two models through how hard a case is
WITHIN_GROUP = 0.5  # of one model's answers to two cases of a group
WITHIN_CASE = 0.5  # of one model's answers to one case at two repeats
FAILING = (0.02, 0.10)  # shares of calls that fail for good
STEP = 0.1  # the unit of distance from the bar, as a share of what is nearer: 0 or 1


@dataclass(frozen=True, slots=True)
class Truth:
    """The true quality of each model, and how answers depend on each other.

    Scores are 0 or 1, which vary more than all others with the same mean. A call that failed
    scores 0, and `rates` count it so. Correlations are those of normal variables that are cut at
    each rate (a Gaussian copula).
    """

    name: str
    rates: tuple[float, ...]
    meets: tuple[bool, ...]  # which models truly meet every part of the bar
    correlation: float = 0.0
    within_group: float = 0.0
    failing: float = 0.0
    weak_places: tuple[int, ...] = ()  # the cases of a slice on which all models are weaker
    weak_rate: float = 0.0

    @property
    def best(self) -> int | None:
        """The cheapest model that truly meets the bar."""
        return self.meets.index(True) if True in self.meets else None


@dataclass(frozen=True, slots=True)
class Answers:
    """Scores and failed calls of runs x models x cases, in the seeded order."""

    scores: NDArray[np.bool_] | Floats  # of several repeats the mean
    failed: NDArray[np.uint8] | None  # of the repeats of each case; None where none can fail


def truths_of(design: Design) -> list[Truth]:
    """Return the truths under which a design is audited; the first hold it at the bar.

    Rates are the same in every slice but where a truth is about one.
    """
    k = len(design.models)
    steps = {
        "all at the bar": np.zeros(k),
        "just under it, the dearest above": np.append(np.linspace(-1.0, -0.5, k - 1), 7.0),
        "staircase": np.linspace(-4.0, 4.0, k),
        "all well above it": np.linspace(5.0, 9.0, k),
    }
    rates = {name: _rates(design, each) for name, each in steps.items()}
    found = []
    for name, each in rates.items():
        for word, correlation in (("independent", 0.0), ("correlated", CORRELATION)):
            found.append(_truth(design, f"{name}, {word}", each, correlation=correlation))
    at_the_bar = rates["all at the bar"]
    for share in FAILING:
        name = f"{share:.0%} of calls fail, all at the bar".replace("%", " %")
        kept = tuple(min(rate, 1 - share) for rate in at_the_bar)
        found.append(_truth(design, name, kept, failing=share))
    found += _of_a_slice(design, rates["all well above it"])
    found += _of_the_baseline(design, rates["all well above it"])
    return found


def draw(rng: np.random.Generator, design: Design, truth: Truth, runs: int, cases: int) -> Answers:
    """Return what `runs` calibrations see of the first `cases` of the seeded order."""
    answered = np.tile(np.array(truth.rates)[:, None], cases)
    answered[:, [place for place in truth.weak_places if place < cases]] = truth.weak_rate
    answered = np.clip(answered / (1 - truth.failing), 0.0, 1.0)  # given that the call succeeds
    shape = (runs, *answered.shape)
    if design.repeats == 1 and not truth.correlation and not truth.within_group:
        passed = rng.random(shape, dtype=np.float32) < answered.astype(np.float32)
        return _with_failures(rng, passed, truth.failing)
    latent = _latent(rng, design, truth, shape)
    limits = ndtri(answered).astype(np.float32)
    if design.repeats == 1:
        return _with_failures(rng, latent < limits, truth.failing)
    latent *= math.sqrt(WITHIN_CASE)
    own = np.float32(math.sqrt(1 - WITHIN_CASE))
    return _mean_of(
        _with_failures(
            rng,
            latent + own * rng.standard_normal(shape, dtype=np.float32) < limits,
            truth.failing,
        )
        for _ in range(design.repeats)
    )


def _rates(design: Design, steps: NDArray[np.float64]) -> tuple[float, ...]:
    """Return a rate for each model, at these distances from the hardest part of the bar."""
    hardest = max([design.bar.floor, *design.bar.slices.values()])
    unit = STEP * min(hardest, 1 - hardest)
    return tuple(hardest + unit * step for step in steps.tolist())


def _truth(
    design: Design,
    name: str,
    rates: tuple[float, ...],
    *,
    correlation: float = 0.0,
    failing: float = 0.0,
) -> Truth:
    bar = design.bar
    kept = 0.0 if bar.of_baseline is None else bar.of_baseline * rates[design.baseline]
    floors = [bar.floor, *bar.slices.values()]
    return Truth(
        name=name,
        rates=rates,
        meets=tuple(
            all(rate > floor for floor in floors) and (at == design.baseline or rate > kept)
            for at, rate in enumerate(rates)
        ),
        correlation=correlation,
        within_group=WITHIN_GROUP if design.is_grouped else 0.0,
        failing=failing,
    )


def _of_a_slice(design: Design, rates: tuple[float, ...]) -> Iterator[Truth]:
    """Yield the truth that all are good, but for the largest slice, where all are at its floor."""
    slices = [part for part in design.plans[0].criteria if part.part is Part.SLICE]
    if slices:
        largest = max(slices, key=lambda part: part.size)
        name = f"all well above it, but at the floor in {largest.tag}={largest.value}"
        yield replace(
            _truth(design, name, rates),
            meets=(False,) * len(rates),
            weak_places=_places(largest),
            weak_rate=largest.lines.floor,
        )


def _of_the_baseline(design: Design, rates: tuple[float, ...]) -> Iterator[Truth]:
    """Yield the truth that every other model keeps just the share of the baseline's quality."""
    share = design.bar.of_baseline
    if share is not None:
        top = rates[design.baseline]
        kept = tuple(top if at == design.baseline else share * top for at in range(len(rates)))
        yield _truth(design, "just the share of the baseline", kept, correlation=CORRELATION)


def _places(criterion: Criterion) -> tuple[int, ...]:
    return tuple(place for unit in criterion.units for place in unit)


def _latent(
    rng: np.random.Generator, design: Design, truth: Truth, shape: tuple[int, int, int]
) -> Floats:
    """Return standard normal variables: what is shared by case, by group, and the rest."""
    latent = rng.standard_normal(shape, dtype=np.float32)
    if truth.correlation:
        latent *= math.sqrt(1 - truth.correlation)
        by_case = rng.standard_normal((shape[0], 1, shape[2]), dtype=np.float32)
        latent += np.float32(math.sqrt(truth.correlation)) * by_case
    if truth.within_group:
        group_of = np.empty(design.cases, np.int64)
        for group, places in enumerate(design.groups):
            group_of[list(places)] = group
        latent *= math.sqrt(1 - truth.within_group)
        by_group = rng.standard_normal((*shape[:2], len(design.groups)), dtype=np.float32)
        latent += np.float32(math.sqrt(truth.within_group)) * by_group[:, :, group_of[: shape[2]]]
    return latent


def _with_failures(rng: np.random.Generator, passed: NDArray[np.bool_], failing: float) -> Answers:
    if not failing:
        return Answers(passed, None)
    failed = rng.random(passed.shape, dtype=np.float32) < np.float32(failing)
    return Answers(passed & ~failed, failed.astype(np.uint8))


def _mean_of(repeats: Iterator[Answers]) -> Answers:
    """Return the scores of each case averaged over its repeats, and its failed calls added up."""
    first, *others = repeats
    scores = first.scores.astype(np.float32)
    failed = first.failed
    for answers in others:
        scores += answers.scores
        failed = None if failed is None or answers.failed is None else failed + answers.failed
    return Answers(scores / np.float32(1 + len(others)), failed)
