-- Figures over events within the period. /*join*/ brings in the visit where a dimension is one of visits.
--
-- columns     d0, d1, … the dimensions, String; m0, m1, … the metrics, Float64
-- parameters  site String, test Bool, from and to DateTime64(3, 'UTC'): from <= time < to; v0, v1, … values of filters
SELECT
    /*columns*/
FROM events
/*join*/
WHERE site = {site:String}
    AND test = {test:Bool}
    AND ts >= {from:DateTime64(3, 'UTC')}
    AND ts < {to:DateTime64(3, 'UTC')}
    AND name NOT IN ('engagement', 'scroll', 'web_vital')
    /*conditions*/
/*grouping*/
