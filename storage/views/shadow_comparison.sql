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
    -- Rates of rows that a model was fitted on flatter it. A file is known there by the batch's id.
    replace(CAST(fitted_live.training -> 'sources' AS TEXT), b.batch_id, '')
    <> CAST(fitted_live.training -> 'sources' AS TEXT) AS is_model_fitted_on_it,
    replace(CAST(fitted_shadow.training -> 'sources' AS TEXT), b.batch_id, '')
    <> CAST(fitted_shadow.training -> 'sources' AS TEXT) AS is_shadow_fitted_on_it,
    -- By which the shadow's predictions are found; in its own they are not flagged connections.
    shadow.scoring_id AS shadow_scoring_id
FROM scoring_comparison AS c
INNER JOIN scoring AS shadow ON c.scoring_id = shadow.scoring_id
INNER JOIN scoring AS live ON c.live_scoring_id = live.scoring_id
INNER JOIN batch AS b ON shadow.batch_id = b.batch_id
INNER JOIN model_version AS fitted_live ON live.model_version_id = fitted_live.model_version_id
INNER JOIN model_version AS fitted_shadow
    ON shadow.model_version_id = fitted_shadow.model_version_id
