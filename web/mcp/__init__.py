"""`/mcp`: the gated tasks as tools for language models, by the Model Context Protocol. Off unless MCP=on.

The SDK takes 30 MB, so only `server.py` imports it, and only if it is switched on.
"""
