"""Intake: from a delivered file to typed parts, with every line accounted for.

Belongs here: finding and hashing files, their forms, headers and labels, parsing, and what cannot
be parsed. Does not belong here: whether parsed rows may be scored (``tasks.validation``).
"""
