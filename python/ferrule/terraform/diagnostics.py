"""What a provider says beside its answer: warnings and errors, each with the place in the configuration."""

from dataclasses import dataclass
from enum import Enum

from ferrule.terraform.cty import Path, format_path

__all__ = ["Diagnostic", "Severity"]


class Severity(Enum):
    """Whether a diagnostic stops the operation."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Diagnostic:
    """One warning or error.

    Attributes:
        severity: Error or warning.
        summary: One line.
        detail: More; may be empty.
        path: The place in the configuration; None where the provider names none, empty for the whole of it.

    Example:
        >>> from ferrule.terraform.cty import Attribute
        >>> place = (Attribute("ingress"), 2, Attribute("port"))
        >>> print(Diagnostic(Severity.ERROR, "Invalid port", "No such port.", place))
        ingress[2].port: Invalid port: No such port.
    """

    severity: Severity
    summary: str
    detail: str = ""
    path: Path | None = None

    def __str__(self) -> str:
        place = format_path(self.path) if self.path else ""
        return ": ".join(filter(None, (place, self.summary, self.detail)))
