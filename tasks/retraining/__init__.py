"""Retraining: challengers, and whether one replaces the champion.

Belongs here: finding the labelled batches, the fits, the comparison, the gate and the decision.
Does not belong here: how one model is fitted (``tasks.training``).
"""
