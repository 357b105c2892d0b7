"""The parts of `sample_shop/generate.py`: what writes the sample shop's orders, reviews and browsing events."""
