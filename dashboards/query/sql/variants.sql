-- What visitors answered to each variant of the banner that was drawn for them, purpose by purpose.
-- Withdrawals, and what is changed later in the preferences, answer no banner that was drawn.
--
-- columns     variant, purpose, decisions UInt64, grants UInt64 (of them)
-- parameters  site String, from and to DateTime64(3, 'UTC'): from <= time of the decision < to
SELECT
    variant,
    purpose,
    count() AS decisions,
    countIf(granted) AS grants
FROM receipts
ARRAY JOIN
    mapKeys(purposes) AS purpose,
    mapValues(purposes) AS granted
WHERE site = {site:String}
    AND ts >= {from:DateTime64(3, 'UTC')}
    AND ts < {to:DateTime64(3, 'UTC')}
    AND variant != ''
    AND method IN ('accept_all', 'reject_all', 'custom')
GROUP BY variant, purpose
ORDER BY variant, purpose
SETTINGS max_execution_time = 20
