-- What other tools counted, by day. Nothing here is mixed with figures of events. An import that is not complete
-- does not count yet.
--
-- columns     day String, tool, visitors, visits, pageviews UInt64
-- parameters  site String, from and to Date, both included
SELECT
    toString(date) AS day,
    tool,
    sum(visitors) AS visitors,
    sum(visits) AS visits,
    sum(pageviews) AS pageviews
FROM imported
WHERE site = {site:String}
    AND dimension = ''
    AND date BETWEEN {from:Date} AND {to:Date}
    AND spool_id IN (SELECT spool_id FROM imports FINAL WHERE site = {site:String} AND state = 'complete')
GROUP BY date, tool
ORDER BY date, tool
SETTINGS max_execution_time = 20
