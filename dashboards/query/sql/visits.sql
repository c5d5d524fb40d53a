-- One row for each visit with an event in the period, whole: reaching a day beyond it on both sides.
-- Every other query takes visits from here; /*attributes*/ are the dimensions that it needs (dimension.go), /*only*/
-- limits it to the sessions that count, and /*pings*/ stands for nothing where engagement is not asked about.
--
-- columns     session_id
--             visitor     key of the visitor
--             start       time of the first event, UTC
--             finish      time of the last event, UTC
--             begun       whether start lies in the period
--             views       pageviews of the whole visit
--             actions     interactive events of the whole visit, pageviews among them
--             engaged     milliseconds for which its pages were in view; 0 without /*pings*/
--             seen        events in the period
--             seen_views  pageviews in the period
-- parameters  site String, test Bool, from and to DateTime64(3, 'UTC'): from <= time < to
-- at          a time in milliseconds: comparing whole numbers takes half as long as comparing DateTime64, which the
--             index is asked with all the same (indexHint)
-- ping        says how long a page was in view: no event, so it is behind all others and has no time
-- place       puts a visit's events in order: milliseconds, then the order of arrival within one of them
WITH
    toUnixTimestamp64Milli({from:DateTime64(3, 'UTC')}) AS opens,
    toUnixTimestamp64Milli({to:DateTime64(3, 'UTC')}) AS closes,
    toUnixTimestamp64Milli(ts) AS at,
    at >= opens AND at < closes AS within,
    name = 'engagement' AS ping,
    if(ping, toUInt64(-1), bitShiftLeft(toUInt64(at), 22) + seq % 4194304) AS place
SELECT
    session_id,
    min(visitor_id) AS visitor,
    minIf(at, NOT ping) AS started,
    fromUnixTimestamp64Milli(started, 'UTC') AS start,
    fromUnixTimestamp64Milli(maxIf(at, NOT ping), 'UTC') AS finish,
    started >= opens AND started < closes AS begun,
    countIf(name = 'pageview') AS views,
    countIf(name NOT IN ('engagement', '404', 'search', 'error')) AS actions,
    sum(engagement_ms) AS engaged,
    countIf(within AND NOT ping) AS seen,
    countIf(within AND name = 'pageview') AS seen_views
    /*attributes*/
FROM events
WHERE site = {site:String}
    AND test = {test:Bool}
    AND indexHint(ts >= {from:DateTime64(3, 'UTC')} - INTERVAL 1 DAY AND ts < {to:DateTime64(3, 'UTC')} + INTERVAL 1 DAY)
    AND at >= opens - 86400000
    AND at < closes + 86400000
    AND name NOT IN ('scroll', 'web_vital'/*pings*/)
    /*only*/
GROUP BY session_id
HAVING seen > 0
