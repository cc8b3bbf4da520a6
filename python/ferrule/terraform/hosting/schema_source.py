"""The schema of a provider, as far as it can be used."""

from __future__ import annotations

from collections.abc import Callable

from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.errors import ProviderError
from ferrule.terraform.schema import ProviderSchema

__all__ = ["IDENTITY_METHOD", "SCHEMA_METHOD", "check_schema"]

SCHEMA_METHOD = "GetProviderSchema"
IDENTITY_METHOD = "GetResourceIdentitySchemas"


def check_schema(schema: ProviderSchema, core: str, warn: Callable[[Diagnostic], None]) -> None:
    """Passes on what a provider says beside its schema.

    Args:
        schema: The schema.
        core: Terraform refuses a provider whose answer about identities has errors, OpenTofu warns of them.
        warn: Called with each warning.

    Raises:
        ProviderError: There are errors.
    """
    found = {SCHEMA_METHOD: schema.diagnostics, IDENTITY_METHOD: schema.identity_diagnostics}
    for method, diagnostics in found.items():
        is_harmless = method == IDENTITY_METHOD and core == "opentofu"
        for each in diagnostics:
            if each.severity is Severity.WARNING or is_harmless:
                warn(each)
        if not is_harmless and any(each.severity is Severity.ERROR for each in diagnostics):
            raise ProviderError("the provider has no usable schema", method, "", diagnostics)
