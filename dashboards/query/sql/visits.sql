-- One row for each visit with an event in the period, whole: reaching a day beyond it on both sides.
-- Every other query takes visits from here; /*attributes*/ are the dimensions that it needs (dimension.go), /*only*/
-- limits it to the sessions that count.
--
-- columns     session_id
--             visitor     key of the visitor
--             start       time of the first event, UTC
--             finish      time of the last event, UTC
--             begun       whether start lies in the period
--             views       pageviews of the whole visit
--             actions     interactive events of the whole visit, pageviews among them
--             seen        interactive events in the period
--             seen_views  pageviews in the period
-- parameters  site String, test Bool, from and to DateTime64(3, 'UTC'): from <= time < to
-- place       puts a visit's events in order: milliseconds, then the order of arrival within one of them
WITH bitShiftLeft(toUInt64(toUnixTimestamp64Milli(ts)), 22) + seq % 4194304 AS place
SELECT
    session_id,
    min(visitor_id) AS visitor,
    min(ts) AS start,
    max(ts) AS finish,
    start >= {from:DateTime64(3, 'UTC')} AND start < {to:DateTime64(3, 'UTC')} AS begun,
    countIf(name = 'pageview') AS views,
    count() AS actions,
    countIf(ts >= {from:DateTime64(3, 'UTC')} AND ts < {to:DateTime64(3, 'UTC')}) AS seen,
    countIf(name = 'pageview' AND ts >= {from:DateTime64(3, 'UTC')} AND ts < {to:DateTime64(3, 'UTC')}) AS seen_views
    /*attributes*/
FROM events
WHERE site = {site:String}
    AND test = {test:Bool}
    AND ts >= {from:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
    AND ts < {to:DateTime64(3, 'UTC')} + INTERVAL 1 DAY
    AND name != 'engagement'
    /*only*/
GROUP BY session_id
HAVING seen > 0
