"""Pictures of the shipped reports, in both themes and on a phone, for the README."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

SHOTS = {
    "index-light": ("index.html", "light", 1280, 820),
    "index-dark": ("index.html", "dark", 1280, 820),
    "workflow-light": ("support-simple.html", "light", 1280, 1500),
    "workflow-dark": ("support-simple.html", "dark", 1280, 1500),
    "workflow-phone": ("support-simple.html", "light", 390, 1500),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path)
    parser.add_argument("pictures", type=Path)
    given = parser.parse_args()
    given.pictures.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        for name, (file, theme, width, height) in SHOTS.items():
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=theme,  # type: ignore[arg-type]
            )
            page.goto((given.reports / file).resolve().as_uri())
            page.screenshot(path=given.pictures / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
