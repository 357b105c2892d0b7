"""The journal of actions.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "shopbot_actions",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("session_id", sa.String, sa.ForeignKey("shopbot_sessions.id", ondelete="CASCADE"), nullable=False),
        sa.Column(
            "turn_id", sa.String, sa.ForeignKey("shopbot_turns.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("shopper_id", sa.String, nullable=False),
        sa.Column("tool", sa.String, nullable=False),
        sa.Column("arguments", sa.JSON, nullable=False),
        sa.Column("preview", sa.JSON, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("proposed_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.CheckConstraint(
            "status IN ('proposed', 'declined', 'lapsed', 'confirmed', 'running', 'done', 'failed', 'refused', "
            "'unknown', 'handed_over')",
            name="status",
        ),
    )
    op.create_index("ix_shopbot_actions_session_id_status", "shopbot_actions", ["session_id", "status"])
    op.create_index("ix_shopbot_actions_status_changed_at", "shopbot_actions", ["status", "changed_at"])
    op.create_index("ix_shopbot_actions_shopper_id_tool", "shopbot_actions", ["shopper_id", "tool"])


def downgrade() -> None:
    op.drop_table("shopbot_actions")
