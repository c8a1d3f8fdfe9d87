"""Trials as a pandas table: the one place that names columns and dtypes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = ["latency_quantile", "mean_cost_usd", "trial_table"]


def trial_table(trials: Sequence[AnyTrial]) -> pd.DataFrame:
    """Return one row a trial, in their order.

    Columns: `case_id`, `model`, `repeat`, `score` (0 to 1), `passed`, `failed_call`, `critical`,
    `group`, `cost_usd` (float, for summaries only), `latency_s`, `input_tokens`,
    `output_tokens`, one `tag.<name>` for each tag and one `signal.<name>` for each signal; for
    those that are not free, what they took on top: `signal_usd.<name>`, `signal_wait_s.<name>`.
    """
    return pd.DataFrame([_row(trial) for trial in trials])


def mean_cost_usd(table: pd.DataFrame) -> float | None:
    """Return the mean cost in dollars of a request that was answered; None where none was."""
    answered = table.loc[~table["failed_call"], "cost_usd"]
    return None if answered.empty else float(answered.mean())


def latency_quantile(table: pd.DataFrame, q: float) -> float | None:
    """Return a latency that was really seen: the least that at least a share `q` do not exceed.

    None where none was measured.
    """
    measured = table["latency_s"].dropna()
    if measured.empty:
        return None
    return float(np.quantile(measured.to_numpy(), q, method="inverted_cdf"))


def _row(trial: AnyTrial) -> dict[str, object]:
    row: dict[str, object] = {
        "case_id": trial.case.id,
        "model": trial.model,
        "repeat": trial.repeat,
        "score": trial.score,
        "passed": passes(trial),
        "failed_call": isinstance(trial, FailedTrial),
        "critical": trial.case.critical,
        "group": trial.case.group,
        "cost_usd": float(trial.cost_usd),
        "latency_s": np.nan if trial.latency_s is None else trial.latency_s,
    }
    row |= {f"tag.{name}": value for name, value in trial.case.tags.items()}
    if isinstance(trial, FailedTrial):
        return row | {"input_tokens": 0, "output_tokens": 0}
    row |= {"input_tokens": trial.usage.input_tokens, "output_tokens": trial.usage.output_tokens}
    row |= {f"signal.{name}": value for name, value in trial.signals.items()}
    for name, cost in trial.signal_costs.items():
        row |= {f"signal_usd.{name}": float(cost.usd), f"signal_wait_s.{name}": cost.wait_s}
    return row
