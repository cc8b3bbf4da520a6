"""Pools for threads: a pool of asyncio on a thread of its own, and leases that threads keep for a moment."""
