"""The whole export of the sample policy for each gateway; run this file to write them anew."""

from __future__ import annotations

from pathlib import Path

from exporters.sample import sample_policy

from calibrate.exporters import EXPORTERS, export_policy

__all__ = ["golden_file"]

_FOLDER = Path(__file__).with_name("golden")
_JSON = ("portkey", "openrouter", "json")


def golden_file(gateway: str) -> Path:
    return _FOLDER / f"{gateway}.{'json' if gateway in _JSON else 'yaml'}"


if __name__ == "__main__":
    for name in EXPORTERS:
        golden_file(name).write_text(export_policy(name, sample_policy()).text, encoding="utf-8")
