"""Which methods of a provider may be called again after their process died in the middle."""

from __future__ import annotations

from typing import Final

from ferrule.terraform.messages.protocol import NAMES_OF_PROTOCOL_5

__all__ = ["NOT_REPEATED", "REPEATED", "idempotent_paths"]

REPEATED: Final = frozenset({
    # What a program has, and what it says of values: the same at each call.
    "GetMetadata",
    "GetProviderSchema",
    "GetResourceIdentitySchemas",
    "GetFunctions",
    "ValidateProviderConfig",
    "ValidateResourceConfig",
    "ValidateDataResourceConfig",
    "ValidateEphemeralResourceConfig",
    "ValidateListResourceConfig",
    "ValidateActionConfig",
    "ValidateStateStoreConfig",
    "UpgradeResourceState",
    "UpgradeResourceIdentity",
    "MoveResourceState",
    "GenerateResourceConfig",
    "CallFunction",
    # What looks at the world and changes nothing in it, by Terraform's contract with providers.
    "ReadResource",
    "ReadDataSource",
    "ImportResourceState",
    "PlanResourceChange",
    "PlanAction",
    "GetStates",
})  # fmt: skip
"""By their names in protocol 6."""

NOT_REPEATED: Final = {
    "ApplyResourceChange": "it changes the world",
    "InvokeAction": "it changes the world",
    "ConfigureProvider": "a process takes one configuration, which its start has given it",
    "StopProvider": "it would stop what the replacement does for others",
    "OpenEphemeralResource": "each call makes a new secret or lease in the world",
    "RenewEphemeralResource": "a renewal may be counted, and a token may be good for one",
    "CloseEphemeralResource": "what is closed already may be an error, or another's by now",
    "ListResource": "a stream, of which the caller has had a part",
    "ConfigureStateStore": "as of ConfigureProvider",
    "ReadStateBytes": "a stream, of which the caller has had a part",
    "WriteStateBytes": "it changes the state that is stored",
    "DeleteState": "it changes the state that is stored",
    "LockState": "the lock of the first call would refuse the second",
    "UnlockState": "the lock may be another's by now",
}
"""The other methods, each with the reason."""


def idempotent_paths() -> frozenset[str]:
    """The paths of all methods that may be called again, in protocol 5 and in protocol 6."""
    in_5 = {f"/tfplugin5.Provider/{NAMES_OF_PROTOCOL_5.get(name, name)}" for name in REPEATED}
    return frozenset(in_5 | {f"/tfplugin6.Provider/{name}" for name in REPEATED})
