"""Comparisons and measures, one module each; `python -m benchmarks --help`."""
