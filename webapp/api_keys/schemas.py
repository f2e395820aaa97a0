"""What making a key takes and gives."""

from __future__ import annotations

from pydantic import Field

from webapp.access.permissions import Role
from webapp.kernel.drafts import Draft


class NewKey(Draft):
    name: str = Field(
        title="Name",
        description="What the key is for, such as “Nightly import”.",
        min_length=1,
        max_length=80,
        json_schema_extra={"enter": "a name for the key"},
    )
    role: Role = Field(
        Role.ADMIN, title="Role", description="What a program with this key may do at most."
    )


class MadeKey(Draft):
    """A new key. `key` is shown once and kept nowhere."""

    id: str
    name: str
    key: str
    prefix: str
    organization_id: str
    role: Role
