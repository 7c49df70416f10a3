"""Decode text from strangers: character sets, JSON, feeds, HTML, Markdown. Nothing here opens a connection."""
