"""Features: the matrices that models read, made from typed columns.

Belongs here: encoding, the selection of columns, and the keys of equal rows. Does not belong here:
the models.
"""
