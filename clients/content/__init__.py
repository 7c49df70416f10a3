"""The posts to publish, their short form, and the templates of the pages that show them."""

from clients.content.folder import PostNotFound, Scan, due, load, scan
from clients.content.front_matter import BrokenPost
from clients.content.post import Post

__all__ = ["BrokenPost", "Post", "PostNotFound", "Scan", "due", "load", "scan"]
