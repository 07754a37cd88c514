"""What a data source must look like: columns declared once, and all that follows from them.

Belongs here: the contracts, the errors that teach, and what is derived from a contract alone
(reader schema, Great Expectations suites, data dictionary). Does not belong here: anything that
reads a file, a database or a model.
"""
