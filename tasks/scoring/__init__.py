"""Scoring: a stored model scores a batch.

Belongs here: scores, flags, reasons, shadow scores of a challenger, and scoring a batch again. Does
not belong here: fitting a model.
"""
