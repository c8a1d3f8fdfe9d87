"""How each verdict came about: the evidence, case by case, against the lines fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibrate.criteria import Criterion, GatePlan, Part
from calibrate.decide import Calibration
from calibrate.gate import Reason, Verdict, case_scores, pair_scores
from calibrate.judged import gate_of, prefix_of
from calibrate.report.badges import Badge, verdict_badge
from calibrate.report.chart import COLOURS, Chart, axis, chart, label
from calibrate.report.excerpt import unbroken
from calibrate.stats.betting import bet, bet_below, cluster_stakes
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.plan import Plan
from calibrate.words import why

__all__ = ["MOST_DRAWN", "VerdictPath", "paths_of"]

MOST_DRAWN = 8  # verdicts: those of the route and of the first models
_LEAST_SHOWN, _AHEAD = 40, 1.6  # cases, and of those used: how far the lines are shown
_MOST_POINTS = 300  # of one line
_LEAST_WEALTH = 1e-3
_HEIGHT, _LINE = 190, 13  # pixels, of a chart and of a label

Points = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class VerdictPath:
    """One verdict with what it was given to spend, and the chart of its way there."""

    model: str
    chosen: bool
    badge: Badge
    words: str
    spent: str
    charts: tuple[Chart, ...]


def paths_of(calibration: Calibration) -> tuple[VerdictPath, ...]:
    """Return a path for each verdict that was reached, in the candidates' order."""
    reached = [v for v in calibration.verdicts if v.cases_used]
    chosen = calibration.decision.chosen.alias
    drawn = sorted(reached, key=lambda v: v.model != chosen)[:MOST_DRAWN]
    names = {verdict.model for verdict in drawn}
    return tuple(_path(calibration, v, v.model in names) for v in reached)


def _path(calibration: Calibration, verdict: Verdict, is_drawn: bool) -> VerdictPath:
    return VerdictPath(
        model=verdict.model,
        chosen=verdict.model == calibration.decision.chosen.alias,
        badge=verdict_badge(verdict, was_asked=True),
        words=unbroken(why(verdict, calibration)),
        spent=f"attempt {verdict.attempt}, α = {verdict.alpha:.3g}",
        charts=tuple(_charts(calibration, verdict)) if is_drawn else (),
    )


def _charts(calibration: Calibration, verdict: Verdict) -> Iterator[Chart]:
    if verdict.estimate is None:  # it fell at the critical cases, before the first line
        return
    gate = gate_of(calibration, verdict)
    trials = prefix_of(calibration, verdict.model)[: verdict.cases_used * gate.repeats]
    baseline = prefix_of(calibration, calibration.task.field.baseline.alias)
    scores = case_scores(gate, trials)
    for criterion in _shown(gate, verdict):
        is_pair = criterion.part is Part.BASELINE
        values = pair_scores(gate, trials, baseline) if is_pair else scores
        found = _chart(criterion, values)
        if found is not None:
            yield found


def _shown(gate: GatePlan, verdict: Verdict) -> list[Criterion]:
    """Return the lines of the quality, and those that decided where these are others."""
    quality, *others = gate.criteria
    if verdict.reason is Reason.BASELINE:
        return [quality, *(c for c in others if c.part is Part.BASELINE)]
    missed = {(s.tag, s.value) for s in verdict.slices if s.outcome == verdict.outcome}
    if verdict.reason is Reason.SLICE:
        return [quality, *[c for c in others if (c.tag, c.value) in missed][:2]]
    return [quality]


def _chart(criterion: Criterion, values: Sequence[float]) -> Chart | None:
    evidence = criterion.evidence(values)
    if not evidence:
        return None
    what = {
        Part.QUALITY: "",
        Part.SLICE: f" of {criterion.tag} = {criterion.value}",
        Part.BASELINE: " compared with the baseline",
    }[criterion.part]
    if isinstance(criterion.lines, Plan):
        return _failures(criterion.lines, [unit[0] > 0.5 for unit in evidence], what)
    return _wealth(criterion.lines, evidence, what)


