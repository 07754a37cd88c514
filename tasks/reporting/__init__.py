"""Reporting: what people see of a run.

Belongs here: outcomes, artifacts and events. Does not belong here: anything that is stored.
"""
