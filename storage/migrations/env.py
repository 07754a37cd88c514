"""Alembic's environment: runs the revisions on the connection and transaction of the caller.

``storage.revisions.upgrade`` is the caller; there is no alembic.ini.
"""

from alembic import context

from storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite has transactional DDL as well; Alembic assumes the driver's old habits.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
