-- Figures over visits. The metrics and dimensions asked for stand in for /*columns*/, and so on (plan.go).
--
-- columns     d0, d1, … the dimensions, String; m0, m1, … the metrics, Float64
-- parameters  those of visits.sql, which stands in for /*visits*/; v0, v1, … values of filters
SELECT
    /*columns*/
FROM (
    /*visits*/
)
WHERE true
    /*conditions*/
/*grouping*/
