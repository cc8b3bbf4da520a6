"""Providers on this machine: the program that a path, a name or a source address means. Nothing is downloaded.

`find_provider` looks where Terraform and OpenTofu look, and holds what it finds to the dependency lock file.
"""

from ferrule.terraform.finding.found import FoundProvider, LockVerdict
from ferrule.terraform.finding.places import Origin
from ferrule.terraform.finding.search import find_provider

__all__ = ["FoundProvider", "LockVerdict", "Origin", "find_provider"]
