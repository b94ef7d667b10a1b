"""Google: Cloud Storage, IAM, Resource Manager and the token services."""
