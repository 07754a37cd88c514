"""Contracts: the description of each data source, and what is derived only from it.

Belongs here: the contracts, what is derived from one (reader schema, Great Expectations suites,
data dictionary), and the classes of our errors. Does not belong here: anything that reads a file, a
database or a model.
"""
