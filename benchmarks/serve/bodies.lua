-- Sends the lines of a file, one after the other, each as the body of a POST; tells one JSON object at the end.
--   wrk -s bodies.lua URL -- FILE
local bodies, next_one, refused = {}, 0, 0
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  for line in io.lines(args[1]) do
    table.insert(bodies, line)
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  if args[2] then
    wrk.headers["Authorization"] = "Bearer " .. args[2]
  end
  seen_refused = 0
end

function request()
  next_one = next_one % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next_one])
end

function response(status)
  if status ~= 200 then
    seen_refused = seen_refused + 1
  end
end

function done(summary, latency)
  for _, thread in ipairs(threads) do
    refused = refused + thread:get("seen_refused")
  end
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "failed": %d, "p50_ms": %.3f, "p95_ms": %.3f}\n',
    summary.requests - refused, summary.duration / 1e6, refused + lost,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3))
end
