-- One row per quarantined row.
SELECT
    q.batch_id,
    b.batch_date,
    b.file_name,
    b.contract,
    q.row_number,
    q.line_number,
    q.stage,
    q.reasons,
    q.raw_text,
    -- The replay in which it was scored after all; null while it is open.
    c.batch_id AS corrected_by
FROM quarantined_row AS q
INNER JOIN batch AS b ON q.batch_id = b.batch_id
LEFT JOIN correction AS c
    ON q.batch_id = c.corrected_batch_id AND q.row_number = c.corrected_row_number AND c.is_scored
