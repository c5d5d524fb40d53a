-- One page of an answer, in order. Figures over events and over visits that are asked for together stand in for
-- /*rows*/ joined by UNION ALL, each with zeros for the other's metrics.
--
-- columns     d0, d1, …, m0, m1, …; total_rows UInt64, of all pages
-- parameters  those of /*rows*/; limit, offset UInt64
SELECT
    /*columns*/,
    count() OVER () AS total_rows
FROM (
    /*rows*/
)
/*grouping*/
ORDER BY /*order*/
LIMIT {limit:UInt64} OFFSET {offset:UInt64}
SETTINGS max_execution_time = 20
