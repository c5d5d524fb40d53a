-- How the visits to each page fared: the largest values that a visit told of a page, and over them the 75th percentile
-- of the vitals (as https://web.dev/articles/vitals has it; between two visits it is interpolated), and the mean of the depth.
--
-- columns     path; visits UInt64 with a vital; ttfb, lcp, inp (ms) and cls Float64, not a number where nobody told;
--             readers UInt64, visits with a depth; depth Float64 and whole Float64, the mean and the share with 90 or more, in per cent
-- parameters  site String, test Bool, from and to DateTime64(3, 'UTC'): from <= time < to; limit UInt64; v0, v1, … values of filters
SELECT
    path,
    countIf(vital) AS visits,
    quantileExactInclusiveIf(0.75)(toFloat64OrZero(first_byte), first_byte != '') AS ttfb,
    quantileExactInclusiveIf(0.75)(toFloat64OrZero(paint), paint != '') AS lcp,
    quantileExactInclusiveIf(0.75)(toFloat64OrZero(answer), answer != '') AS inp,
    quantileExactInclusiveIf(0.75)(toFloat64OrZero(shift), shift != '') AS cls,
    countIf(deepest > 0) AS readers,
    avgIf(deepest, deepest > 0) AS depth,
    100 * countIf(deepest >= 90) / countIf(deepest > 0) AS whole
FROM (
    SELECT
        path,
        countIf(name = 'web_vital') > 0 AS vital,
        argMax(props['TTFB'], toFloat64OrZero(props['TTFB'])) AS first_byte,
        argMax(props['LCP'], toFloat64OrZero(props['LCP'])) AS paint,
        argMax(props['INP'], toFloat64OrZero(props['INP'])) AS answer,
        argMaxIf(props['CLS'], toFloat64OrZero(props['CLS']), props['CLS'] != '') AS shift,
        max(toFloat64OrZero(props['percent_scrolled'])) AS deepest
    FROM events
    WHERE site = {site:String}
        AND test = {test:Bool}
        AND ts >= {from:DateTime64(3, 'UTC')}
        AND ts < {to:DateTime64(3, 'UTC')}
        AND name IN ('scroll', 'web_vital')
        /*conditions*/
    GROUP BY session_id, path
)
GROUP BY path
ORDER BY greatest(visits, readers) DESC, path
LIMIT {limit:UInt64}
SETTINGS max_execution_time = 20
