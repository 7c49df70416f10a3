"""What a text from outside becomes: characters, JSON, Markdown, HTML, plain text. Imports nothing that talks."""
