"""Writes chats.jsonl: situations written by hand, played with the shop's own orders and products, seeded."""
