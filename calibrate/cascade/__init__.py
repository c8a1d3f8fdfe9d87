"""A cheap model first, escalated where a signal is low: which thresholds keep the bar."""

from __future__ import annotations

from calibrate.cascade.finding import find_cascades

__all__ = ["find_cascades"]
