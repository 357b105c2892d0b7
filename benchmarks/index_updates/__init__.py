"""What an index does while it changes: under readers, under kill, from one day to the next, and in memory."""
