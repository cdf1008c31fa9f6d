"""Services that use the client library, and plans to release them with."""
