"""Clusters: PostgreSQL nodes and the stores attached to them. Sits above stores; nothing imports it."""
