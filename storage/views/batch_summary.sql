-- One row per batch.
-- Both are made once, not for each batch.
WITH still_open AS MATERIALIZED (SELECT DISTINCT batch_id FROM open_rejections),

last_dismissal AS MATERIALIZED (
    SELECT
        d.batch_id,
        max(d.delivery_id) AS delivery_id
    FROM delivery AS d
    INNER JOIN dismissal AS y ON d.delivery_id = y.delivery_id
    GROUP BY d.batch_id
)

SELECT
    b.batch_id,
    b.batch_date,
    b.file_name,
    b.contract,
    b.status,
    b.rows_read,
    b.rows_scored,
    b.rows_quarantined,
    b.rows_rejected,
    b.rows_known,
    CASE b.status WHEN 'received' THEN NULL ELSE coalesce(s.rows_flagged, 0) END AS rows_flagged,
    s.model_version_id AS model_version,
    s.operating_point,
    s.threshold,
    s.target_flag_rate,
    s.flag_rate,
    -- Of the rows that came with a label; null where none did, or none of the kind.
    s.rows_labelled_normal,
    s.rows_labelled_attack,
    CAST(s.rows_flagged_normal AS DOUBLE PRECISION)
    / nullif(s.rows_labelled_normal, 0) AS false_positive_rate,
    CAST(s.rows_flagged_attack AS DOUBLE PRECISION) / nullif(s.rows_labelled_attack, 0) AS recall,
    b.rejection,
    b.received_at,
    b.started_at,
    b.finished_at,
    -- The batch that accounts for the known rows, and of a replay the batch it corrects.
    b.known_batch_id,
    b.replayed_batch_id,
    -- Whether it was rejected and somebody has to see to it; and the latest word of who did.
    o.batch_id IS NOT NULL AS is_open,
    x.dismissed_at,
    x.dismissed_by,
    x.reason AS dismissal_reason
FROM batch AS b
LEFT JOIN scoring AS s ON b.batch_id = s.batch_id AND s.purpose = 'live'
LEFT JOIN still_open AS o ON b.batch_id = o.batch_id
LEFT JOIN last_dismissal AS last ON b.batch_id = last.batch_id
LEFT JOIN dismissal AS x ON last.delivery_id = x.delivery_id