def _failures(plan: Plan, passed: Sequence[bool], what: str) -> Chart:
    """Return failures against the lines of a plan."""
    crossing = plan.settle(passed)
    stop = crossing.index if crossing is not None else min(len(passed), plan.n)
    counts = [0]
    for one in passed[:stop]:
        counts.append(counts[-1] + (not one))
    end = min(plan.n, max(_LEAST_SHOWN, math.ceil(_AHEAD * stop)))
    looks, late = range(end + 1), range(plan.futile_from, min(end + 1, plan.n))
    lines = {  # each where a sample could be on it
        "certified at or below": [(t, plan.accept[t]) for t in looks if plan.accept[t] >= 0],
        "failed at or above": [(t, plan.reject[t]) for t in looks if plan.reject[t] <= t],
        "futile at or above": [(t, plan.futile[t]) for t in late if plan.futile[t] <= t],
    }
    title = (
        f"{counts[-1]:,} failures in {stop:,} of at most {plan.n:,} cases{what}. After so many, "
        f"{_takes(plan, stop)}."
    )
    # A line is shown as far as the sample could still have come, and no higher.
    top = max(counts[-1], *(y for points in lines.values() for _, y in points[-1:]), 1) + 1
    layers = _lines(
        {name: _stepped(points) for name, points in lines.items()}, "step-after", lambda y: y / top
    )
    layers += _walk(_stepped(list(enumerate(counts))), "step-after")
    y = {
        "scale": {"domain": [0, top], "nice": False},
        "axis": axis("Failures", tickMinStep=1, tickCount=5),
    }
    return chart(title, _HEIGHT, _scaled(layers, y, end, f"Cases{what}"))


def _takes(plan: Plan, stop: int) -> str:
    """Return how many failures each line takes after so many cases."""
    least = {"failed": plan.reject[stop]}
    if plan.futile_from <= stop < plan.n:
        least["futile"] = plan.futile[stop]
    certified = f"{plan.accept[stop]:,} or fewer" if plan.accept[stop] >= 0 else "not yet"
    against = (f"{w}: {n:,} or more" if n <= stop else f"{w}: not yet" for w, n in least.items())
    return "; ".join([f"certified: {certified}", *against])


def _wealth(plan: BettingPlan, evidence: Sequence[Sequence[float]], what: str) -> Chart:
    """Return the wealth of the three gamblers against what each has to reach."""
    largest, n = max(plan.sizes), plan.n
    stakes = cluster_stakes(evidence, plan.floor, largest=largest)
    above = bet(stakes, plan.floor, alpha=plan.alpha, n=n)
    below = bet_below(stakes, plan.floor, alpha=plan.alpha, n=n)
    stakes = cluster_stakes(evidence, plan.rate, largest=largest)
    futile = bet_below(stakes, plan.rate, alpha=plan.futility_beta, n=n)
    goal, futile_goal = 1 / plan.alpha, 1 / plan.futility_beta
    tops = [max(found.wealth) for found in (above, below, futile)]
    title = (
        f"In {len(evidence):,} observations{what} the wealth of the bets that the bar is met was "
        f"at most {tops[0]:,.3g} and that of those that it is missed {tops[1]:,.3g}, each of "
        f"{goal:,.3g} needed; of those on futility {tops[2]:,.3g} of {futile_goal:,.3g}."
    )
    lines = {
        "bets that the bar is met": _sampled(above.wealth),
        "bets that it is missed": _sampled(below.wealth),
        "bets on futility": _sampled(futile.wealth),
    }
    most = 3 * max(goal, *(min(top, 10 * goal) for top in tops))
    decades = math.log(most / _LEAST_WEALTH)
    layers = [
        *_lines(lines, "linear", lambda y: min(math.log(y / _LEAST_WEALTH) / decades, 1)),
        *_goal(goal, f"1/α = {goal:,.3g}"),
        *_goal(futile_goal, f"futility: {futile_goal:,.3g}"),
    ]
    y = {
        "scale": {"type": "log", "domain": [_LEAST_WEALTH, most], "nice": False, "clamp": True},
        "axis": axis("Wealth", tickCount=5, format="~g"),
    }
    seen = "Cases" if largest == 1 else "Groups of cases"
    return chart(title, _HEIGHT, _scaled(layers, y, len(evidence), f"{seen}{what}"))


