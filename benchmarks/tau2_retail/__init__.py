"""The whole tau2 retail shop: its tools, an oracle that plays its tasks, and mutations that must all be refused."""
