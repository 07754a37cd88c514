"""Scoring: what a stored model makes of a batch.

Belongs here: scores, flags, reasons, a challenger's scores beside them, and scoring once more. Does
not belong here: how a model was fitted.
"""
