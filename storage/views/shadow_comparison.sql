-- One row per batch and shadow: how its flags differ from the live ones.
SELECT
    b.batch_id,
    b.batch_date,
    b.file_name,
    b.contract,
    live.model_version_id AS model_version,
    shadow.model_version_id AS shadow_version,
    c.rows_compared,
    live.rows_flagged,
    shadow.rows_flagged AS rows_flagged_by_shadow,
    c.rows_flagged_by_both,
    c.rows_flagged_by_live AS rows_flagged_live_only,
    c.rows_flagged_by_shadow AS rows_flagged_shadow_only,
    c.rank_correlation,
    -- Of the rows that came with a label; null where none did.
    CAST(live.rows_flagged_normal AS DOUBLE PRECISION)
    / nullif(live.rows_labelled_normal, 0) AS false_positive_rate,
    CAST(shadow.rows_flagged_normal AS DOUBLE PRECISION)
    / nullif(shadow.rows_labelled_normal, 0) AS false_positive_rate_of_shadow,
    CAST(live.rows_flagged_attack AS DOUBLE PRECISION)
    / nullif(live.rows_labelled_attack, 0) AS recall,
    CAST(shadow.rows_flagged_attack AS DOUBLE PRECISION)
    / nullif(shadow.rows_labelled_attack, 0) AS recall_of_shadow,
    -- By which the shadow's predictions are found; in its own they are not flagged connections.
    shadow.scoring_id AS shadow_scoring_id
FROM scoring_comparison AS c
INNER JOIN scoring AS shadow ON c.scoring_id = shadow.scoring_id
INNER JOIN scoring AS live ON c.live_scoring_id = live.scoring_id
INNER JOIN batch AS b ON shadow.batch_id = b.batch_id
