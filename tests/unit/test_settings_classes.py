"""What tools and people see of the classes of settings."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import pydoc
from typing import Annotated, get_origin

import pytest

import ferrule
from ferrule.config import ClientConfig
from ferrule.pool import Limits, PluginSpec
from ferrule.server import ServerConfig


def with_rules() -> list[type]:
    """The dataclasses whose fields have rules."""
    found = {}
    for module in pkgutil.walk_packages(ferrule.__path__, "ferrule."):
        # Of what needs Ray the errors alone do not; __main__ would run.
        if ".ray" not in module.name and not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if (
                    isinstance(value, type)
                    and dataclasses.is_dataclass(value)
                    and any(get_origin(field.type) is Annotated for field in dataclasses.fields(value))
                ):
                    found[value.__qualname__] = value
    return list(found.values())


CLASSES = with_rules()


def test_classes_are_found() -> None:
    assert {ClientConfig, ServerConfig, PluginSpec, Limits} <= set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_help_has_one_signature_without_rules(kind: type) -> None:
    text = pydoc.plain(pydoc.render_doc(kind))
    assert "Rule(" not in text.partition("__annotations__")[0]
    assert "<function" not in text.partition("__annotations__")[0]
    names = [field.name for field in dataclasses.fields(kind)]
    assert list(inspect.signature(kind).parameters) == names
    assert "__init__(self: Any, *args: Any, **settings: Any) -> None" in text, "the signature stands there again"


def test_objects_can_still_be_copied() -> None:
    config = ClientConfig(start_timeout=5, env={"A": "1"})
    for twin in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config), dataclasses.replace(config)):
        assert twin == config


@pytest.mark.parametrize(
    ("kind", "wrong", "nearest"),
    [
        (Limits, "max_plugin", "max_plugins"),
        (ServerConfig, "magic_coockie_key", "magic_cookie_key"),
        (ClientConfig, "start_timout", "start_timeout"),
    ],
)
def test_an_unknown_setting_has_the_nearest(kind: type, wrong: str, nearest: str) -> None:
    with pytest.raises(TypeError, match=f"^{kind.__name__} has no setting '{wrong}' .nearest: {nearest}.$"):
        kind(**{wrong: 1})


def test_a_missing_setting_is_named_by_python() -> None:
    with pytest.raises(TypeError, match="missing 2 required keyword-only arguments: 'magic_cookie_key'"):
        ServerConfig()  # type: ignore[call-arg]
