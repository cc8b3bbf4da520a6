# Written by hand: grpcio-tools makes no stub for its service code. A servicer on an asyncio server has coroutines.
# ruff: noqa: N802 - gRPC gives the names.
from typing import Any

import grpc.aio
from tfplugin6_pb2 import (
    ApplyResourceChange,
    ConfigureProvider,
    GetProviderSchema,
    PlanResourceChange,
    ReadResource,
    StopProvider,
    UpgradeResourceState,
    ValidateProviderConfig,
    ValidateResourceConfig,
)

class ProviderStub:
    GetProviderSchema: Any
    ValidateProviderConfig: Any
    ConfigureProvider: Any
    ValidateResourceConfig: Any
    UpgradeResourceState: Any
    ReadResource: Any
    PlanResourceChange: Any
    ApplyResourceChange: Any
    StopProvider: Any
    def __init__(self, channel: Any) -> None: ...

class ProviderServicer:
    async def GetProviderSchema(
        self, request: GetProviderSchema.Request, context: Any
    ) -> GetProviderSchema.Response: ...
    async def ValidateProviderConfig(
        self, request: ValidateProviderConfig.Request, context: Any
    ) -> ValidateProviderConfig.Response: ...
    async def ConfigureProvider(
        self, request: ConfigureProvider.Request, context: Any
    ) -> ConfigureProvider.Response: ...
    async def ValidateResourceConfig(
        self, request: ValidateResourceConfig.Request, context: Any
    ) -> ValidateResourceConfig.Response: ...
    async def UpgradeResourceState(
        self, request: UpgradeResourceState.Request, context: Any
    ) -> UpgradeResourceState.Response: ...
    async def ReadResource(self, request: ReadResource.Request, context: Any) -> ReadResource.Response: ...
    async def PlanResourceChange(
        self, request: PlanResourceChange.Request, context: Any
    ) -> PlanResourceChange.Response: ...
    async def ApplyResourceChange(
        self, request: ApplyResourceChange.Request, context: Any
    ) -> ApplyResourceChange.Response: ...
    async def StopProvider(self, request: StopProvider.Request, context: Any) -> StopProvider.Response: ...

def add_ProviderServicer_to_server(servicer: ProviderServicer, server: grpc.aio.Server) -> None: ...
