from __future__ import annotations

import pytest

from calibrate.config import MOST_SAMPLES, Workflow
from calibrate.signals import agreement, sample_repeat


@pytest.mark.parametrize(
    ("said", "samples", "share"),
    [
        ("a", ["a", "a", "b"], 0.666667),
        ("a", ["b"], 0.0),
        ("a", ["a", None], 0.5),
        (None, ["a", None], None),
        ("a", [], None),
    ],
)
def test_agreement_is_the_share_of_samples_that_say_the_same(
    said: str | None, samples: list[str | None], share: float | None
) -> None:
    assert agreement(said, samples) == share


def test_no_sample_has_the_index_of_a_repeat_or_of_another_sample() -> None:
    (most,) = (item.le for item in Workflow.model_fields["repeats"].metadata if hasattr(item, "le"))
    indices = [sample_repeat(r, s) for r in range(most) for s in range(MOST_SAMPLES)]
    assert len(set(indices)) == len(indices)
    assert min(indices) >= most
