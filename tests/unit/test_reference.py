"""The reference of the site, site/reference, has all public names."""

from __future__ import annotations

import importlib
import re

import pytest

from peers import ROOT

PACKAGES = ["", ".channel", ".channel.sync", ".client", ".pool", ".server", ".sync", ".terraform", ".testing"]
NAMED = {
    name
    for page in (ROOT / "site" / "reference").glob("*.md")
    for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
}
WHOLE_MODULES = [name for name in NAMED if name.rpartition(".")[2].islower() and not name.startswith("ferrule.ray")]


def names_of(module: str) -> set[str]:
    try:
        return set(getattr(importlib.import_module(module), "__all__", ()))
    except ModuleNotFoundError:
        # A function.
        return set()


@pytest.mark.parametrize("package", PACKAGES)
def test_each_public_name_is_in_the_reference(package: str) -> None:
    there = {name.rpartition(".")[2] for name in NAMED}.union(*map(names_of, WHOLE_MODULES))
    assert names_of(f"ferrule{package}") - there - {"__version__"} == set()
