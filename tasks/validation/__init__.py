"""Validation: which parsed rows may be scored, and whether the batch may.

Belongs here: Great Expectations on parts, the profile of a batch, and the page. Does not belong
here: which expectations there are (``expectations.suites``).
"""
