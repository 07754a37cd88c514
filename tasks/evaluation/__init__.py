"""Evaluation: labels, metrics and operating points.

Belongs here: evaluating scores against labels. Does not belong here: comparing models
(``tasks.retraining``, ``tasks.study``).
"""
