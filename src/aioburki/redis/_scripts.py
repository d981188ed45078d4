"""Scripts: what the server computes, in Lua, so that each grant takes one round trip.

One hash for each limiter's name holds all that the processes share. Times are microseconds of the
server's clock.

**Schedule** (GCRA): `next` is when the next request may be sent. A grant takes this moment, or the
present one if it is later, and adds one interval. A grant that comes at most `SLACK` late takes
`next` all the same, so that late wake-ups cost no throughput; time in which nothing is asked for is
saved up for *burst* requests at most.

**Pause**: no moment before `paused` is granted, and a grant before it is no longer valid.

**Rate**: the lowest that a process has asked for within the last minute. After a 429 less is
allowed, by the rules of `RateEstimator`, which `_throttle/rate_estimator.py` explains, with the
same constants: between two 429s the server's token bucket went from empty to empty, so what passed
between them (`passed`), divided by the time since the first (`since`), is its limit (`found`).
Below and above it the rate is swept by `doubt`, a share, and grows by the square if no 429 comes.
429s of requests that were sent within `MIN_SPAN` are one signal, and a row of 429s with nothing
passed between measures nothing. The rate never exceeds what was asked for.
"""

from __future__ import annotations

_COMMON = """
local MINUTE, FORGET, MIN_SPAN, SLACK, MAX_CAUGHT_UP = 60e6, 600e6, 250e3, 50e3, 200e3
local CUT, MAX_DOUBT, MIN_DOUBT, COUNTING_ERROR, OVERSHOOT = 0.8, 0.2, 0.02, 2, 1.1
local MAX_SWEEP, BURST, GROWTH, MIN_MEASURED, MIN_RATE = 500, 5, 8, 3, 1 / 60

local key, asked = KEYS[1], tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1e6 + tonumber(clock[2])
local names = {'next', 'paused', 'rate', 'rate_at', 'found', 'doubt', 'since', 'passed', 'still'}
local state = {}
for place, value in ipairs(redis.call('HMGET', key, unpack(names))) do
  state[names[place]] = tonumber(value or 0)
end
state.passed = state.passed + tonumber(ARGV[2])
if state.rate == 0 or asked <= state.rate or now - state.rate_at > MINUTE then
  state.rate, state.rate_at = asked, now
end

local function allowed()
  if state.found == 0 then return state.rate end
  local swept = state.passed / math.min(MAX_SWEEP, 2 * BURST / state.doubt)
  local beyond = math.max(0, swept - 1)
  local offset = 2 * swept - 1 + GROWTH * beyond * beyond
  return math.min(state.rate, state.found * (1 + state.doubt * offset))
end

local function save()
  local fields = {}
  for _, name in ipairs(names) do
    fields[#fields + 1] = name
    fields[#fields + 1] = string.format('%.17g', state[name])
  end
  redis.call('HSET', key, unpack(fields))
  local busy = math.max(0, state.next - now, state.paused - now)
  redis.call('PEXPIRE', key, string.format('%.0f', (busy + FORGET) / 1000))
end
"""

# ARGV: rate, passed, burst, moment of an earlier grant or 0.
RESERVE = (
    _COMMON
    + """
local earlier, interval = tonumber(ARGV[4]), 1e6 / allowed()
local moment = earlier
if earlier == 0 or earlier < state.paused then
  local late = now - state.next
  moment = state.next
  if late > SLACK or (late > 0 and interval > MAX_CAUGHT_UP) then
    moment = math.max(state.next, now - (tonumber(ARGV[3]) - 1) * interval)
    local is_idle = state.next > 0 and late > math.max(1e6, 2 * interval)
    if is_idle then state.still = state.still + late end
  end
  state.next = moment + interval
end
save()
return {
  string.format('%.0f', moment),
  string.format('%.0f', math.max(0, moment - now)),
  string.format('%.17g', state.rate),
  state.paused > now and 1 or 0,
  allowed() < state.rate and 1 or 0,
  string.format('%.17g', allowed())
}
"""
)

# ARGV: rate, passed, microseconds since the refused request was sent or -1, microseconds of pause.
REFUSE = (
    _COMMON
    + """
local age, pause = tonumber(ARGV[3]), tonumber(ARGV[4])

local function bounded(doubt)
  return math.max(MIN_DOUBT, math.min(MAX_DOUBT, doubt))
end

-- Returns the limit that a span ends with, and its doubt. If the rate was too low at first, tokens
-- may have overflowed, so that the limit is between what passed and the rate at the end.
local function measured(passed, span)
  local rate, limit = allowed(), passed / span * 1e6
  local saved = passed * (1 - state.found * (1 - state.doubt) / limit) / 2
  if saved > BURST and rate > OVERSHOOT * state.found * (1 + state.doubt) then
    return (limit + rate) / 2, bounded((rate - limit) / (rate + limit))
  end
  if state.still > span / 10 then return limit, MAX_DOUBT end
  return limit, bounded(COUNTING_ERROR / passed)
end

local function lower(sent)
  local span, passed, first = sent - state.since, state.passed, state.since == 0
  if not first and (span < MIN_SPAN or passed == 0) then return end
  if first or state.still > span / 2 or passed < MIN_MEASURED then
    local proven = first and 0 or passed / span * 1e6
    state.found, state.doubt = math.max(CUT * allowed(), proven), MAX_DOUBT
  else
    state.found, state.doubt = measured(passed, span)
  end
  state.found = math.max(math.min(state.found, state.rate), math.min(state.rate, MIN_RATE))
  state.since, state.passed, state.still = sent, 0, 0
end

if age >= 0 then lower(now - age) end
if now + pause > state.paused and pause > 0 then
  state.still = state.still + now + pause - math.max(now, state.paused)
  state.paused = now + pause
  state.next = math.max(state.next, state.paused)
end
save()
return 1
"""
)
