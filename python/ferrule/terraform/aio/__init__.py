"""The async face: providers for programs of asyncio."""
