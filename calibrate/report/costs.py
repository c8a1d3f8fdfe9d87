"""What a request costs, by what is paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.decide import Calibration
from calibrate.gate import Verdict
from calibrate.pricing import rates_at
from calibrate.report.chart import LANES, Chart, axis, chart, label
from calibrate.trial import AnyTrial, FailedTrial, Trial
from calibrate.words import money

__all__ = ["PARTS", "CostRow", "CostTable", "ModelCost", "cost_table", "model_costs"]

PARTS = ("Input", "Cached input", "Cache writes", "Output", "Machine time", "Other charges")
_MILLION = Decimal(1_000_000)
_LANE = 26  # pixels a model


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What a model's answers cost, in US dollars per 1,000 requests, and on what that rests.

    `signals` is what each signal that asks again takes on top; a route pays for it only where it
    goes by it. `failed_usd` is what is stored of the price of calls that gave no answer, in all.
    """

    model: str
    answers: int
    parts: Mapping[str, Decimal]
    signals: Mapping[str, Decimal]
    input_tokens: int  # of a request, on average
    output_tokens: int
    failed_calls: int
    failed_usd: Decimal

    @property
    def total(self) -> Decimal:
        """The answers alone: the cost by which models are compared."""
        return sum(self.parts.values(), Decimal(0))


@dataclass(frozen=True, slots=True)
class CostRow:
    """One model's cost of 1,000 requests by part, with the tokens of a request."""

    model: str
    rests_on: str
    parts: tuple[str, ...]  # in the order of the table's
    total: str
    signals: tuple[str, ...]  # on top; in the order of the table's
    tokens: str
    failed: str


@dataclass(frozen=True, slots=True)
class CostTable:
    """Costs by part; parts that no model pays for are left out."""

    parts: tuple[str, ...]
    signals: tuple[str, ...]
    rows: tuple[CostRow, ...]
    chart: Chart


def cost_table(calibration: Calibration) -> CostTable | None:
    """Return what the answers of each model cost; None where no model has answered."""
    found = model_costs(calibration)
    used = tuple(part for part in PARTS if any(cost.parts[part] for cost in found))
    if not used:
        return None
    signals = tuple(dict.fromkeys(name for cost in found for name in cost.signals))
    rows = tuple(_row(cost, used, signals) for cost in found)
    title = "; ".join(f"{row.model}: {row.total}" for row in rows)
    bars = [
        {
            "model": label(cost.model),
            "part": part,
            "usd": float(cost.parts[part]),
            "order": used.index(part),
        }
        for cost in found
        for part in used
    ]
    drawing = chart(f"{title} per 1,000 requests.", _LANE * len(rows), [_bars(bars, used)])
    return CostTable(used, signals, rows, drawing)


def model_costs(calibration: Calibration) -> tuple[ModelCost, ...]:
    """Return the cost of each model that has answered, in the candidates' order.

    It is that of the cases that the verdict used, where it used any, so that the total is the
    cost by which the model is compared; of a model without a verdict, that of all its answers.
    """
    pairs = zip(calibration.task.field.candidates, calibration.verdicts, strict=True)
    found = (_model_cost(candidate, _counted(calibration, verdict)) for candidate, verdict in pairs)
    return tuple(cost for cost in found if cost is not None)


def _counted(calibration: Calibration, verdict: Verdict) -> Sequence[AnyTrial]:
    trials = calibration.trials.get(verdict.model, ())
    if verdict.critical_missed:
        return [trial for trial in trials if trial.case.critical]
    used = verdict.cases_used * calibration.task.workflow.repeats
    return trials[:used] if used else trials


def _model_cost(candidate: Candidate, trials: Sequence[AnyTrial]) -> ModelCost | None:
    answers = [trial for trial in trials if isinstance(trial, Trial)]
    failed = [trial for trial in trials if isinstance(trial, FailedTrial)]
    if not answers:
        return None
    n = len(answers)
    return ModelCost(
        model=candidate.alias,
        answers=n,
        parts=_per_thousand(candidate, answers),
        signals=_signals_per_thousand(answers),
        input_tokens=round(sum(trial.usage.input_tokens for trial in answers) / n),
        output_tokens=round(sum(trial.usage.output_tokens for trial in answers) / n),
        failed_calls=len(failed),
        failed_usd=sum((trial.cost_usd for trial in failed), Decimal(0)),
    )


def _per_thousand(candidate: Candidate, answers: Sequence[Trial]) -> dict[str, Decimal]:
    totals = dict.fromkeys(PARTS, Decimal(0))
    for trial in answers:
        parts = _parts(candidate, trial)
        for part, usd in parts.items():
            totals[part] += usd
        # What a provider says it charged may differ from its tokens at the listed prices.
        totals["Other charges"] += trial.cost_usd - sum(parts.values())
    return {part: 1000 * usd / len(answers) for part, usd in totals.items()}


def _signals_per_thousand(answers: Sequence[Trial]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for trial in answers:
        for name, cost in trial.signal_costs.items():
            totals[name] = totals.get(name, Decimal(0)) + cost.usd
    return {name: 1000 * usd / len(answers) for name, usd in totals.items()}


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


def _row(cost: ModelCost, used: Sequence[str], signals: Sequence[str]) -> CostRow:
    n = cost.answers
    return CostRow(
        model=cost.model,
        rests_on=f"{n:,} answer{'' if n == 1 else 's'}",
        parts=tuple(money(float(cost.parts[part])) for part in used),
        total=money(float(cost.total)),
        signals=tuple(
            money(float(cost.signals[name])) if name in cost.signals else "–" for name in signals
        ),
        tokens=f"{cost.input_tokens:,} in, {cost.output_tokens:,} out",
        failed=_failed(cost),
    )


def _failed(cost: ModelCost) -> str:
    if not cost.failed_calls:
        return "none"
    known = money(float(cost.failed_usd)) if cost.failed_usd else "cost not stored"
    return f"{cost.failed_calls:,}, {known}"


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
