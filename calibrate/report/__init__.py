"""HTML pages for reviewers: every number chosen in `view`, none computed in a template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibrate.decide import Calibration
from calibrate.errors import OutputError
from calibrate.files import replace_file
from calibrate.policy import Policy
from calibrate.project import Project
from calibrate.report.drawing import Drawings
from calibrate.report.index import INDEX_FILE, build_index, case_file, page_file
from calibrate.report.render import render_cases, render_index, render_page
from calibrate.report.view import build_page

__all__ = ["write_reports"]

DRAWINGS = ".calibrate/drawings"  # a file a page


def write_reports(
    calibrations: Sequence[Calibration],
    project: Project,
    policy: Policy,
    folder: Path,
    *,
    previous: Policy | None = None,
) -> list[Path]:
    """Write a page for each calibration and the index of the whole policy.

    Returns the pages' paths, in the order of `calibrations`; cases that have no room on a page
    are in files beside it. The index links to every page that lies in the folder, also to those
    of earlier runs, and says what is different from the `previous` policy where there is one.
    """
    paths = [_write_page(calibration, project, folder) for calibration in calibrations]
    names = {*policy.workflows, *project.workflows}
    linked = {name for name in names if (folder / page_file(name)).is_file()}
    index = render_index(build_index(policy, project, linked, previous))
    replace_file(folder / INDEX_FILE, index.encode())
    return paths


def _write_page(calibration: Calibration, project: Project, folder: Path) -> Path:
    name = calibration.task.name
    page = build_page(calibration, project)
    path = folder / page_file(name)
    drawings = Drawings(project.root / f"{DRAWINGS}/{path.stem}.json")
    replace_file(path, render_page(page, drawings=drawings).encode())
    drawings.keep()
    for cases in page.cases[1:]:
        replace_file(folder / case_file(name, cases.number), render_cases(page, cases).encode())
    _remove_after(folder, name, len(page.cases))
    return path


def _remove_after(folder: Path, name: str, pages: int) -> None:
    """Remove the further pages of an earlier run that had more cases."""
    number = max(pages, 1) + 1
    while (path := folder / case_file(name, number)).exists():
        try:
            path.unlink()
        except OSError as error:
            raise OutputError(f"{path}: cannot be removed: {error}") from error
        number += 1
