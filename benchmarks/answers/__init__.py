"""Right answers on questions about a shop."""
