-- What was counted about consent: numbers of things that happened, no trace of who did them.
--
-- columns     kind, key (a method, purpose or reason), n UInt64
-- parameters  site String, from and to DateTime: from <= hour < to
SELECT
    kind,
    key,
    sum(n) AS n
FROM counters
WHERE site = {site:String}
    AND hour >= {from:DateTime('UTC')}
    AND hour < {to:DateTime('UTC')}
GROUP BY kind, key
ORDER BY kind, n DESC, key
SETTINGS max_execution_time = 20
