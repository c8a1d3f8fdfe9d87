"""The transports, without the machine's own proxies and certificates."""

from __future__ import annotations

import pytest

from calibrate.transports import CHOICE


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", CHOICE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["direct", "fast", "standard"])
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose a transport as a user does, and return its name: a test runs once with each."""
    name: str = request.param
    monkeypatch.setenv(CHOICE, name)
    return name
