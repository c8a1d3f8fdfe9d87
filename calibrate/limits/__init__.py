"""How fast one endpoint may be asked."""

from __future__ import annotations

from calibrate.limits.limiter import MAX_PAUSE_S, Limiter, Slot
from calibrate.limits.notice import Left, Notice, notice_in

__all__ = ["MAX_PAUSE_S", "Left", "Limiter", "Notice", "Slot", "notice_in"]
