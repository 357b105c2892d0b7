"""Chat logs and shopper behaviour in, fine-tuned adapters and heads out. Nothing is built here yet.

The dialogue model and the heads that `shopbot` loads at inference are trained here; `shopbot` itself never imports
this package.
"""
