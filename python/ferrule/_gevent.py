"""Refusal of gevent: waiting in native code would stop all of its greenlets."""

from __future__ import annotations

import sys

from ferrule.errors import RPCPluginError

__all__ = ["refuse_greenlets"]


def refuse_greenlets(what: str) -> None:
    """Raises if gevent has made threads greenlets: while one waits in native code, no other one runs.

    Args:
        what: The refused thing, as the subject of a sentence.

    Raises:
        RPCPluginError: gevent has patched threads in this process.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        hint = "Use it in a process of its own, without gevent.monkey.patch_all(), or patch with thread=False."
        message = f"{what} cannot work under gevent: it waits in native code, and no other greenlet runs meanwhile"
        raise RPCPluginError(message, hint, "runtime.gevent")
