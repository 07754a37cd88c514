"""Evaluation: labels, metrics and operating points.

Belongs here: how a score is judged by labels. Does not belong here: which models are compared
(``tasks.retraining``, ``tasks.study``).
"""
