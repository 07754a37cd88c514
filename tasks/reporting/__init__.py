"""Reporting: what people see of a run in Prefect.

Belongs here: outcomes, artifacts with their templates, and events. Does not belong here: storing.
"""
