-- When a site's statistics begin.
--
-- columns     first DateTime64(3, 'UTC'), 1970 where there is none
-- parameters  site String, test Bool
SELECT min(ts) AS first
FROM events
WHERE site = {site:String}
    AND test = {test:Bool}
    AND name NOT IN ('engagement', 'scroll', 'web_vital')
SETTINGS max_execution_time = 20
