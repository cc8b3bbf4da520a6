"""What notebooks show of plans and of a provider's schema."""

from __future__ import annotations

from ferrule.terraform.cty import UNKNOWN
from ferrule.terraform.cty import Attribute as Step
from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.messages import Protocol
from ferrule.terraform.plan import Action
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.notebook import DETAILED_TYPES
from html_parts import text_of
from terraform.large_schema import large_schema
from terraform.plans import planned
from terraform.schema_oracle import answer, recorded_schema

HOSTILE = "<script>alert('&')</script>"


def test_plan_is_its_text() -> None:
    plan = planned({"text": "a<b", "names": ["x"]}, {"text": "a>b", "names": ["x", HOSTILE], "id": UNKNOWN})
    assert text_of(plan._repr_html_()) == str(plan).replace("\n", "")
    assert "<script" not in plan._repr_html_()


def test_plan_hides_what_is_sensitive() -> None:
    plan = planned(
        {"password": "hunter1", "labels": {"pin": "hunter2"}, "disks": [{"key": "hunter3", "size": 1}]},
        {"password": "hunter4", "labels": {"pin": "hunter5"}, "disks": [{"key": "hunter6", "size": 2}]},
        sensitive=((Step("labels"), "pin"),),
        private=b"hunter7",
    )
    assert "(sensitive value)" in text_of(plan._repr_html_())
    assert "hunter" not in plan._repr_html_()


def test_plan_has_its_warnings_escaped() -> None:
    warning = Diagnostic(Severity.WARNING, HOSTILE, "Do not use it.", (Step("id"),))
    plan = planned(None, {"id": "1"}, Action.CREATE, warnings=(warning,))
    assert f"warning: {warning}" in text_of(plan._repr_html_())


def test_schema_is_a_tree() -> None:
    attribute = {"name": HOSTILE, "type": b'"string"', "required": True, "sensitive": True, "description": HOSTILE}
    fields = {
        "provider": {"block": {"attributes": [attribute]}},
        "resource_schemas": {"thing": {"block": {"attributes": [attribute]}}, "other<": {}},
        "functions": {"f": {"return": {"type": b'"number"'}}},
    }
    html = ProviderSchema.of(Protocol.of(6), answer(6, "GetProviderSchema", **fields))._repr_html_()
    text = text_of(html)
    for expected in ("resources (2)", f"{HOSTILE} string required sensitive", "functions (1)", "f() -> number"):
        assert expected in text
    assert "data sources" not in text


def test_schema_of_a_broken_type_says_so() -> None:
    broken = {"block": {"attributes": [{"name": "a"}]}}
    fields = {"resource_schemas": {"broken": broken, "whole": {}}}
    text = text_of(ProviderSchema.of(Protocol.of(6), answer(6, "GetProviderSchema", **fields))._repr_html_())
    assert 'the schema of the resource "broken" is broken' in text
    assert "whole" in text
    assert "the provider's answer has no schema of its configuration" in text


def test_schema_with_many_types_has_their_names() -> None:
    schema = ProviderSchema.of(Protocol.of(6), large_schema(1500))
    html = schema._repr_html_()
    assert "resources (1,500)" in text_of(html)
    assert len(html) < 200_000
    assert not schema.resources._models
    assert len(schema.resources) > DETAILED_TYPES


def test_schema_of_a_real_provider() -> None:
    text = text_of(recorded_schema("openstack-3.4.0")._repr_html_())
    assert "openstack_networking_network_v2" in text
