"""Talk to the outside: HTTP, language models, posts on disk, and the destinations that posts go to."""
