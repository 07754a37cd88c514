"""The study: the two works that this project grew from, repeated on a labelled file of the user.

Belongs here: comparing selections and detectors for people to read. Does not belong here: anything
that a night needs, or that decides which model scores it.
"""
