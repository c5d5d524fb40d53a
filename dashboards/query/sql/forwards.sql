-- How the way of events to other recipients ended. FINAL, because an outcome may be written twice after a crash.
--
-- columns     destination, state (acknowledged, cancelled, dead), reason, n UInt64
-- parameters  site String, from and to DateTime64(3, 'UTC'): from <= time of the outcome < to
SELECT
    destination,
    state,
    reason,
    count() AS n
FROM forwards FINAL
WHERE site = {site:String}
    AND ts >= {from:DateTime64(3, 'UTC')}
    AND ts < {to:DateTime64(3, 'UTC')}
GROUP BY destination, state, reason
ORDER BY destination, state, n DESC, reason
SETTINGS max_execution_time = 20
