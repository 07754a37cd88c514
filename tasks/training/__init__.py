"""Training: from accepted rows to a registered model.

Belongs here: its rows, held-out scores, calibration, thresholds and families, and the metrics that
are kept with it. Does not belong here: which model becomes champion (``tasks.retraining``).
"""
