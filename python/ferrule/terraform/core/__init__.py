"""What Terraform's core does with values between a configuration and a provider: functions of values, nothing more.

Values are as `ferrule.terraform.cty` decodes them by `implied_type(block)`. Facts: OpenTofu v1.12.6 and, where it is
another, Terraform v1.13.3.
"""

from ferrule.terraform.core.blocks import empty_value
from ferrule.terraform.core.coercion import coerce
from ferrule.terraform.core.compatibility import compatibility_problems
from ferrule.terraform.core.ignoring import ignore_changes
from ferrule.terraform.core.legacy import normalize_legacy
from ferrule.terraform.core.plan_checks import plan_problems
from ferrule.terraform.core.proposal import planned_unknown, proposed_new
from ferrule.terraform.core.replacement import replacement_paths
from ferrule.terraform.core.secrets import sensitive_paths, without_write_only, write_only_problems
from ferrule.terraform.core.types import identity_type, implied_type
from ferrule.terraform.core.unknowns import unknown_as_null, unknown_paths

__all__ = [
    "coerce",
    "compatibility_problems",
    "empty_value",
    "identity_type",
    "ignore_changes",
    "implied_type",
    "normalize_legacy",
    "plan_problems",
    "planned_unknown",
    "proposed_new",
    "replacement_paths",
    "sensitive_paths",
    "unknown_as_null",
    "unknown_paths",
    "without_write_only",
    "write_only_problems",
]
