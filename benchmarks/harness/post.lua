-- Posts one body over and over and prints what wrk found as one line of JSON.
wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"

if os.getenv("BENCH_UNIQUE_IDS") then
  -- As behind a gateway that names each request: no two heads are the same.
  local count = 0
  function request()
    count = count + 1
    wrk.headers["x-request-id"] = string.format("6f9619ff-8b86-4d01-b42d-%012x", count)
    return wrk.format()
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'BENCH {"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "errors": ' ..
    '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
