"""Drift: how far a batch is from what its model was fitted on.

Belongs here: the population stability index of all rows, and Evidently's report of a sample. Does
not belong here: what is done about it.
"""
