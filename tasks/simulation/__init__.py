"""Simulation: nights of traffic at a simulated site, made from a seed.

Belongs here: the site's hosts, its ordinary traffic, its benign anomalies and its attacks; KDD's
traffic features; the files. Does not belong here: anything that reads those files.
"""
