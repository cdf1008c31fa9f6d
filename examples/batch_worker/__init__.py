"""A plain worker with threads, without asyncio."""
