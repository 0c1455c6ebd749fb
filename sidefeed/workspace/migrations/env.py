"""Alembic's entry: runs migrations on the connection that `sidefeed.workspace.migrate` hands over."""

from alembic import context

from sidefeed.workspace.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
