"""Who asks, and whose jobs they see."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may see: their own, or everybody's."""

    OWNER = "owner"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Principal:
    """Somebody who asks for jobs, results, layers or uploads.

    Attributes
    ----------
    name : str
        Owns what is submitted; empty for the anonymous, who own what has no owner.
    role : Role
        Whether they see what others own.
    """

    name: str = ""
    role: Role = Role.OWNER

    @property
    def scope(self) -> str | None:
        """The only owner whose things are visible; None: those of all owners are."""
        return None if self.role is Role.OPERATOR else self.name

    def sees(self, owner: str) -> bool:
        """Tell whether what an owner has is visible."""
        return self.scope in {None, owner}


ANONYMOUS = Principal()
SYSTEM = Principal(role=Role.OPERATOR)  # the gateway itself, and workers that proved their token
SOLE_USER = SYSTEM  # everybody, where no proxy names those who ask
