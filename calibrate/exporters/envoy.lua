-- A body is read no further than its own members; what they hold is passed on as it came.
local function refuse(handle, status, message)
  handle:respond(
    {[":status"] = tostring(status), ["content-type"] = "application/json"},
    '{"error":{"message":"' .. message .. '","type":"invalid_request_error","code":null}}')
end

-- Return the end of the string whose opening quote is at `at`, or nil.
local function string_end(text, at)
  local from = at + 1
  while true do
    local found = string.find(text, '["\\]', from)
    if not found then return nil end
    if string.byte(text, found) == 34 then return found end
    from = found + 2
  end
end

-- Return the end of the value that starts at `at`, or nil.
local function value_end(text, at)
  local depth, from = 0, at
  while true do
    local found = string.find(text, '["%[%]{},]', from)
    if not found then return nil end
    local sign = string.sub(text, found, found)
    if sign == '"' then
      found = string_end(text, found)
      if not found then return nil end
    elseif sign == "[" or sign == "{" then
      depth = depth + 1
    elseif depth == 0 then
      return found - 1
    elseif sign ~= "," then
      depth = depth - 1
    end
    from = found + 1
  end
end

-- Return the members of a JSON object as {name, value} pairs of raw text, or nil.
local function members(text)
  local found, at = {}, string.match(text, "^%s*{%s*()")
  if not at then return nil end
  while string.sub(text, at, at) == '"' do
    local name_end = string_end(text, at)
    local from = name_end and string.match(text, "^%s*:%s*()", name_end + 1)
    local to = from and value_end(text, from)
    local name = to and string.sub(text, at + 1, name_end - 1)
    -- An escaped name could hide a second `model`.
    if not name or string.find(name, "\\", 1, true) then return nil end
    found[#found + 1] = {name, (string.gsub(string.sub(text, from, to), "%s+$", ""))}
    local comma = string.match(text, "^,%s*()", to + 1)
    if not comma then
      return string.find(text, "^}%s*$", to + 1) and found or nil
    end
    at = comma
  end
  return nil
end

local function member(found, name)
  for _, pair in ipairs(found) do
    if pair[1] == name then return pair[2] end
  end
  return nil
end
