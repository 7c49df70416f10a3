"""Ask language models: the providers, one chat completion, and the fallback when none answers."""
