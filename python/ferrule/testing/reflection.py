"""gRPC server reflection of the plugin."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pool

from ferrule.server.descriptors import POOL, service_handler
from ferrule.server.reflection import VERSIONS, Reflection, service_name

__all__ = ["VERSIONS", "reflection", "service_name"]


def reflection(version: str, services: list[str]) -> grpc.GenericRpcHandler:
    """Handler of `ServerReflectionInfo` in one version.

    Args:
        version: `v1` or `v1alpha`.
        services: Fully qualified names to list.
    """
    answers = Reflection(version, services, [POOL, descriptor_pool.Default()])

    def info(requests: Iterator[Any], _: grpc.ServicerContext) -> Iterator[Any]:
        for request in requests:
            yield answers.answer(request)

    return service_handler(service_name(version), ServerReflectionInfo=info)
