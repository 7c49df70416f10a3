"""The web process: health, the feed, webhooks, and additions to Flower."""
