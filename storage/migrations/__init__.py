"""The revisions of the schema, oldest first, and how Alembic runs them.

Belongs here: Alembic's environment and one module per revision under ``versions``; a revision
states its tables in full and imports nothing of ours, so that it means the same for ever. Does
not belong here: the views, which hold no data and are replaced at every upgrade.
"""
