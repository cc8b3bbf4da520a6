"""What can be done with managed resources."""

from ferrule.terraform.operations.applying import apply, destroy
from ferrule.terraform.operations.importing import import_, move
from ferrule.terraform.operations.planning import plan, plan_destroy, validate
from ferrule.terraform.operations.reading import read
from ferrule.terraform.operations.upgrading import upgrade

__all__ = ["apply", "destroy", "import_", "move", "plan", "plan_destroy", "read", "upgrade", "validate"]
