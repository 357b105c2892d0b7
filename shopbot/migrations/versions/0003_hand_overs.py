"""Hand-overs of a conversation to a person, and what that person replied.

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "shopbot_hand_overs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column(
            "session_id",
            sa.String,
            sa.ForeignKey("shopbot_sessions.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column(
            "turn_id", sa.String, sa.ForeignKey("shopbot_turns.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("packet", sa.JSON, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("taken_at", moment),
        sa.Column("given_back_at", moment),
        sa.Column("note", sa.Text, nullable=False),
        sa.CheckConstraint("status IN ('waiting', 'taken', 'given_back')", name="status"),
    )
    is_open = sa.text("status <> 'given_back'")
    op.create_index(
        "one_open_hand_over",
        "shopbot_hand_overs",
        ["session_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_index("ix_shopbot_hand_overs_status_opened_at", "shopbot_hand_overs", ["status", "opened_at"])
    op.create_table(
        "shopbot_replies",
        sa.Column("session_id", sa.String, sa.ForeignKey("shopbot_sessions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column(
            "hand_over_id",
            sa.String,
            sa.ForeignKey("shopbot_hand_overs.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False),
    )


def downgrade() -> None:
    for table in ("shopbot_replies", "shopbot_hand_overs"):
        op.drop_table(table)
