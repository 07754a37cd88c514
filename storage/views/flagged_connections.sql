-- One row per flagged connection of a live scoring.
SELECT
    substr({flagged_batch_id}, 1, 16) || '-' || f.row_number AS connection_id,
    {flagged_batch_id} AS batch_id,
    b.batch_date,
    b.contract,
    b.file_name,
    f.row_number,
    f.line_number,
    f.anomaly_score,
    s.threshold,
    s.operating_point,
    -- The reasons in order of weight; an empty array where the explanation's cap left it out.
    coalesce(
        (
            SELECT
                {json_array}(
                    {json_object}(
                        'feature', ranked.feature,
                        'observed', ranked.observed,
                        'expected', ranked.expected,
                        'contribution', ranked.contribution,
                        'model', ranked.model
                    )
                )
            FROM (
                SELECT r.feature, r.observed, r.expected, r.contribution, r.model
                FROM reason AS r
                WHERE r.scoring_id = f.scoring_id AND r.row_number = f.row_number
                ORDER BY r.rank
            ) AS ranked
        ),
        '[]'
    ) AS reasons,
    f.is_explained,
    -- The family of attack it looks like; null from a model that was taught none.
    f.attack_category,
    f.category_probability,
    f.attack_technique,
    f.record,
    s.model_version_id AS model_version
FROM flagged_connection AS f
INNER JOIN scoring AS s ON f.scoring_id = s.scoring_id
INNER JOIN batch AS b ON {flagged_batch_id} = b.batch_id
WHERE s.purpose = 'live'
