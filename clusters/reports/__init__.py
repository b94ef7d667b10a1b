"""What nodes say of themselves: read, kept, judged and shown."""
