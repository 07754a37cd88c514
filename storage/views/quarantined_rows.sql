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
    q.raw_text
FROM quarantined_row AS q
INNER JOIN batch AS b ON q.batch_id = b.batch_id
