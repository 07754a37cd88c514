"""Strategies of Hypothesis that draw damaged files."""
