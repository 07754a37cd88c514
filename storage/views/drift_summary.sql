-- One row per batch and column: of its methods, the one that measured most rows.
SELECT
    b.batch_id,
    b.batch_date,
    b.file_name,
    b.contract,
    s.model_version_id AS model_version,
    ranked.column_name,
    ranked.statistic,
    ranked.method,
    ranked.threshold,
    ranked.is_drifted,
    ranked.rows_reference,
    ranked.rows_current,
    -- All methods, of which drift_statistic has each.
    ranked.methods,
    ranked.methods_drifted
FROM (
    SELECT
        d.*,
        row_number() OVER (
            PARTITION BY d.scoring_id, d.column_name ORDER BY d.rows_current DESC, d.method DESC
        ) AS place,
        count(*) OVER (PARTITION BY d.scoring_id, d.column_name) AS methods,
        sum(CASE WHEN d.is_drifted THEN 1 ELSE 0 END) OVER (
            PARTITION BY d.scoring_id, d.column_name
        ) AS methods_drifted
    FROM drift_statistic AS d
) AS ranked
INNER JOIN scoring AS s ON ranked.scoring_id = s.scoring_id
INNER JOIN batch AS b ON s.batch_id = b.batch_id
WHERE ranked.place = 1 AND s.purpose = 'live'
