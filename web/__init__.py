"""What Gatehouse serves over HTTP: health, the feed, webhooks, and what Flower needs."""
