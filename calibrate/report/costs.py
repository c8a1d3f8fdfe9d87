"""What a request costs, by what is paid for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.decide import Calibration
from calibrate.pricing import rates_at
from calibrate.report.chart import LANES, Chart, axis, chart, label
from calibrate.trial import AnyTrial, FailedTrial, Trial
from calibrate.words import money

__all__ = ["PARTS", "CostRow", "CostTable", "cost_table"]

PARTS = ("Input", "Cached input", "Cache writes", "Output", "Machine time", "Other charges")
_MILLION = Decimal(1_000_000)
_LANE = 26  # pixels a model


@dataclass(frozen=True, slots=True)
class CostRow:
    """One model's cost of 1,000 requests by part, with the tokens of a request."""

    model: str
    rests_on: str
    parts: tuple[str, ...]  # in the order of the table's
    total: str
    tokens: str
    failed: str  # paid for calls that gave no answer, in all


@dataclass(frozen=True, slots=True)
class CostTable:
    """Costs by part; parts that no model pays for are left out."""

    parts: tuple[str, ...]
    rows: tuple[CostRow, ...]
    chart: Chart


def cost_table(calibration: Calibration) -> CostTable | None:
    """Return what the answers of each model cost; None where no model has answered.

    They are those of the cases that the verdict used, where it used any, so that a row's total is
    the cost by which the model is compared; of a model without a verdict, all of its answers.
    """
    found = list(_found(calibration))
    used = tuple(part for part in PARTS if any(parts[part] for _, _, parts in found))
    if not used:
        return None
    rows = tuple(_row(model, trials, parts, used) for model, trials, parts in found)
    title = "; ".join(f"{row.model}: {row.total}" for row in rows)
    bars = [
        {"model": label(model), "part": part, "usd": float(parts[part]), "order": used.index(part)}
        for model, _, parts in found
        for part in used
    ]
    layers = [_bars(bars, used)]
    return CostTable(used, rows, chart(f"{title} per 1,000 requests.", _LANE * len(rows), layers))


def _found(
    calibration: Calibration,
) -> Iterator[tuple[str, Sequence[AnyTrial], Mapping[str, Decimal]]]:
    pairs = zip(calibration.task.field.candidates, calibration.verdicts, strict=True)
    for candidate, verdict in pairs:
        trials = calibration.trials.get(verdict.model, ())
        if verdict.critical_missed:
            trials = tuple(trial for trial in trials if trial.case.critical)
        elif verdict.cases_used:
            trials = trials[: verdict.cases_used * calibration.task.workflow.repeats]
        answers = [trial for trial in trials if isinstance(trial, Trial)]
        if answers:
            yield verdict.model, trials, _per_thousand(candidate, answers)


def _per_thousand(candidate: Candidate, answers: Sequence[Trial]) -> dict[str, Decimal]:
    totals = dict.fromkeys(PARTS, Decimal(0))
    for trial in answers:
        parts = _parts(candidate, trial)
        for part, usd in parts.items():
            totals[part] += usd
        # What a provider says it charged may differ from its tokens at the listed prices.
        totals["Other charges"] += trial.cost_usd - sum(parts.values())
    return {part: 1000 * usd / len(answers) for part, usd in totals.items()}


def _parts(candidate: Candidate, trial: Trial) -> dict[str, Decimal]:
    usage = trial.usage
    rates = rates_at(candidate.price, usage.input_tokens)
    if rates is None:
        return {"Machine time": candidate.price.cost(usage, trial.latency_s)}
    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    return {
        "Input": fresh * rates.input_usd_per_mtok / _MILLION,
        "Cached input": usage.cached_input_tokens * rates.cache_read_rate / _MILLION,
        "Cache writes": usage.cache_write_tokens * rates.cache_write_rate / _MILLION,
        "Output": usage.output_tokens * rates.output_usd_per_mtok / _MILLION,
    }


def _row(
    model: str, trials: Sequence[AnyTrial], parts: Mapping[str, Decimal], used: Sequence[str]
) -> CostRow:
    answers = [trial for trial in trials if isinstance(trial, Trial)]
    n = len(answers)
    given = round(sum(trial.usage.input_tokens for trial in answers) / n)
    answered = round(sum(trial.usage.output_tokens for trial in answers) / n)
    failed = sum((t.cost_usd for t in trials if isinstance(t, FailedTrial)), Decimal(0))
    return CostRow(
        model=model,
        rests_on=f"{n:,} answer{'' if n == 1 else 's'}",
        parts=tuple(money(float(parts[part])) for part in used),
        total=money(float(sum(parts.values()))),
        tokens=f"{given:,} in, {answered:,} out",
        failed=money(float(failed)),
    )


def _bars(bars: Sequence[Mapping[str, object]], used: Sequence[str]) -> dict[str, object]:
    shades = [f"var(--part-{1 + PARTS.index(part)})" for part in used]
    return {
        "data": {"values": list(bars)},
        "mark": {"type": "bar", "height": 14, "stroke": "var(--paper)", "strokeWidth": 1},
        "encoding": {
            "y": LANES,
            "x": {
                "field": "usd",
                "type": "quantitative",
                "axis": axis("US dollars per 1,000 requests", format="$~g", grid=True, tickCount=4),
            },
            "color": {
                "field": "part",
                "type": "nominal",
                "scale": {"domain": list(used), "range": shades},
            },
            "order": {"field": "order"},
        },
    }
