-- The sessions with an event that satisfies /*conditions*/, within a day's reach of the period.
--
-- columns     session_id
-- parameters  those of visits.sql; v0, v1, … values of filters
SELECT session_id
FROM events
WHERE site = {site:String}
    AND test = {test:Bool}
    AND ts >= {from:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
    AND ts < {to:DateTime64(3, 'UTC')} + INTERVAL 1 DAY
    AND name NOT IN ('engagement', 'scroll', 'web_vital')
    /*conditions*/
