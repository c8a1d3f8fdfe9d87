"""Calibrate: the cheapest model that is good enough, with a guarantee.

This is the door for a service that routes: it reads a policy and nothing else, so importing it
loads no harness. The names are looked up on first use, which keeps `calibrate --help` quick.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibrate.errors import CalibrateError as CalibrateError
    from calibrate.policy import Policy as Policy
    from calibrate.policy import Route as Route
    from calibrate.policy import Routes as Routes
    from calibrate.policy import load_policy as load_policy
    from calibrate.policy import load_routes as load_routes

__version__ = "0.1.0"
__all__ = ["CalibrateError", "Policy", "Route", "Routes", "load_policy", "load_routes"]

_HOMES = {
    "CalibrateError": "calibrate.errors",
    "Policy": "calibrate.policy",
    "Route": "calibrate.policy",
    "Routes": "calibrate.policy",
    "load_policy": "calibrate.policy",
    "load_routes": "calibrate.policy",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'calibrate' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__version__"]
