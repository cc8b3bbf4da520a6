"""What the asyncio and the blocking client share: one plugin as its host sees it, whatever the host waits on."""
