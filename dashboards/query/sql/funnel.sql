-- How far the visits that begin in the period get in a funnel: through its steps in order, whatever lies between two.
--
-- columns     level UInt8, the last step that was taken, from 1; visits UInt64
-- parameters  those of visits.sql, which stands in for /*visits*/; v0, v1, … values of /*steps*/ and /*conditions*/
-- place       puts a visit's events in order: milliseconds, then the order of arrival within one of them
WITH bitShiftLeft(toUInt64(toUnixTimestamp64Milli(ts)), 22) + seq % 4194304 AS place
SELECT
    level,
    count() AS visits
FROM (
    SELECT
        session_id,
        windowFunnel(9223372036854775807)(place, /*steps*/) AS level
    FROM events
    WHERE site = {site:String}
        AND test = {test:Bool}
        AND ts >= {from:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        AND ts < {to:DateTime64(3, 'UTC')} + INTERVAL 1 DAY
        AND name NOT IN ('engagement', 'scroll', 'web_vital')
        AND session_id IN (
            SELECT session_id
            FROM (
                /*visits*/
            )
            WHERE begun /*conditions*/
        )
    GROUP BY session_id
)
WHERE level > 0
GROUP BY level
ORDER BY level
SETTINGS max_execution_time = 20
