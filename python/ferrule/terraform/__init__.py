"""Terraform providers for Python programs, above the plugin protocol.

The values that providers take and give are in `ferrule.terraform.cty`, which needs the package `msgpack`:
`pip install ferrule[terraform]`.
"""
