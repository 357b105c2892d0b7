"""Sessions, turns, their events, and feedback on them.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "shopbot_sessions",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("shopper_id", sa.String, index=True),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("last_at", moment, nullable=False, index=True),
    )
    op.create_table(
        "shopbot_turns",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("session_id", sa.String, sa.ForeignKey("shopbot_sessions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("profile", sa.JSON),
        sa.Column("citations", sa.JSON, nullable=False),
        sa.Column("tool_calls", sa.JSON, nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.Column("handed_over", sa.Boolean, nullable=False),
        sa.Column("milliseconds", sa.Float, nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.UniqueConstraint("session_id", "place"),
        sa.CheckConstraint("status IN ('open', 'complete', 'interrupted')", name="status"),
    )
    is_open = sa.text("status = 'open'")
    op.create_index(
        "one_open_turn", "shopbot_turns", ["session_id"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_table(
        "shopbot_events",
        sa.Column("turn_id", sa.String, sa.ForeignKey("shopbot_turns.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_table(
        "shopbot_feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "turn_id", sa.String, sa.ForeignKey("shopbot_turns.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("thumb", sa.SmallInteger, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.CheckConstraint("thumb IN (-1, 1)", name="thumb"),
    )


def downgrade() -> None:
    for table in ("shopbot_feedback", "shopbot_events", "shopbot_turns", "shopbot_sessions"):
        op.drop_table(table)
