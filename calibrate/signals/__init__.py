"""What a router may see at serve time: numbers from a request and its answer, never a golden one.

Of every signal a higher number means more trust. One module holds one family; `table.SIGNALS` says
of each its scale, what it costs a request and what a gateway needs to compute it.
"""

from __future__ import annotations

from calibrate.signals.agreement import agreement, sample_repeat
from calibrate.signals.fitting import Split, fit_simplicity, split_by_group
from calibrate.signals.noted import both
from calibrate.signals.probabilities import from_completion
from calibrate.signals.reader import SignalReader, reader_for
from calibrate.signals.table import SIGNALS, Signal
from calibrate.signals.verifier import default_prompt, verifier_score

__all__ = [
    "SIGNALS",
    "Signal",
    "SignalReader",
    "Split",
    "agreement",
    "both",
    "default_prompt",
    "fit_simplicity",
    "from_completion",
    "reader_for",
    "sample_repeat",
    "split_by_group",
    "verifier_score",
]
