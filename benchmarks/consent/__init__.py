"""Whether a yes is understood as one, and nothing else is."""
