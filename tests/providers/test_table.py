from __future__ import annotations

import pytest

from calibrate.errors import PluginError
from calibrate.providers import anthropic, azure, gemini, openai, provider, provider_names


def test_the_built_in_providers_are_found_by_kind() -> None:
    assert provider_names() == ["anthropic", "azure", "gemini", "openai"]
    assert provider("openai") is openai
    assert provider("anthropic") is anthropic
    assert provider("azure") is azure
    assert provider("gemini") is gemini


def test_an_unknown_kind_is_an_error_that_knows_the_close_one() -> None:
    with pytest.raises(PluginError) as caught:
        provider("opneai")
    assert str(caught.value) == (
        "no calibrate.providers plugin is called 'opneai'; did you mean 'openai'? "
        "(known: anthropic, azure, gemini, openai)"
    )
