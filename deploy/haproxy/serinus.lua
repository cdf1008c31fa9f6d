-- Which version answers a request, by the bucket rule of Serinus (docs/splitting.md), inside HAProxy.
--
--   global
--     lua-load-per-thread /etc/haproxy/serinus.lua
--   frontend
--     http-request set-var(txn.serinus_route) str(route),map_str(/etc/haproxy/serinus-chat.map)
--     http-request set-var(txn.serinus_unit) req.fhdr(x-user-id)
--     http-request set-var(txn.serinus_segment) req.fhdr(x-segment)
--     http-request lua.serinus
--     use_backend chat_%[var(txn.serinus_version)]
--
-- reads the three variables and sets txn.serinus_version, and txn.serinus_epoch and txn.serinus_bucket while a route is in
-- force. `serinus route haproxy` writes the map. Without a value that it understands it sets nothing: the default backend answers.

local BUCKETS = 1000000
local KEPT = 16 -- values that were read lately

local function rotated(x, by)
  return ((x << by) | (x >> (32 - by))) & 0xffffffff
end

-- Appleby (2011), MurmurHash3_x86_32 with seed 0, unsigned.
local function murmur3(text)
  local hash, length = 0, #text
  local tail = length & 3
  local function mixed(block)
    return (rotated((block * 0xcc9e2d51) & 0xffffffff, 15) * 0x1b873593) & 0xffffffff
  end
  for at = 1, length - tail, 4 do
    hash = rotated(hash ~ mixed(string.unpack("<I4", text, at)), 13)
    hash = (hash * 5 + 0xe6546b64) & 0xffffffff
  end
  if tail > 0 then
    hash = hash ~ mixed(string.unpack("<I" .. tail, text, length - tail + 1))
  end
  hash = hash ~ length
  hash = ((hash ~ (hash >> 16)) * 0x85ebca6b) & 0xffffffff
  hash = ((hash ~ (hash >> 13)) * 0xc2b2ae35) & 0xffffffff
  return hash ~ (hash >> 16)
end

local function bucket_of(salt, unit)
  return (murmur3(salt .. ":" .. unit) * BUCKETS) >> 32
end

local function decoded(name)
  return (name:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- The value as a table, nil for one of another format.
local function parsed(value)
  local epoch, until_ms, lease_ms, fallback, salt, splits, segments =
    value:match("^1/(%d*)/(%d+)/(%d+)/([^/]+)/([^/]*)/([^/]+)/([^/]*)$")
  if not epoch then
    return nil
  end
  local route = {
    epoch = tonumber(epoch),
    until_ms = tonumber(until_ms),
    lease_ms = tonumber(lease_ms),
    fallback = decoded(fallback),
    salt = decoded(salt),
    splits = {},
    by_segment = {},
  }
  for split in splits:gmatch("[^|]+") do
    local ranges = {}
    for bound, version in split:gmatch("(%d+):([^,]+)") do
      ranges[#ranges + 1] = { bound = tonumber(bound), version = decoded(version) }
    end
    route.splits[#route.splits + 1] = ranges
  end
  for segment, number in segments:gmatch("([^:,]*):(%d+)") do
    route.by_segment[decoded(segment)] = route.splits[tonumber(number)]
  end
  return route
end

local function version_of(route, segment, bucket)
  for _, range in ipairs(route.by_segment[segment] or route.splits[1]) do
    if bucket < range.bound then
      return range.version
    end
  end
  return route.fallback
end

if not core then -- not in HAProxy: a test
  return { bucket_of = bucket_of, parsed = parsed, version_of = version_of }
end

local seen, seen_count = {}, 0

-- Parsed once for each value and thread. When a thread first saw it bounds the lease too: a wall clock that is set back
-- must not prolong it.
local function read(value, monotonic_ms)
  local route = seen[value]
  if route == nil then
    route = parsed(value) or false
    if seen_count >= KEPT then
      seen, seen_count = {}, 0
    end
    seen[value], seen_count = route, seen_count + 1
    if route then
      route.last_ms = monotonic_ms + route.lease_ms
    end
  end
  return route
end

core.register_action("serinus", { "http-req" }, function(txn)
  local value = txn:get_var("txn.serinus_route")
  if not value then
    return
  end
  local now = core.now() -- HAProxy's own, which never goes back
  local monotonic_ms = now.sec * 1000 + now.usec // 1000
  local route = read(value, monotonic_ms)
  if not route then
    return
  end
  if not route.epoch or txn.f:date(0, "ms") >= route.until_ms or monotonic_ms >= route.last_ms then
    txn:set_var("txn.serinus_version", route.fallback)
    return
  end
  local unit = txn:get_var("txn.serinus_unit")
  local bucket = (unit and unit ~= "") and bucket_of(route.salt, unit) or txn.f:rand(BUCKETS)
  txn:set_var("txn.serinus_version", version_of(route, txn:get_var("txn.serinus_segment") or "", bucket))
  txn:set_var("txn.serinus_epoch", tostring(route.epoch))
  txn:set_var("txn.serinus_bucket", tostring(bucket))
end)
