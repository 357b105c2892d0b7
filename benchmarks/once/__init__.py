"""Actions happen exactly once, whatever is killed: `python -m benchmarks.once`."""
