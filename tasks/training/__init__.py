"""Training: from accepted rows to a registered model.

Belongs here: its rows, held-out scores, calibration, thresholds, families, and what is known of the
model afterwards. Does not belong here: which model scores (``tasks.retraining``).
"""
