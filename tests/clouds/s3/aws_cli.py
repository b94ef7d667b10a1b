"""What the commands that are shown need of the AWS CLI, on the library that it is made of: run as a program.

It takes the options of the CLI that they use, prints as the CLI does (`None` for a query that finds nothing), and ends
with 254 for an error of the server, as the CLI documents.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import boto3
import jmespath
from botocore.config import Config
from botocore.exceptions import ClientError

NAMES = {"max-keys": "MaxKeys", "bucket": "Bucket", "prefix": "Prefix", "upload-id": "UploadId", "key": "Key"}


def main() -> int:
    """Make the one call, and print what its query finds."""
    asked = argparse.ArgumentParser()
    asked.add_argument("service", choices=["s3api", "s3"])
    asked.add_argument("operation")
    asked.add_argument("path", nargs="?")
    for name in (*NAMES, "delete", "query", "output", "endpoint-url", "region", "ca-bundle"):
        asked.add_argument(f"--{name}")
    for name in ("no-paginate", "recursive", "no-verify-ssl", "bypass-governance-retention"):
        asked.add_argument(f"--{name}", action="store_true")
    options = vars(asked.parse_args())
    s3 = boto3.client(
        "s3",
        endpoint_url=options["endpoint_url"],
        region_name=options["region"],
        verify=os.environ["CA_FILE"],
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )
    arguments = {NAMES[name]: options[name.replace("-", "_")] for name in NAMES if options[name.replace("-", "_")]}
    if "MaxKeys" in arguments:
        arguments["MaxKeys"] = int(arguments["MaxKeys"])
    if options["delete"]:
        arguments["Delete"] = json.loads(options["delete"])
    if options["service"] == "s3":
        bucket, _, prefix = options["path"].removeprefix("s3://").partition("/")
        for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=one["Key"])
        return 0
    try:
        found = getattr(s3, options["operation"].replace("-", "_"))(**arguments)
    except ClientError as error:
        print(error, file=sys.stderr)
        return 254
    found = {name: value for name, value in found.items() if name != "ResponseMetadata"}
    shown = jmespath.search(options["query"], found) if options["query"] else found
    if options["output"] == "text":
        rows = shown if isinstance(shown, list) else [[shown]]
        for row in rows:
            print("\t".join(map(str, row if isinstance(row, list) else row.values())))
    elif shown not in ({}, None):
        print(json.dumps(shown, indent=4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
