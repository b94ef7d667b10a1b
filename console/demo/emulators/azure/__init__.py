"""Azure: signing in, Azure Resource Manager, and blobs, which Azurite keeps."""
