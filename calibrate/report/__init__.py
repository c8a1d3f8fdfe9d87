"""HTML pages for reviewers: every number chosen in `view`, none computed in a template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibrate.decide import Calibration
from calibrate.files import replace_file
from calibrate.policy import Policy
from calibrate.project import Project
from calibrate.report.index import INDEX_FILE, build_index, page_file
from calibrate.report.render import render_index, render_page
from calibrate.report.view import build_page

__all__ = ["write_reports"]


def write_reports(
    calibrations: Sequence[Calibration], project: Project, policy: Policy, folder: Path
) -> list[Path]:
    """Write a page for each calibration and the index of the whole policy.

    Returns the pages' paths, in the order of `calibrations`. The index links to every page that
    lies in the folder, also to those of earlier runs.
    """
    paths = []
    for calibration in calibrations:
        path = folder / page_file(calibration.task.name)
        replace_file(path, render_page(build_page(calibration, project)).encode())
        paths.append(path)
    names = {*policy.workflows, *project.workflows}
    linked = {name for name in names if (folder / page_file(name)).is_file()}
    index = render_index(build_index(policy, project, linked))
    replace_file(folder / INDEX_FILE, index.encode())
    return paths
