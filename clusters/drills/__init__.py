"""Restore drills and verifications: who is to do them, what they say came of it, and whether that is believed."""
