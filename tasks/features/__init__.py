"""Features: from typed columns to the matrices that models read.

Belongs here: encoding, the selection of columns, and the keys of equal rows. Does not belong here:
the models.
"""
