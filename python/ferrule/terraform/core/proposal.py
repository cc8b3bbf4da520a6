"""What a configuration proposes to a provider: its own values, and what was computed before in places it leaves open.

Facts: OpenTofu v1.12.6 and Terraform v1.13.3, internal/plans/objchange/objchange.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ferrule.terraform.core.blocks import closed, empty_value, opened
from ferrule.terraform.core.matching import Matching
from ferrule.terraform.core.sameness import is_null, part
from ferrule.terraform.core.types import implied_type, object_type
from ferrule.terraform.cty import UNKNOWN, Unknown
from ferrule.terraform.cty.equality import has_unknown
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting

__all__ = ["planned_unknown", "proposed_new"]

Core = Literal["terraform", "opentofu"]


def proposed_new(block: Block, prior: Any, config: Any) -> Any:
    """The state that PlanResourceChange is asked for.

    Computed attributes that the configuration leaves out keep their prior values, all others are the configuration's.
    Elements of lists are taken for those that were at their place, of maps for those under their key, of sets for
    those that can have come from the same configuration.

    Args:
        block: The schema.
        prior: The state of before, wholly known; None for a creation.
        config: The configuration, as `coerce` gives it. (A destruction proposes null, without this function.)

    Returns:
        A value of the type `implied_type(block)`.
    """
    if prior is None and config is None:
        return None
    return _Proposal().of_block(block, prior, config)


def planned_unknown(block: Block, config: Any, *, core: Core = "terraform") -> Any:
    """What is planned for a data source or an ephemeral resource that cannot be read yet: unknown where computed.

    Args:
        block: The schema.
        config: The configuration, as `coerce` gives it.
        core: Whose answer. Computed attributes in a map of nested attributes are unknown to Terraform, and null to
            OpenTofu.
    """
    return _Proposal(unknown_in_maps=core == "terraform").of_block(block, UNKNOWN, config)


@dataclass(frozen=True)
class _Proposal:
    unknown_in_maps: bool = False

    def of_block(self, block: Block, prior: Any, config: Any) -> Any:
        if prior is None and config is None:
            return None
        if prior is None:
            prior = empty_value(block)
        if config is None or type(config) is Unknown:
            return prior
        new = self._attributes(block.attributes, prior, config)
        for name, nested in block.block_types.items():
            new[name] = self._nested_block(nested, part(prior, name), config[name])
        return {name: new[name] for name in implied_type(block).attributes}

    def _of_object(self, nested: NestedType, prior: Any, config: Any) -> Any:
        return None if config is None else self._attributes(nested.attributes, prior, config)

    def _element(self, schema: Block | NestedType, prior: Any, config: Any) -> Any:
        if isinstance(schema, Block):
            return self.of_block(schema, prior, config)
        return self._of_object(schema, prior, config)

    def _attributes(self, attributes: Mapping[str, Attribute], prior: Any, config: Any) -> dict[str, Any]:
        return {name: self._attribute(each, part(prior, name), part(config, name)) for name, each in attributes.items()}

    def _attribute(self, attribute: Attribute, prior: Any, config: Any) -> Any:
        nested = attribute.nested_type
        if attribute.computed and is_null(config):
            # What the configuration alone can have set is not kept when it leaves the configuration.
            configured = attribute.optional and nested is not None and _is_configured(nested, prior)
            return config if configured else prior
        if nested is None or type(config) is Unknown:
            return config
        if nested.nesting in {Nesting.SINGLE, Nesting.GROUP}:
            return self._of_object(nested, prior, config)
        return self._collection(nested, nested.nesting, prior, config)

    def _nested_block(self, nested: NestedBlock, prior: Any, config: Any) -> Any:
        if type(config) is Unknown:
            return config
        if nested.nesting is Nesting.GROUP or (nested.nesting is Nesting.SINGLE and config is not None):
            return self.of_block(nested.block, prior, config)
        if is_null(config) or nested.nesting is Nesting.SINGLE:
            return config
        prior, config = opened(nested, prior), opened(nested, config)
        return closed(nested, self._collection(nested.block, nested.nesting, prior, config))

    def _collection(self, schema: Block | NestedType, nesting: Nesting, prior: Any, config: Any) -> Any:
        if not config:
            return config
        match nesting:
            case Nesting.LIST:
                return self._list(schema, prior, config)
            case Nesting.MAP:
                return self._map(schema, prior, config)
        return self._set(schema, prior, config)

    def _list(self, schema: Block | NestedType, prior: Any, config: list[Any]) -> list[Any]:
        if type(prior) is Unknown:
            return [self._element(schema, UNKNOWN, each) for each in config]
        # Elements that were not there before are taken as they are.
        count = len(prior or ())
        return [
            self._element(schema, prior[index], each) if index < count else each for index, each in enumerate(config)
        ]

    def _map(self, schema: Block | NestedType, prior: Any, config: dict[str, Any]) -> dict[str, Any]:
        if type(prior) is Unknown:
            if not self.unknown_in_maps:
                return config
            return {key: self._element(schema, UNKNOWN, each) for key, each in config.items()}
        known = prior or {}
        return {key: self._element(schema, known[key], each) if key in known else each for key, each in config.items()}

    def _set(self, schema: Block | NestedType, prior: Any, config: list[Any]) -> list[Any]:
        if type(prior) is Unknown or not prior:
            if not has_unknown(config):
                # Nothing to take from: a new set of ten thousand is not put together once more.
                return config
            prior = ()
        matching = Matching(schema, prior)
        return arranged([self._element(schema, matching.taken(each), each) for each in config], object_type(schema))


def _is_configured(nested: NestedType, value: Any) -> bool:
    """Whether something in the value, at any depth, is that only a configuration can have set."""
    if value is None or type(value) is Unknown:
        return False
    objects = value if isinstance(value, list) else value.values() if nested.nesting is Nesting.MAP else [value]
    return any(
        not attribute.computed
        or (attribute.nested_type is not None and _is_configured(attribute.nested_type, each[name]))
        for each in objects
        if isinstance(each, dict)
        for name, attribute in nested.attributes.items()
        if not is_null(each[name])
    )
