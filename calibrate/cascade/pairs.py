"""What each pair of models gave at the thresholds of its signal, whether certified or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from calibrate.cascade.curves import Cascade
from calibrate.cascade.hypotheses import Hypotheses
from calibrate.cascade.routes import Chain
from calibrate.decide import CascadePair, CascadePoint
from calibrate.stats.exact import clopper_pearson, sample_size_for_rate

__all__ = ["pair_findings"]


def pair_findings(
    chains: Sequence[Chain],
    tests_of: Callable[[str], Hypotheses],
    signals: Mapping[str, str | None],
) -> tuple[CascadePair, ...]:
    """Return a finding a pair that has thresholds, those with the best threshold first.

    `signals` names what each model goes by, in the order of the models, and `tests_of` has what
    was tested by its signal. The bounds are descriptive, each as if its threshold had been the
    only one: what is certified, the chains say.
    """
    models = tuple(signals)
    found = [_pair(chain, tests_of(models[chain.cascade.cheap]), signals) for chain in chains]
    ranked = sorted(found, key=lambda pair: (-pair.best.estimate, pair.best.cost_usd_per_request))
    return tuple(ranked)


def _pair(chain: Chain, tests: Hypotheses, signals: Mapping[str, str | None]) -> CascadePair:
    cascade, used = chain.cascade, tests.used
    cheap, strong = used.models[cascade.cheap], used.models[cascade.strong]
    is_stopped = chain.tested > chain.certified
    return CascadePair(
        cheap=cheap,
        strong=strong,
        signal=signals[cheap] or "",
        cheap_estimate=float(used.scores[cascade.cheap].mean()),
        strong_estimate=float(used.scores[cascade.strong].mean()),
        thresholds=len(cascade),
        tested=chain.tested,
        certified=chain.certified,
        certified_from=(float(cascade.escalated[chain.certified - 1]) if chain.certified else None),
        best=_point(cascade, _best(cascade), tests),
        stopped=_point(cascade, chain.certified, tests) if is_stopped else None,
    )


def _best(cascade: Cascade) -> int:
    """Return the threshold that scored best on these cases; of equal ones, the cheapest."""
    return int(np.lexsort((cascade.cost_usd, -cascade.quality))[0])


def _point(cascade: Cascade, at: int, tests: Hypotheses) -> CascadePoint:
    bar, n = tests.bar, len(cascade.order)
    estimate = float(cascade.quality[at])
    passed = round(estimate * n) if tests.is_exact else None
    bounds = None if passed is None else clopper_pearson(passed, n, alpha=bar.alpha)
    is_one_bar = bar.of_baseline is None and not tests.slices
    return CascadePoint(
        below=float(cascade.below[at]),
        escalated=float(cascade.escalated[at]),
        cases=n,
        estimate=estimate,
        passed=passed,
        lower_bound=None if bounds is None else bounds.low,
        cost_usd_per_request=float(cascade.cost_usd[at]),
        cases_to_settle=(
            sample_size_for_rate(estimate, bar.pass_rate, alpha=bar.alpha)
            if is_one_bar and bounds is not None and bar.pass_rate is not None
            else None
        ),
    )