def _goal(value: float, text: str) -> list[dict[str, Any]]:
    data = {"values": [{"y": value, "label": text}]}
    return [
        {"data": data, "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [2, 2]}},
        {
            "data": data,
            "mark": {"type": "text", "align": "left", "dx": 4, "dy": -6},
            "encoding": {"text": {"field": "label"}, "x": {"value": 0}},
        },
    ]


def _lines(
    lines: dict[str, Points], interpolate: str, share_of: Callable[[float], float]
) -> list[dict[str, Any]]:
    """Return a layer a line, each with its name at its end; dashes tell them apart, too."""
    layers: list[dict[str, Any]] = []
    looks = zip(("good", "bad", "open"), ([1, 0], [6, 2], [2, 3]), strict=True)
    drawn = [(*line, *look) for line, look in zip(lines.items(), looks, strict=True) if line[1]]
    shifts = _apart([share_of(points[-1]["y"]) for _, points, _, _ in drawn])
    for (name, points, state, dash), shift in zip(drawn, shifts, strict=True):
        mark: dict[str, Any] = {"type": "line", "interpolate": interpolate, "strokeWidth": 1.5}
        mark |= {"color": COLOURS[state], "strokeDash": dash}
        layers.append({"data": {"values": points}, "mark": mark})
        text = {"type": "text", "align": "right", "dy": -7 - shift, "color": COLOURS[state]}
        layers.append(
            {"data": {"values": points[-1:]}, "mark": text, "encoding": {"text": {"value": name}}}
        )
    return layers


def _apart(shares: Sequence[float]) -> list[float]:
    """Return by how many pixels each label is raised, so that none lies on another."""
    shifts, least = [0.0] * len(shares), -math.inf
    for place in sorted(range(len(shares)), key=lambda place: shares[place]):
        height = max(_HEIGHT * shares[place], least)
        shifts[place] = round(height - _HEIGHT * shares[place], 1)
        least = height + _LINE
    return shifts


def _walk(points: Points, interpolate: str) -> list[dict[str, Any]]:
    mark = {"type": "line", "interpolate": interpolate, "color": "var(--ink)", "strokeWidth": 2}
    stop = {"type": "point", "filled": True, "size": 70, "opacity": 1, "color": "var(--ink)"}
    return [
        {"data": {"values": points}, "mark": mark},
        {"data": {"values": points[-1:]}, "mark": stop},
    ]


def _scaled(
    layers: Sequence[dict[str, Any]], y: Mapping[str, Any], end: int, what: str
) -> list[dict[str, Any]]:
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": {"domain": [0, max(end, 1)], "nice": False},
        "axis": axis(f"{label(what)}, in the seeded order", tickMinStep=1, tickCount=6),
    }
    height = {"field": "y", "type": "quantitative", **y}
    scaled = []
    for layer in layers:
        places = {"y": height} if layer["mark"]["type"] == "rule" else {"x": x, "y": height}
        scaled.append({**layer, "encoding": {**places, **layer.get("encoding", {})}})
    return scaled


def _stepped(points: Sequence[tuple[int, int]]) -> Points:
    """Return the points at which a line steps, and its last one."""
    kept = [
        point
        for i, point in enumerate(points)
        if i in (0, len(points) - 1) or point[1] != points[i - 1][1]
    ]
    every = math.ceil(len(kept) / _MOST_POINTS) or 1
    return [{"x": x, "y": y} for x, y in (*kept[:-1:every], *kept[-1:])]


def _sampled(wealth: Sequence[float]) -> Points:
    path = [(0, 1.0), *((x, max(y, _LEAST_WEALTH)) for x, y in enumerate(wealth, start=1))]
    every = math.ceil(len(path) / _MOST_POINTS)
    return [{"x": x, "y": float(f"{y:.4g}")} for x, y in (*path[:-1:every], path[-1])]
