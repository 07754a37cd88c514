-- One row per challenger that was weighed against a champion, whatever came of it.
SELECT
    d.promotion_decision_id,
    d.contract,
    d.decided_at,
    d.decision,
    d.recipe,
    d.challenger_version_id AS challenger,
    d.champion_version_id AS champion,
    d.reason,
    d.evidence
FROM promotion_decision AS d
