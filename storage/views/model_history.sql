-- One row per change of a contract's champion.
SELECT
    p.promotion_id,
    p.contract,
    p.model_version_id AS model_version,
    lag(p.model_version_id) OVER (
        PARTITION BY p.contract ORDER BY p.promotion_id
    ) AS previous_model_version,
    p.promoted_at AS live_from,
    -- Null for the champion of today.
    lead(p.promoted_at) OVER (PARTITION BY p.contract ORDER BY p.promotion_id) AS live_until,
    p.kind,
    p.promoted_by,
    p.reason
FROM promotion AS p
