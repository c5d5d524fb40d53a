-- Visitors who look at pages, one or several events a request, for wrk:
--
--   wrk -t2 -c64 -d10s --latency -s load.lua URL -- TOKEN EVENTS RUN [OTHER EVERY]
--
-- One visitor in EVERY has the token OTHER.
-- 50,000 visitors, of six browsers, each thread with addresses of its own; of
-- 1,000 pages the first are the most frequent. RUN is part of every event's id,
-- so that none is sent twice. The last line of the output is what came of it.

local agents = {
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
}
local referrers = { "https://www.google.com/", "https://news.ycombinator.com/item?id=1", "", "https://t.co/abc", "https://www.reddit.com/r/golang", "https://duckduckgo.com/" }
local event = '{"id":"%s-%d-%d-%d","name":"pageview","url":"https://example.com/page/%d","title":"A page","referrer":"%s","ts":%d,"visitor":"v%d","session":"%d.s%d","screen":[1440,900],"props":{"plan":"pro","variant":"b"}}'

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  token, events, run, sent = args[1], tonumber(args[2]), args[3], 0
  other, every = args[4] or token, tonumber(args[5] or 1)
  math.randomseed(os.time() * 7 + number * 104729)
end

function request()
  sent = sent + 1
  local now, visitor = os.time(), math.random(1, 50000)
  local all = {}
  for i = 1, events do
    all[i] = string.format(event, run, number, sent, i, math.floor(math.random() ^ 3 * 1000), referrers[math.random(1, 6)],
      now * 1000, visitor, now - 60, visitor)
  end
  local body = '{"site":"example.com","token":"' .. (visitor % every == 0 and other or token) .. '","sent":' .. now .. '000,"events":[' .. table.concat(all, ",") .. "]}"
  return wrk.format("POST", nil, {
    ["Host"] = "example.com",
    ["Origin"] = "https://example.com",
    ["Content-Type"] = "application/json",
    ["User-Agent"] = agents[visitor % 6 + 1],
    ["X-Forwarded-For"] = string.format("81.%d.%d.%d", visitor % 200 + 10, math.floor(visitor / 200) % 250, number + 1),
  }, body)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("requests=%d seconds=%.3f p50=%.3fms p99=%.3fms failed=%d\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.status + e.connect + e.read + e.write + e.timeout))
end
