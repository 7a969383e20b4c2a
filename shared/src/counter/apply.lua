-- Applies commands in their order, and publishes the state that they make: nothing else
-- happens in Redis between the first line and the last.
--
-- KEYS: the counter (a hash); the ids of the commands applied (a sorted set, by version).
-- ARGV: the channel; a name for a new run; how many ids are remembered; the run and the
-- version that the caller knows; then the id and the action of each command. Without
-- commands it only publishes.
-- Returns the state after each command, then the newest: "run version value".

local counter, ids = KEYS[1], KEYS[2]
local channel, new_run, remembered = ARGV[1], ARGV[2], tonumber(ARGV[3])
local known_run, known_version = ARGV[4], tonumber(ARGV[5])

local run, version, value = unpack(redis.call('HMGET', counter, 'run', 'version', 'value'))
version, value = tonumber(version or 0), tonumber(value or 0)

-- A new run begins where there is none, or something else under its name; and when an older
-- copy of the data has come back: its versions will be given to other states now.
local named = run and #run == 16 and not run:find('[^0-9a-f]')
if not named or (run == known_run and version < known_version) then
  run = new_run
  redis.call('HSET', counter, 'run', run)
end

local function state()
  return string.format('%s %.0f %.0f', run, version, value)
end

local states = {}
for i = 6, #ARGV, 2 do
  local id, action = ARGV[i], ARGV[i + 1]
  if redis.call('ZADD', ids, 'NX', version + 1, id) == 1 then
    version = version + 1
    if action == 'reset' then
      value = 0
    elseif action == 'increment' then
      value = math.min(value + 1, 2147483647)
    else
      value = math.max(value - 1, -2147483648)
    end
  end
  states[#states + 1] = state()
end

redis.call('HSET', counter, 'version', version, 'value', value)
redis.call('ZREMRANGEBYRANK', ids, 0, -1 - remembered)
redis.call('PUBLISH', channel, state())
states[#states + 1] = state()
return states
