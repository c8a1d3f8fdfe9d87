"""Look a plugin up by name: our own table first, then entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

from calibrate.errors import PluginError, did_you_mean

__all__ = ["find", "names"]

T = TypeVar("T")


def find(group: str, name: str, table: Mapping[str, T]) -> T:
    """Return what `name` stands for in the table or, failing that, in the entry points `group`.

    Raises `PluginError` where nothing has that name, or the installed plugin cannot be imported.
    """
    if name in table:
        return table[name]
    for entry in entry_points(group=group, name=name):
        try:
            loaded: Any = entry.load()
        except Exception as error:  # a third party's import may raise anything
            raise PluginError(
                f"the {group} plugin {name!r} ({entry.value}) cannot be imported: {error}"
            ) from error
        return loaded  # type: ignore[no-any-return]
    known = names(group, table)
    raise PluginError(
        f"no {group} plugin is called {name!r}{did_you_mean(name, known)} "
        f"(known: {', '.join(known)})"
    )


def names(group: str, table: Mapping[str, Any]) -> list[str]:
    """Return every name that `find` would know, sorted."""
    return sorted({*table, *(entry.name for entry in entry_points(group=group))})
