-- The hours in which a server drew the day's key anew, because it started: visitors without an identifier who came
-- before and after count twice.
--
-- columns     hour DateTime('UTC')
-- parameters  site String, from and to DateTime: from <= hour < to
SELECT DISTINCT hour
FROM counters
WHERE site = {site:String}
    AND kind = 'key_drawn'
    AND hour >= {from:DateTime('UTC')}
    AND hour < {to:DateTime('UTC')}
ORDER BY hour
SETTINGS max_execution_time = 20
