"""Prints the figures of ``docs/benchmarks.md``: tables of medians and ratios. No tests."""
