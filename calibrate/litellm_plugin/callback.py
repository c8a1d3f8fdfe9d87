"""LiteLLM's hooks: each request by the policy, each weak answer to the next model."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import litellm
from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

from calibrate.errors import PolicyError
from calibrate.litellm_plugin.answers import as_asked, assembled, cost_of
from calibrate.litellm_plugin.deciding import Decider, Decision, limited, texts
from calibrate.litellm_plugin.deployments import Fleet, fleet_of
from calibrate.litellm_plugin.journal import Answered, Journal
from calibrate.litellm_plugin.marking import MARK, logged_call, mark_of, metadata_key
from calibrate.litellm_plugin.reading import LOGPROBS, Reader
from calibrate.policy import DEFAULT_PATH, Policy

__all__ = ["PolicyRouter", "policy_router"]

_MOST_OPEN = 10_000  # requests whose end is still awaited
_TOP_LOGPROBS = 5
_TWO_DAYS_S = 172_800
_CHAT = frozenset({"completion", "acompletion"})  # whose answers can be judged
_RESPONSES = frozenset({"responses", "aresponses"})  # LiteLLM sends no default limit there
_INTERNAL = frozenset({"litellm_logging_obj", "litellm_call_id", "secret_fields", "metadata"})


class PolicyRouter(CustomLogger):  # type: ignore[misc]  # LiteLLM is not there where this is checked
    """One proxy process under one policy, which it follows when the file changes."""

    def __init__(self, policy: Path, reader: Reader, journal: Journal) -> None:
        super().__init__()
        self._watch = Policy.watch(policy)
        self._reader = reader
        self._journal = journal
        self._served: Policy | None = None
        self._day = ""
        self._fleet = Fleet({}, {})
        self._groups: frozenset[str] = frozenset()
        self._decider: Decider | None = None
        self._cache: Any = None
        self._open: OrderedDict[str, Decision] = OrderedDict()
        self._failures: OrderedDict[str, list[str]] = OrderedDict()

    @classmethod
    def from_environment(cls) -> PolicyRouter:
        """Return the router that `CALIBRATE_*` variables describe; raises what is wrong with it."""
        setting = {key: os.environ.get(f"CALIBRATE_{key}") for key in _SETTINGS}
        project, log, port = setting["PROJECT"], setting["LOG"], setting["METRICS_PORT"]
        return cls(
            Path(setting["POLICY"] or DEFAULT_PATH),
            Reader(Path(project) if project else None),
            Journal(Path(log) if log else None, metrics_port=int(port) if port else None),
        )

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Return the request as the policy has it; raises what the client is told instead."""
        asked = data.get("model")
        if not isinstance(asked, str):
            return data
        self._cache = cache
        for key in ("metadata", "litellm_metadata"):
            if isinstance(data.get(key), dict):
                data[key].pop(MARK, None)  # a client's own would be taken for ours
        decider, router = self._current()
        if asked.partition("::")[0] in self._groups and "::" in asked:
            raise HTTPException(404, {"error": f"no route is called {asked!r}"})
        try:
            decision = decider.decide(
                asked,
                router.model_names,
                lambda: _size(data),
                _most_tokens(data),
                can_escalate=call_type in _CHAT,
            )
        except PolicyError as error:
            self._journal.refused(workflow=asked[:200], why="input too long")
            raise HTTPException(400, {"error": str(error)}) from None
        if decision is None:
            return data
        await self._refuse_over_budget(decision)
        is_stated = call_type in _RESPONSES
        name = "max_output_tokens" if is_stated else "max_tokens"
        body = limited(data, decision, limit_name=name, is_stated=is_stated)
        return self._marked(body, decision)

    async def async_post_call_success_hook(
        self, data: dict[str, Any], user_api_key_dict: Any, response: Any
    ) -> Any:
        """Return the answer, or the next model's where it is too weak."""
        mark = mark_of(data)
        decision = self._open.pop(mark.get("request", ""), None)
        if decision is None or not decision.is_gated or not hasattr(response, "choices"):
            return response
        why = self._weakness(mark, decision, response.model_dump())
        if why is None:
            return as_asked(response, mark)
        stronger = await self._ask_again(data, decision, why)
        if stronger is None:
            return as_asked(response, mark)
        mark["cost_usd"] = cost_of(response) + cost_of(stronger)
        return stronger

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """Yield a stream as it comes, or held back until it is known to be good enough."""
        mark = mark_of(request_data)
        decision = self._open.pop(mark.get("request", ""), None)
        if decision is None or not decision.is_gated:
            async for chunk in response:
                yield chunk
            return
        chunks = [chunk async for chunk in response]
        why = self._weakness(mark, decision, assembled([chunk.model_dump() for chunk in chunks]))
        stronger = None if why is None else await self._ask_again(request_data, decision, why)
        if stronger is None:
            for chunk in chunks:
                yield as_asked(chunk, mark)
            return
        async for chunk in stronger:
            yield chunk

    async def async_post_call_response_headers_hook(
        self, data: dict[str, Any], user_api_key_dict: Any, response: Any, **_: Any
    ) -> dict[str, str] | None:
        mark = mark_of(data)
        if not mark:
            return None
        headers = {"x-calibrate-workflow": mark["name"]}
        if mark.get("escalated"):
            headers["x-calibrate-escalated"] = str(mark["escalated"])
        if "cost_usd" in mark:
            headers["x-calibrate-cost"] = f"{mark['cost_usd']:.10f}"
        return headers

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        logged, mark = logged_call(kwargs)
        if not mark:
            return
        name, order, alias = [*str(logged.get("model_id")).split("/", 2), "", ""][:3]
        failures = self._failures.pop(mark["request"], [])
        cost = float(logged.get("response_cost") or 0.0)
        self._journal.answered(
            Answered(
                request=mark["request"],
                workflow=mark["workflow"],
                model=alias,
                deployment=f"{name}/{order}/{alias}",
                input_tokens=int(logged.get("prompt_tokens") or 0),
                output_tokens=int(logged.get("completion_tokens") or 0),
                cost_usd=cost,
                latency_s=(end_time - start_time).total_seconds(),
                over_context=bool(mark["over_context"]),
                is_default=bool(mark["is_default"]),
                fell_back=_fell_back(order, failures),
                escalated=mark.get("escalated"),
            )
        )
        if self._cache is not None and mark["is_budgeted"]:
            key = _budget_key(mark["workflow"])
            await self._cache.async_increment_cache(key, cost, ttl=_TWO_DAYS_S)

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        logged, mark = logged_call(kwargs)
        if mark:
            # Its class alone: what a provider writes into an error is not ours to repeat.
            told = logged.get("error_information") or {}
            failures = _bounded(self._failures).setdefault(mark["request"], [])
            failures.append(str(told.get("error_class") or "error"))

    def _current(self) -> tuple[Decider, Any]:
        """Return the policy as it is served now; a changed one is put into the router first."""
        from litellm.proxy.proxy_server import llm_router

        policy, day = self._watch.policy, datetime.now(UTC).date().isoformat()
        if policy is not self._served or day != self._day:
            self._served, self._day = policy, day
            try:
                self._follow(policy, llm_router)
            except PolicyError as error:
                self._journal.reloaded(problem=str(error))
        if self._decider is None:
            raise HTTPException(503, {"error": "the policy has no route that can be served here"})
        return self._decider, llm_router

    def _follow(self, policy: Policy, router: Any) -> None:
        """Serve this policy from now on; raises `PolicyError`, and goes on with the one before."""
        fleet = fleet_of(policy)
        _put(router, fleet, self._fleet)
        self._fleet, self._groups = fleet, fleet.groups
        self._decider = Decider(policy, self._groups, self._reader)
        self._journal.reloaded(workflows=len(policy.workflows), models=len(policy.models))

    async def _refuse_over_budget(self, decision: Decision) -> None:
        budget = decision.route.limits.budget_usd_per_day
        if budget is None:
            return
        spent = await self._cache.async_get_cache(_budget_key(decision.route.workflow))
        if float(spent or 0.0) >= budget:
            self._journal.refused(workflow=decision.route.workflow, why="budget")
            text = f"{decision.name}: the budget of {budget:g} USD a day is spent"
            raise HTTPException(429, {"error": text})

    def _marked(self, data: dict[str, Any], decision: Decision) -> dict[str, Any]:
        request, route = uuid4().hex, decision.route
        mark = {
            "request": request,
            "name": decision.name,
            "workflow": route.workflow,
            "over_context": route.over_context,
            "is_default": decision.asked != decision.name,
            "is_budgeted": route.limits.budget_usd_per_day is not None,
            "hides_logprobs": False,
        }
        found = route.escalation
        if decision.is_gated and found and found.signal in LOGPROBS and "messages" in data:
            mark["hides_logprobs"] = not data.get("logprobs")
            most = data.get("top_logprobs")
            most = most if isinstance(most, int) else 0
            data |= {"logprobs": True, "top_logprobs": max(_TOP_LOGPROBS, most)}
        key = metadata_key(data)
        data[key] = {**(data.get(key) or {}), MARK: mark}
        _bounded(self._open)[request] = decision
        return data

    def _weakness(
        self, mark: dict[str, Any], decision: Decision, answer: Mapping[str, Any]
    ) -> str | None:
        signals = self._reader.signals(decision.route.workflow, answer, 0.0)
        why = decision.weakness(signals)
        if why is not None:
            found = decision.route.escalation
            self._journal.escalated(
                request=mark["request"],
                workflow=decision.route.workflow,
                why=why,
                to=decision.escalates_to,
                **(
                    {}
                    if found is None
                    else {"below": found.below, "value": signals.get(found.signal)}
                ),
            )
        return why

    async def _ask_again(self, data: dict[str, Any], decision: Decision, why: str) -> Any:
        """Return the next model's answer; None where there is none, so that the first one stays."""
        from litellm.proxy.proxy_server import llm_router

        mark = mark_of(data)
        mark["escalated"] = why
        sent = {k: v for k, v in data.items() if k not in _INTERNAL and k != "proxy_server_request"}
        if mark["hides_logprobs"]:
            sent = {k: v for k, v in sent.items() if k not in ("logprobs", "top_logprobs")}
        metadata = {
            k: v for k, v in (data.get("metadata") or {}).items() if k.startswith("user_api")
        }
        metadata[MARK] = dict(mark)
        try:
            return await llm_router.acompletion(
                **{**sent, "model": decision.escalates_to, "metadata": metadata}
            )
        except Exception as error:  # whatever happens to it, the first answer is there
            mark["escalated"] = None
            kind = type(error).__name__
            self._journal.refused(
                workflow=decision.route.workflow, why=f"escalation failed: {kind}"
            )
            return None


