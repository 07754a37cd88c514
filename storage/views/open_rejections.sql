-- One row per file that was rejected and is open: not scored since, and not dismissed.
WITH place AS (
    SELECT
        delivery_id,
        batch_id,
        file_name,
        source_path,
        arrived_at,
        -- Without what says that it is compressed.
        CASE
            WHEN lower(substr(source_path, length(source_path) - 2)) = '.gz'
                THEN substr(source_path, 1, length(source_path) - 3)
            WHEN lower(substr(source_path, length(source_path) - 3)) = '.zst'
                THEN substr(source_path, 1, length(source_path) - 4)
            WHEN lower(substr(source_path, length(source_path) - 4)) = '.zstd'
                THEN substr(source_path, 1, length(source_path) - 5)
            ELSE source_path
        END AS plain_path
    FROM delivery
),

-- The last delivery under each path that settles an earlier one: grouped, so that neither database looks
-- through them for each rejected file.
settled AS (
    SELECT
        b.contract,
        p.plain_path,
        max(p.delivery_id) AS delivery_id
    FROM place AS p
    INNER JOIN batch AS b ON p.batch_id = b.batch_id
    WHERE b.status = 'scored'
    GROUP BY b.contract, p.plain_path
    -- A file that no contract had is settled, or rejected anew, once a contract has it.
    UNION ALL
    SELECT
        'unrecognised' AS contract,
        p.plain_path,
        max(p.delivery_id) AS delivery_id
    FROM place AS p
    INNER JOIN batch AS b ON p.batch_id = b.batch_id
    WHERE b.status <> 'received' AND b.contract <> 'unrecognised'
    GROUP BY p.plain_path
)

SELECT
    b.batch_id,
    b.batch_date,
    d.file_name,
    b.contract,
    b.rejection,
    d.source_path,
    d.arrived_at
FROM batch AS b
INNER JOIN place AS d ON b.batch_id = d.batch_id
LEFT JOIN settled AS s ON b.contract = s.contract AND d.plain_path = s.plain_path
WHERE b.status = 'rejected'
-- Not delivered anew, and scored, since.
AND (s.delivery_id IS NULL OR s.delivery_id < d.delivery_id)
-- The last time that it came so.
AND NOT EXISTS (
    SELECT 1
    FROM delivery AS later
    WHERE later.batch_id = d.batch_id
    AND later.source_path = d.source_path
    AND later.delivery_id > d.delivery_id
)
AND NOT EXISTS (SELECT 1 FROM dismissal AS x WHERE x.delivery_id = d.delivery_id)
-- Not replayed.
AND NOT EXISTS (
    SELECT 1 FROM batch AS replay
    WHERE replay.replayed_batch_id = b.batch_id AND replay.status = 'scored'
)
-- Not the beginning of a longer file.
AND NOT EXISTS (
    SELECT 1
    FROM batch_prefix AS p
    INNER JOIN batch AS longer ON p.batch_id = longer.batch_id
    WHERE p.prefix_batch_id = b.batch_id AND longer.status = 'scored'
)
