-- The values of several dimensions, each among the events of one name, most first: a panel each, in one pass.
-- by_event.sql stands in for /*rows*/.
--
-- columns     d0 the event's name, d1 the value; m0, m1, …; total_rows UInt64, of all values of the name
-- parameters  those of /*rows*/; limit UInt64, of each name
SELECT
    d0,
    d1,
    /*columns*/,
    count() OVER (PARTITION BY d0) AS total_rows
FROM (
    /*rows*/
)
ORDER BY d0, m0 DESC, d1
LIMIT {limit:UInt64} BY d0
SETTINGS max_execution_time = 20
