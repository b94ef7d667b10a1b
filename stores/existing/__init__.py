"""Existing buckets that become backup stores: read, decided about, brought in."""
