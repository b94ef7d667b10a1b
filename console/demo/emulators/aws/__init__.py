"""Amazon S3, STS and IAM, by moto, made as strict as AWS."""
