"""Look a plugin up by name: our own table first, then entry points."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrate.errors import PluginError
from calibrate.plugins import find, names

GROUP = "calibrate.test_plugins"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with two entry points, one of which cannot be imported."""
    (tmp_path / "their_plugin.py").write_text("VALUE = 'theirs'\n")
    (tmp_path / "their_broken_plugin.py").write_text("1 / 0\n")
    metadata = tmp_path / "their_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[{GROUP}]\nlength = their_plugin:VALUE\nbroken = their_broken_plugin:VALUE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_our_own_table_comes_first() -> None:
    assert find(GROUP, "a", {"a": 1}) == 1


@pytest.mark.usefixtures("installed")
def test_an_installed_plugin_is_found_and_our_own_wins() -> None:
    assert find(GROUP, "length", {"a": "ours"}) == "theirs"
    assert find(GROUP, "length", {"length": "ours"}) == "ours"
    assert names(GROUP, {"a": 1}) == ["a", "broken", "length"]


@pytest.mark.usefixtures("installed")
def test_a_plugin_that_cannot_be_imported_says_why() -> None:
    with pytest.raises(PluginError) as caught:
        find(GROUP, "broken", {})
    assert caught.value.problems == (
        f"the {GROUP} plugin 'broken' (their_broken_plugin:VALUE) cannot be imported: "
        "division by zero",
    )


@pytest.mark.usefixtures("installed")
def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(PluginError) as caught:
        find(GROUP, "lenght", {"a": 1})
    assert caught.value.problems == (
        f"no {GROUP} plugin is called 'lenght'; did you mean 'length'? (known: a, broken, length)",
    )
