"""Contracts for people: how well a file fits one, and a draft of a new one.

Belongs here: what ``noctule contracts`` says of a file. It may import ``intake``, ``validation``,
``evaluation`` and below. Does not belong here: the classes of a contract and the reading of a page
(``expectations``), or the reading of a night's file (``tasks.intake``).
"""
