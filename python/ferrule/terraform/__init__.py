"""Terraform providers for Python programs, above the plugin protocol.

The values that providers take and give are in `ferrule.terraform.cty`.
"""

from importlib.util import find_spec

if find_spec("msgpack") is None:
    raise ImportError("ferrule.terraform needs the package msgpack: pip install ferrule[terraform]")
