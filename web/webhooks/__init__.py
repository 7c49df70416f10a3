"""Webhooks: `POST /hooks/{source}`, from the request to the call that it starts."""
