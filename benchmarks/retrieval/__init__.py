"""Retrieval measured on public sets with known answers."""
