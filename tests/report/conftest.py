from __future__ import annotations

from collections.abc import Callable

import pytest
from calibrations import Sample, sample

from calibrate.completion import Failure, FailureReason


@pytest.fixture
def calibrated() -> Callable[..., Sample]:
    return sample


@pytest.fixture
def certified() -> Sample:
    """`small` fails the bar, `medium` clears it, `large` is not needed."""
    return sample({"small": frozenset({0, *range(2, 31)}), "medium": 30})


@pytest.fixture
def outage() -> Failure:
    return Failure(FailureReason.SERVER_ERROR, "the server said 500", status=500)
