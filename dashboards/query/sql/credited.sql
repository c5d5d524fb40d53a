-- Visits with the source that gets the credit: that of the visitor's last visit within 90 days, this one included,
-- that came from somewhere; of a visitor who never did, the visit's own. GA4 calls it last non-direct click; 90 days
-- is its default for what it counts as a conversion.
--
-- columns     those of visits.sql, which stands in for /*visits*/, and /*columns*/ out of came
--             came    source, channel, referrer, utm_source, utm_medium, utm_campaign, utm_term, utm_content
-- parameters  site String, test Bool, from and to DateTime64(3, 'UTC'): from <= time < to
SELECT
    visit.*
    /*columns*/
FROM (
    /*visits*/
) AS visit
INNER JOIN (
    SELECT
        session_id,
        if(countIf(known) OVER reach > 0, argMaxIf(own, second, known) OVER reach, own) AS came
    FROM (
        WITH bitShiftLeft(toUInt64(toUnixTimestamp64Milli(ts)), 22) + seq % 4194304 AS place
        SELECT
            session_id,
            min(visitor_id) AS who,
            toInt64(toUnixTimestamp(min(ts))) AS second,
            argMin((source, channel, referrer, utm_source, utm_medium, utm_campaign, utm_term, utm_content), place) AS own,
            own.1 != '' OR own.2 NOT IN ('', 'Direct') AS known
        FROM events
        WHERE site = {site:String}
            AND test = {test:Bool}
            AND ts >= {from:DateTime64(3, 'UTC')} - INTERVAL 91 DAY
            AND ts < {to:DateTime64(3, 'UTC')} + INTERVAL 1 DAY
            AND name NOT IN ('engagement', 'scroll', 'web_vital')
        GROUP BY session_id
    )
    WINDOW reach AS (PARTITION BY who ORDER BY second RANGE BETWEEN 7776000 PRECEDING AND CURRENT ROW)
) AS credit ON visit.session_id = credit.session_id
