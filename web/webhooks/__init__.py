"""The webhook door: `POST /hooks/{source}`."""
