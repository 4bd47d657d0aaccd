"""groups and applications."""

import json
import uuid

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "applications",
        sa.Column("object_id", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("app_id", NAME, nullable=False),
        sa.Column("display_name", NAME, nullable=False),
        sa.Column("name_key", NAME, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("object_id"),
        sa.UniqueConstraint("app_id"),
    )
    op.create_index(
        "applications_by_name", "applications", ["tenant_id", "name_key", "object_id"], unique=False
    )
    op.create_table(
        "directory_role_assignments",
        sa.Column("principal_id", NAME, nullable=False),
        sa.Column("role", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", NAME, nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "role"),
    )
    op.create_index(
        "directory_role_assignments_by_role",
        "directory_role_assignments",
        ["tenant_id", "role"],
        unique=False,
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", NAME, nullable=False),
        sa.Column("member_id", NAME, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "member_id"),
    )
    op.create_index("group_members_by_member", "group_members", ["member_id", "group_id"], unique=False)
    op.create_table(
        "groups",
        sa.Column("object_id", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("display_name", NAME, nullable=False),
        sa.Column("name_key", NAME, nullable=False),
        sa.Column("nickname_key", NAME, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("object_id"),
    )
    op.create_index("groups_by_name", "groups", ["tenant_id", "name_key", "object_id"], unique=False)
    op.create_table(
        "identifier_uris",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("uri", NAME, nullable=False),
        sa.Column("app_id", NAME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "uri"),
    )
    op.create_index(op.f("ix_identifier_uris_app_id"), "identifier_uris", ["app_id"], unique=False)
    op.create_table(
        "owners",
        sa.Column("object_id", NAME, nullable=False),
        sa.Column("owner_id", NAME, nullable=False),
        sa.PrimaryKeyConstraint("object_id", "owner_id"),
    )
    op.create_index("owners_by_owner", "owners", ["owner_id", "object_id"], unique=False)
    op.create_table(
        "principal_details",
        sa.Column("object_id", NAME, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("object_id"),
    )
    op.add_column("credentials", sa.Column("display_name", NAME, nullable=True))
    op.add_column("credentials", sa.Column("hint", NAME, nullable=True))
    op.add_column("principals", sa.Column("name_key", NAME, server_default="", nullable=False))
    op.create_index(
        "principals_by_name", "principals", ["tenant_id", "kind", "name_key", "object_id"], unique=False
    )
    _name_principals()


def _name_principals() -> None:
    """Give what is there its sort key, and each service principal the application that it is of."""
    connection = op.get_bind()
    principals = sa.table(
        "principals",
        *(sa.column(name) for name in ("object_id", "tenant_id", "kind", "display_name", "app_id")),
        sa.column("created_at"),
        sa.column("name_key"),
    )
    known = connection.execute(sa.select(*list(principals.c)[:6])).all()
    if not known:
        return
    connection.execute(
        principals.update()
        .where(principals.c.object_id == sa.bindparam("key"))
        .values(name_key=sa.bindparam("name")),
        [{"key": one.object_id, "name": one.display_name.lower()} for one in known],
    )
    columns = ("object_id", "tenant_id", "app_id", "display_name", "name_key", "document", "created_at")
    applications = sa.table("applications", *(sa.column(name) for name in columns))
    rows = [
        {
            "object_id": str(uuid.uuid4()),
            "tenant_id": one.tenant_id,
            "app_id": one.app_id,
            "display_name": one.display_name,
            "name_key": one.display_name.lower(),
            "document": json.dumps({}),
            "created_at": one.created_at,
        }
        for one in known
        if one.kind == "ServicePrincipal"
    ]
    if rows:
        connection.execute(applications.insert(), rows)
