"""The common part of the asyncio and the blocking client: one plugin as its host sees it."""
