-- One row per file that was rejected and is open: not scored since, and not dismissed.
SELECT
    b.batch_id,
    b.batch_date,
    d.file_name,
    b.contract,
    b.rejection,
    d.source_path,
    d.arrived_at
FROM batch AS b
INNER JOIN (
    -- Its path without what says that it is compressed.
    SELECT
        delivery_id,
        batch_id,
        file_name,
        source_path,
        arrived_at,
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
) AS d ON b.batch_id = d.batch_id
WHERE b.status = 'rejected'
-- The last time that it came so.
AND NOT EXISTS (
    SELECT 1
    FROM delivery AS later
    WHERE later.batch_id = d.batch_id
    AND later.source_path = d.source_path
    AND later.delivery_id > d.delivery_id
)
AND NOT EXISTS (SELECT 1 FROM dismissal AS x WHERE x.delivery_id = d.delivery_id)
-- Replayed.
AND NOT EXISTS (
    SELECT 1 FROM batch AS replay
    WHERE replay.replayed_batch_id = b.batch_id AND replay.status = 'scored'
)
-- The beginning of a longer file.
AND NOT EXISTS (
    SELECT 1
    FROM batch_prefix AS p
    INNER JOIN batch AS longer ON p.batch_id = longer.batch_id
    WHERE p.prefix_batch_id = b.batch_id AND longer.status = 'scored'
)
-- Delivered anew: another content came later under the same path, and was scored.
AND NOT EXISTS (
    SELECT 1
    FROM delivery AS again
    INNER JOIN batch AS other ON again.batch_id = other.batch_id
    WHERE again.source_path IN (
        d.plain_path,
        d.plain_path || '.gz',
        d.plain_path || '.GZ',
        d.plain_path || '.zst',
        d.plain_path || '.ZST',
        d.plain_path || '.zstd'
    )
    AND again.delivery_id > d.delivery_id
    AND other.contract = b.contract
    AND other.status = 'scored'
)
