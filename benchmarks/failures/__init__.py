"""What a shopper is told while a part is away: `python -m benchmarks.failures`."""
