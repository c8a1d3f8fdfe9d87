"""The LiteLLM proxy under a policy: what its configuration cannot say is done at each request.

`callbacks: calibrate.litellm_plugin.callback.policy_router` under `litellm_settings` turns it on.
"""
