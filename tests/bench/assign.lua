-- The filter's job as one would write it in Lua: a sticky version by a hash of a cookie, shown to the caller, and
-- an id for whoever has none. Rules, cohorts, counts and everything else that the filter can do are left out.
local bit = require("bit")
local SALT = "shop/shop/1"
local WEIGHT = 0.1

-- Jenkins's one-at-a-time hash, scaled to [0, 1): LuaJIT has no 64-bit arithmetic that would be quick.
local function point(id)
  local text = SALT .. "\0" .. id
  local hash = 0
  for i = 1, #text do
    hash = bit.tobit(hash + text:byte(i))
    hash = bit.tobit(hash + bit.lshift(hash, 10))
    hash = bit.bxor(hash, bit.rshift(hash, 6))
  end
  hash = bit.tobit(hash + bit.lshift(hash, 3))
  hash = bit.bxor(hash, bit.rshift(hash, 11))
  hash = bit.tobit(hash + bit.lshift(hash, 15))
  return (hash % 4294967296) / 4294967296
end

local function new_id()
  local function part() return math.random(0, 65535) end
  return string.format("%04x%04x%04x%04x%04x%04x%04x%04x",
    part(), part(), part(), part(), part(), part(), part(), part())
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local cookies = headers:get("cookie")
  local id = cookies and (";" .. cookies):match(";%s*serin=([^;]+)")
  local metadata = handle:streamInfo():dynamicMetadata()
  if not id then
    local mode = headers:get("sec-fetch-mode")
    if not mode or mode == "navigate" then
      id = new_id()
      metadata:set("serin", "issue", id)
    end
  end
  local version = id and point(id) < WEIGHT and "canary" or "stable"
  headers:replace("x-serin-version", version)
  metadata:set("serin", "version", version)
end

function envoy_on_response(handle)
  local ours = handle:streamInfo():dynamicMetadata():get("serin")
  if not ours then return end
  local headers = handle:headers()
  headers:replace("x-served-by", ours["version"])
  if ours["issue"] then
    local control = headers:get("cache-control")
    if headers:get("expires") or (control and control:find("public", 1, true)) then return end
    if not control then headers:add("cache-control", "private") end
    headers:add("set-cookie",
      "serin=" .. ours["issue"] .. "; Max-Age=604800; Path=/; SameSite=Lax; HttpOnly")
  end
end
