"""A small asyncio service with two model versions behind one Router."""
