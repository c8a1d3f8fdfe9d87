"""How many further answers of the same model say the same."""

from __future__ import annotations

from collections.abc import Sequence

from calibrate.config import MOST_SAMPLES

__all__ = ["agreement", "sample_repeat"]

_FIRST_SAMPLE = 1000  # repeats, which a workflow counts to 100 at most, stay below
DIGITS = 6


def sample_repeat(repeat: int, sample: int) -> int:
    """Return the repeat index of a sample: no repeat has it, nor a sample of another repeat.

    It does not depend on how many samples are taken, so that more of them keep the first ones.
    """
    return _FIRST_SAMPLE + repeat * MOST_SAMPLES + sample


def agreement(said: str | None, samples: Sequence[str | None]) -> float | None:
    """Return the share of the samples that say what the answer says.

    None stands for an answer that cannot be read, or that failed: a sample like that does not
    agree, and there is no agreement with such an answer.
    """
    if said is None or not samples:
        return None
    return round(sum(sample == said for sample in samples) / len(samples), DIGITS)
