"""What was erased of dataset versions, sources that must not come back unseen, given tests, the order of findings."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("findings", sa.Column("position", sa.Integer, nullable=False, server_default="0"))
    op.add_column("datasets", sa.Column("erased", sa.JSON))
    op.add_column("datasets", sa.Column("test_given", sa.Boolean))
    op.add_column("sources", sa.Column("forgotten_at", sa.String))
