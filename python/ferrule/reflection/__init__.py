"""Calls of a plugin without its generated code, through gRPC server reflection.

A plugin's server answers which services it has and how their messages look; go-plugin, and with it every Terraform
provider, has served this since its version 1.2.0 of 2020. The facts come from the public protocol definitions
`grpc.reflection.v1` and, for older servers, `grpc.reflection.v1alpha`, which differ in the package name alone.
"""

from ferrule.reflection.definitions import MethodFacts, ReflectedStub
from ferrule.reflection.server import ServerReflection

__all__ = ["MethodFacts", "ReflectedStub", "ServerReflection"]
