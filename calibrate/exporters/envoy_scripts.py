"""The scripts by which Envoy reads and rewrites requests."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from urllib.parse import urlsplit

from calibrate.exporters.routing import GatewayRoute, Plan, Target

__all__ = ["LIMIT", "READY", "ROUTE", "entrance_script", "long_name", "model_script"]

# What one script tells the next. Where a script fails they are not there, and no route matches.
ROUTE, LIMIT, READY = "x-calibrate-route", "x-calibrate-max-output-tokens", "x-calibrate-ready"
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")


def long_name(name: str) -> str:
    """Return what the chain for a route's long inputs is called."""
    return f"{name}::long"


def entrance_script(plan: Plan) -> str:
    """Return the script that finds a request's chain, its output limit and whether it is long."""
    rows = {route.name: _row(route.name, route) for route in plan.routes}
    default = "nil" if plan.default is None else _lua(plan.default.name)
    table = ",\n".join(f"  [{_lua(name)}] = {row}" for name, row in rows.items())
    return f"""{_json_reader()}
-- By the name that a client asks for: the chain, the output limit, and from how many bytes on
-- the input is taken to be longer than the chain's first model holds.
local routes = {{
{table},
}}
local default = {default}

function envoy_on_request(handle)
  -- Only these scripts say so: where one fails, a client's own words must not stand.
  for _, name in ipairs({{"{ROUTE}", "{LIMIT}", "{READY}"}}) do
    handle:headers():remove(name)
  end
  if not string.match(handle:headers():get(":path"), "^/v1/chat/completions%f[?%z]") then return end
  local body = handle:body()
  local found = body and members(body:getBytes(0, body:length()))
  local name = found and string.match(member(found, "model") or "", '^"([^"\\\\]*)"$')
  if not name then
    refuse(handle, 400, "the body must be a JSON object with a plain text `model`")
    return
  end
  local route = routes[name] or routes[default or ""]
  if not route then
    refuse(handle, 404, "no route has the name that `model` asks for")
    return
  end
  local chain = route.chain
  if route.long_bytes and body:length() > route.long_bytes then chain = route.long_chain end
  handle:headers():replace("{ROUTE}", chain)
  handle:headers():replace("{LIMIT}", tostring(route.max_output_tokens))
end
"""


def _row(name: str, route: GatewayRoute) -> str:
    fields = {"chain": _lua(name), "max_output_tokens": str(route.limits.max_output_tokens)}
    if route.long is not None and route.max_input_tokens is not None:
        fields["long_chain"] = _lua(long_name(name))
        fields["long_bytes"] = str(4 * route.max_input_tokens)
    return "{" + ", ".join(f"{key} = {value}" for key, value in fields.items()) + "}"


def model_script(target: Target) -> str:
    """Return the script that writes a request anew for one model, within the output limit."""
    parameters = {
        key: value
        for key, value in target.model.parameters.items()
        if key not in ("model", "messages", "stream", *_LIMIT_NAMES)
    }
    # OpenAI's own newer models refuse `max_tokens`; other servers may not know its successor.
    is_openai = urlsplit(target.base_url).hostname == "api.openai.com"
    limit = "max_completion_tokens" if is_openai else "max_tokens"
    ours = {"model": target.model.name, **parameters}
    fixed = json.dumps(ours, separators=(",", ":"))[1:-1]
    replaced = ", ".join(f"[{_lua(key)}] = true" for key in (*ours, *_LIMIT_NAMES))
    return f"""{_json_reader()}
local fixed = {_lua(fixed)}
local replaced = {{{replaced}}}

function envoy_on_request(handle)
  local body = handle:body()
  local found = body and members(body:getBytes(0, body:length()))
  if not found then
    refuse(handle, 400, "the body must be a JSON object")
    return
  end
  local limit = tonumber(handle:headers():get("{LIMIT}"))
  for _, name in ipairs({{"max_tokens", "max_completion_tokens"}}) do
    local asked = tonumber(member(found, name))
    if asked and asked >= 1 and asked < limit then limit = math.floor(asked) end
  end
  local parts = {{fixed, '"{limit}":' .. string.format("%d", limit)}}
  for _, pair in ipairs(found) do
    if not replaced[pair[1]] then parts[#parts + 1] = '"' .. pair[1] .. '":' .. pair[2] end
  end
  local written = "{{" .. table.concat(parts, ",") .. "}}"
  body:setBytes(written)
  handle:headers():replace("content-length", tostring(#written))
  handle:headers():replace("{READY}", {_lua(target.name)})
end
"""


def _json_reader() -> str:
    return files("calibrate.exporters").joinpath("envoy.lua").read_text("utf-8")


def _lua(text: str) -> str:
    """Return a Lua string; whatever the text holds, nothing of it can end the string."""

    def escaped(found: re.Match[bytes]) -> bytes:
        return b"\\%03d" % found[0][0]

    plain = re.sub(rb"""[^ !#-&(-\[\]-~]""", escaped, text.encode())
    return f"'{plain.decode()}'"