_SETTINGS = ("POLICY", "PROJECT", "LOG", "METRICS_PORT")


def _put(router: Any, fleet: Fleet, before: Fleet) -> None:
    """Let a router hold these deployments, and no longer those that were there before them."""
    from litellm.types.router import Deployment

    groups = fleet.groups | before.groups
    held = [(d["model_name"], d["model_info"]["id"]) for d in router.model_list]
    for group, identity in held:
        if group in groups and identity not in fleet.deployments:
            router.delete_deployment(identity)
    for identity, entry in fleet.deployments.items():
        if before.deployments.get(identity) != entry:
            params = {key: _resolved(value) for key, value in entry["litellm_params"].items()}
            router.upsert_deployment(Deployment(**{**entry, "litellm_params": params}))
    router.model_names -= before.groups - fleet.groups
    for key, ours in fleet.fallbacks.items():
        theirs = [entry for entry in getattr(router, key) or [] if not entry.keys() & groups]
        setattr(router, key, [*ours, *theirs])


def _resolved(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("os.environ/"):
        return os.environ.get(value.removeprefix("os.environ/"), value)
    return value


def _size(data: Mapping[str, Any]) -> int:
    messages = data.get("messages")
    if isinstance(messages, list):
        return int(litellm.token_counter(model="", messages=messages, tools=data.get("tools")))
    return int(litellm.token_counter(model="", text="\n".join(texts(data))))


def _most_tokens(data: Mapping[str, Any]) -> int:
    """Return what an input cannot exceed: a token is at least a byte, a message a few more."""
    messages = data.get("messages")
    more = 16 * len(messages) if isinstance(messages, list) else 16
    return more + sum(len(text.encode("utf-8", "replace")) for text in texts(data))


def _fell_back(order: str, failures: list[str]) -> str | None:
    if order in ("", "1"):
        return None
    return ", ".join(dict.fromkeys(failures)) or "the model before it was resting or too small"


def _budget_key(workflow: str) -> str:
    return f"calibrate:{workflow}:{datetime.now(UTC).date().isoformat()}"


def _bounded(held: OrderedDict[str, Any]) -> OrderedDict[str, Any]:
    """Return the dictionary with room for one more: what was never ended goes first."""
    while len(held) >= _MOST_OPEN:
        held.popitem(last=False)
    return held


policy_router = PolicyRouter.from_environment()
