"""Bringing in a repository that was there before its cluster: what is asked, opened, watched, and handed over."""
