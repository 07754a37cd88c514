"""The revisions of the schema, and how Alembic runs them.

Belongs here: Alembic's environment, and one module per revision under ``versions``. A revision
declares its tables in full and imports none of our tables, so that it never changes. Does not
belong here: the views, which hold no data and are replaced at every upgrade.
"""
