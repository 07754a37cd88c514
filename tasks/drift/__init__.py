"""Drift: how far a batch is from the rows on which its model was fitted.

Belongs here: the population stability index of all rows, and Evidently's report on a sample. Does
not belong here: any reaction to drift.
"""
