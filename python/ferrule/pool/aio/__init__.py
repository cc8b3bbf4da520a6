"""The pool for asyncio: the driver that carries out what the policy decides."""
