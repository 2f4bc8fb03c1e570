"""Where Alembic finds its connection: always the one db.migrate opened, inside db.migrate's transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="meta",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
