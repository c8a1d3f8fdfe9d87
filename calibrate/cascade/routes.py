"""Which single models and cascades of a task meet the bar: one descent from the dearest model.

The error starts at the single models, most of it at the one that is likeliest to pass. A model
that is certified hands its share to its cascades: each is a chain of thresholds from "escalate
everything" down, which ends at the cheap model by itself, which hands on in its turn. Costs and
signals fix the chains; no grade does. A signal that was fitted to grades has chains of their own,
tested on other items, which hand nothing on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibrate.cascade.curves import Cascade, cascades, count_pairs, scores_at
from calibrate.cascade.hypotheses import BEST, Hypotheses, cluster_rows, exact_p_value
from calibrate.outcomes import TaskOutcomes
from calibrate.stats.betting import bet_many
from calibrate.stats.paired import share_p_value
from calibrate.stats.thresholds import Descent, Flow, descend

__all__ = ["CertifiedRoute", "Chain", "RouteSearch", "route_flow", "search_routes"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

LEAD_SHARE = 0.9  # of the error, for the model that is likeliest to pass, where models are few
DIRECT_SHARE = 0.3  # of what is handed on, to models past the cascades, where models are many
PAST_FITTED = 0.5  # the same, where the cascades that it goes past hand nothing on
FEW, MANY = 4, 8  # models; in between there is something of both
TOGETHER = 8  # thresholds whose bets are computed at once


@dataclass(frozen=True, slots=True)
class CertifiedRoute:
    """A model by itself (no cascade), or the first of a cascade at one of its thresholds."""

    model: int
    cascade: Cascade | None
    at: int
    cost_usd: float  # a case; 0 where no costs are known
    adjusted_p_value: float


@dataclass(frozen=True, slots=True)
class Chain:
    """The thresholds of a pair, from the highest down: how many were tested, and certified."""

    cascade: Cascade
    tested: int
    certified: int


@dataclass(frozen=True, slots=True)
class RouteSearch:
    """The cheapest certified route, and the adjusted p-value of each single model."""

    cheapest: CertifiedRoute | None
    adjusted: Floats
    thresholds: int  # of all cascades
    tested: int  # hypotheses that a share of the error reached
    chains: tuple[Chain, ...]


def search_routes(
    tests: Hypotheses,
    order: NDArray[np.int64],
    allowed: Callable[[CertifiedRoute], bool] = lambda _: True,
    held_out: Hypotheses | None = None,
) -> RouteSearch:
    """Return what is certified of a task; `order` has its models by cost, cheapest first.

    Of the certified routes only those that are `allowed` may be the cheapest.

    Guarantee: P(any route that misses the bar is certified) <= `bar.alpha`, over all models,
    pairs and thresholds and under any dependence between them, for independent items (or groups
    of items): `descend` with p-values that are exact for binary scores (`share_p_value`,
    `sequence_p_value`) and by betting for all others. It is exact for a flow that is fixed by the
    grid and the costs. Of the grid only the thresholds that part these items are tested; the
    others lie beyond all signals that were seen, and have the p-value of one of the two models.
    That this, and an order by the costs of the same items, leaves the error where it was is shown
    by simulation (`tests/guarantees/test_cascades.py`).

    `held_out` has the same models on items that its signals were not fitted on, and only those
    models' signals that were. Given the fit, what is tested there is fixed and its p-values are
    valid; nothing else gets a share from it, so that no other share depends on the fit. The sum
    of all shares, and so the error, stays as it is.

    Without costs there are no cascades, and one whose dearer model is not certified by itself is
    not reached.
    """
    used = tests.used
    found = [cascade for cascade in _cascades(used) if len(cascade)]
    fitted = [] if held_out is None else _of_fitted(held_out.used)
    evidence = _Evidence(tests)
    apart = evidence if held_out is None else _Evidence(held_out)
    nodes = [(c, at, evidence) for c in found for at in range(-1, len(c))]
    nodes += [(c, at, apart) for c in fitted for at in range(-1, len(c))]
    k = len(used.models)

    def p_value(node: int) -> float:
        if node < k:
            return evidence.single(node)
        cascade, at, its_own = nodes[node - k]
        return evidence.single(cascade.strong) if at < 0 else its_own.cascade(cascade, at)

    is_sure = tests.bar.baseline != BEST and tests.bar.pass_rate is None
    lead = int(order[-1]) if tests.bar.baseline == BEST else tests.baseline
    flow = route_flow(order.tolist(), lead, found, fitted, is_sure=is_sure)
    done = descend(flow, p_value, alpha=tests.bar.alpha)
    means = np.zeros(k) if used.costs_usd is None else used.costs_usd.mean(axis=1)
    place = np.argsort(order)
    certified = [
        CertifiedRoute(j, None, 0, float(means[j]), p) if j < k else _at(*nodes[j - k][:2], p)
        for j, p in done.rejected.items()
        if j < k or nodes[j - k][1] >= 0
    ]
    return RouteSearch(
        cheapest=min(
            filter(allowed, certified),
            key=lambda r: (r.cost_usd, r.cascade is not None, place[r.model]),
            default=None,
        ),
        adjusted=np.array([done.rejected.get(j, done.open.get(j, 1.0)) for j in range(k)]),
        thresholds=len(nodes) - len(found) - len(fitted),
        tested=done.tested,
        chains=tuple(_told([*found, *fitted], k, done)),
    )


def _cascades(used: TaskOutcomes) -> list[Cascade]:
    if used.costs_usd is None or used.signals is None:
        return []
    return cascades(used.scores, used.signals, used.costs_usd, used.latencies_s, used.signal_costs)


def _of_fitted(used: TaskOutcomes) -> list[Cascade]:
    """Return the cascades by fitted signals, also those that the fit left without a threshold.

    That there is none depends on the fit, and what others get must not.
    """
    signals = used.signals
    return [
        cascade
        for cascade in _cascades(used)
        if signals is not None and not np.isnan(signals[cascade.cheap]).all()
    ]


def _told(found: Sequence[Cascade], k: int, done: Descent) -> Iterator[Chain]:
    """Yield what came of each chain; its first hypothesis, "everything escalates", is left out."""
    start = k + 1
    for cascade in found:
        nodes = range(start, start + len(cascade))
        certified = sum(node in done.rejected for node in nodes)
        tested = certified + sum(node in done.open for node in nodes)
        if len(cascade):
            yield Chain(cascade, tested, certified)
        start += len(cascade) + 1


def route_flow(
    order: list[int],
    lead: int,
    found: Sequence[Cascade],
    fitted: Sequence[Cascade] = (),
    *,
    is_sure: bool,
) -> Flow:
    """Return the flow of the error over models, by number, and then the cascades' thresholds.

    Those of `fitted` come last and hand nothing on: half of the share goes past them, but for the
    cheapest model's, which has nobody to hand it on to.

    `order` has the models by cost, cheapest first; `is_sure` says that the lead cannot fail. With
    few models the dearest is the lead. It need not be the best, and with many models one of them
    in its way is the likelier the more there are: their shares then are even, and go to cheaper
    models directly as well, each of which may be enough.

    Chosen by simulation: eight workflows of two to four models and two of six (Gaussian copula,
    latent correlation .5, signals of AUROC .60 to .95), and public outcomes of eleven models; 200
    items, bar .95 of the best model, 60 tables each. Cost as a share of the best model's:

    models                                            2     3     4     6    11
    all shares even, one half past the cascades     .56   .59   .49   .84   .38
    .9 for the dearest, nothing past the cascades   .44   .44   .32   .69   .69
    the flow here                                   .44   .44   .32   .70   .32
    """
    k = len(order)
    crowd = min(max((k - FEW) / (MANY - FEW), 0.0), 1.0)
    favour = LEAD_SHARE * (1.0 if is_sure else 1 - crowd)
    direct = DIRECT_SHARE * crowd
    shares = {j: (1 - favour) / k + favour * (j == lead) for j in order}
    first, onward = _chains(k, found, fitted)
    are_ends = {(cascade.cheap, cascade.strong) for cascade in fitted}
    for place, strong in enumerate(order):
        for cheap in order[:place]:
            via = first.get((cheap, strong), cheap)
            past = direct
            if (cheap, strong) in are_ends:
                past = max(direct, PAST_FITTED) if cheap != order[0] else 0.0
            onward[strong] += [(cheap, past / place), (via, (1 - past) / place)]
    return Flow(shares, onward)


def _chains(
    k: int, found: Sequence[Cascade], fitted: Sequence[Cascade]
) -> tuple[dict[tuple[int, int], int], list[list[tuple[int, float]]]]:
    """Return where each chain begins, and what follows each hypothesis in it.

    A chain begins with "everything escalates", then has its thresholds, then the cheap model;
    one of `fitted` ends with its thresholds.
    """
    first: dict[tuple[int, int], int] = {}
    onward: list[list[tuple[int, float]]] = [[] for _ in range(k)]
    for number, cascade in enumerate((*found, *fitted)):
        start = first[cascade.cheap, cascade.strong] = len(onward)
        onward += [[(start + at, 1.0)] for at in range(1, len(cascade) + 1)]
        onward.append([(cascade.cheap, 1.0)] if number < len(found) else [])
    return first, onward


def _at(cascade: Cascade, at: int, p_value: float) -> CertifiedRoute:
    return CertifiedRoute(cascade.cheap, cascade, at, float(cascade.cost_usd[at]), p_value)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """P-values against `it misses the bar`; of one above alpha no more is known than that."""

    tests: Hypotheses
    counted: dict[tuple[int, int], Counts] = field(default_factory=dict)
    bets: dict[tuple[int, int, int], float] = field(default_factory=dict)

    def single(self, model: int) -> float:
        scores = self.tests.used.scores
        if not self.tests.is_exact:
            return float(self._bet(scores[[model]], model)[0])
        passed = scores > 0.5
        own = passed[model]
        counts = np.stack([passed | own, passed & ~own, ~passed & own], axis=-1).sum(axis=1)
        return self._exact(own, counts, model)

    def cascade(self, cascade: Cascade, at: int) -> float:
        scores, pair = self.tests.used.scores, (cascade.cheap, cascade.strong)
        if self.tests.is_exact:
            if pair not in self.counted:
                self.counted[pair] = count_pairs(cascade, scores > 0.5)
            passed = scores_at(cascade, at, scores) > 0.5
            return self._exact(passed, self.counted[pair][:, at], None)
        if (*pair, at) not in self.bets:
            block = range(at, min(at + TOGETHER, len(cascade)))
            rows = np.stack([scores_at(cascade, i, scores) for i in block])
            found = self._bet(rows, None).tolist()
            self.bets.update({(*pair, i): p for i, p in zip(block, found, strict=True)})
        return self.bets[*pair, at]

    def _rivals(self, own: int | None) -> Iterator[int]:
        every = range(len(self.tests.used.models))
        rivals = every if self.tests.bar.baseline == BEST else (self.tests.baseline,)
        return (b for b in rivals if b != own)

    def _exact(self, passed: NDArray[np.bool_], counts: Counts, own: int | None) -> float:
        bar = self.tests.bar
        p = 0.0 if bar.pass_rate is None else exact_p_value(passed, bar.pass_rate)
        for places, floor in self.tests.slices:
            p = max(p, exact_p_value(passed[places], floor))
        if bar.of_baseline is None:
            return p
        if not passed.any():
            return 1.0
        share = bar.of_baseline
        rows = [counts[b].tolist() for b in self._rivals(own)]
        rows.sort(key=lambda row: (1 - share) * row[0] - row[1] + share * row[2])
        for pairs, losses, wins in rows:  # the likeliest to fail first
            if p > bar.alpha:
                break
            p = max(p, share_p_value(pairs, losses, wins, share))
        return p

    def _bet(self, rows: Floats, own: int | None) -> Floats:
        bar, p = self.tests.bar, np.zeros(len(rows))
        if bar.pass_rate is not None:
            p = self._bet_above(rows, bar.pass_rate)
        for places, floor in self.tests.slices:
            p = np.maximum(p, self._bet_above(rows[:, places], floor, places))
        if bar.of_baseline is None:
            return p
        share, rivals = bar.of_baseline, self.tests.used.scores[list(self._rivals(own))]
        # A difference on [-share, 1], put on [0, 1]; one call bets against all rivals.
        scaled = np.clip((rows - share * rivals[:, None] + share) / (1 + share), 0, 1)
        found = self._bet_above(scaled.reshape(-1, rows.shape[1]), share / (1 + share))
        worst = found.reshape(len(rivals), len(rows)).max(axis=0, initial=0.0)
        return np.where(rows.any(axis=1), np.maximum(p, worst), 1.0)

    def _bet_above(
        self, rows: Floats, mean: float, places: NDArray[np.int64] | None = None
    ) -> Floats:
        """Return the p-value of each row, of all items or of those at some places."""
        groups = self.tests.used.groups
        p = np.ones(len(rows))
        if not rows.shape[1]:
            return p  # a slice that has no item here
        above = np.flatnonzero(rows.mean(axis=1) > mean)
        if len(above):
            own = groups if groups is None or places is None else groups[places]
            stakes = cluster_rows(rows[above], mean, own)
            p[above] = bet_many(stakes, mean, alpha=self.tests.bar.alpha).p_values
        return p
