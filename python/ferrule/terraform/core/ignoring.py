"""Changes of a configuration that are to be ignored: `ignore_changes` of Terraform's language.

Facts: OpenTofu v1.12.6, internal/tofu/node_resource_abstract_instance.go (processIgnoreChanges).
"""

from collections.abc import Iterable
from typing import Any, Literal

from ferrule.terraform.core.places import PathError, Value, at, put
from ferrule.terraform.core.sameness import with_own_type
from ferrule.terraform.core.types import Field, implied_type
from ferrule.terraform.core.walk import changed
from ferrule.terraform.cty import DYNAMIC, Attribute, Map, Path, Type, Typed, Unknown
from ferrule.terraform.cty.values import presented
from ferrule.terraform.schema.model import Block

__all__ = ["ignore_changes"]


def ignore_changes(block: Block, prior: Any, config: Any, ignored: Iterable[Path] | Literal["all"]) -> Any:
    """The configuration with prior values in the places whose changes are ignored.

    The result is planned with; ApplyResourceChange gets the configuration itself. What a provider with the legacy type
    system plans is given once more in place of `config`, or, if all changes are ignored, replaced by the prior state.

    Args:
        block: The schema.
        prior: The prior state; None for a creation, in which nothing is ignored.
        config: The configuration, as `coerce` gives it.
        ignored: Paths; one that ends at the key of a map is for that key alone, which may be absent before or now.
            "all" is for all that a configuration can set.
    """
    if prior is None or config is None:
        return config
    if ignored == "all":
        return changed(block, prior, _as_configured)
    of = implied_type(block)
    before, value = with_own_type(prior, of), with_own_type(config, of)
    for path in ignored:
        value = _with_prior(before, value, path)
    return presented(*value, of)


def _as_configured(field: Field, value: Any) -> Any:
    """Null for what is only computed: a configuration does not have it."""
    if field.attribute is None or not field.attribute.computed or field.attribute.optional:
        return value
    own = with_own_type(value, DYNAMIC)[1] if field.type is DYNAMIC else DYNAMIC
    return None if own is DYNAMIC else Typed(None, own)


def _with_prior(before: Value, config: Value, path: Path) -> Value:
    *outer, last = path
    # The key of a map, which may be in one of the two maps only.
    key = last if isinstance(last, str) and not isinstance(last, Attribute) else None
    place = path if key is None else tuple(outer)
    try:
        was = at(*before, place)
    except PathError:
        return config

    def replaced(given: Any, of: Type) -> Value:
        if not isinstance(of, Map) or key is None:
            return was
        if type(given) is Unknown:
            return given, of
        old = was[0] or {}
        new = {name: each for name, each in (given or {}).items() if name != key} | {
            name: each for name, each in old.items() if name == key
        }
        return (given if given is None and not new else dict(sorted(new.items()))), of

    return put(*config, place, replaced)
