"""Whether each database can be restored, to when, and who has tried: judged from what was read, kept, and shown."""
