"""The users of an S3-compatible server, in memory: enough of IAM for the plans, and calls that go wrong."""

# ruff: noqa: N803 - boto3's own names
from __future__ import annotations

import json

from botocore.exceptions import ClientError

from console.clouds.steps import LeaseLost


class Users:
    """What a server keeps of users, with the client's own methods; `lose` kills the worker right after that call."""

    def __init__(self):
        self.users, self.policies, self.keys, self.made = {}, {}, {}, 0
        self.lose, self.deny = "", ""

    def _called(self, name):
        if self.lose == name:
            self.lose = ""
            raise LeaseLost

    def _allowed(self, name):
        if self.deny == name:
            raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, name)

    def _missing(self, name):
        error = {"Error": {"Code": "NoSuchEntity"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        return ClientError(error, name)

    def create_user(self, UserName, Path, Tags=()):
        self.users.setdefault(UserName, list(Tags))

    def get_user(self, UserName):
        if UserName not in self.users:
            raise self._missing("GetUser")
        return {"User": {"UserName": UserName, "Tags": self.users[UserName]}}

    def put_user_policy(self, UserName, PolicyName, PolicyDocument):
        self.policies[UserName] = PolicyDocument

    def get_user_policy(self, UserName, PolicyName):
        return {"PolicyDocument": json.loads(self.policies[UserName])}  # as botocore reads it

    def delete_user_policy(self, UserName, PolicyName):
        self.policies.pop(UserName, None)

    def list_access_keys(self, UserName):
        return {"AccessKeyMetadata": [{"AccessKeyId": key} for key in self.keys.get(UserName, [])]}

    def create_access_key(self, UserName):
        self._allowed("create_access_key")
        self.made += 1
        key = f"AK{self.made}"
        self.keys.setdefault(UserName, []).append(key)
        self._called("create_access_key")
        return {"AccessKey": {"AccessKeyId": key, "SecretAccessKey": f"SECRET{self.made}"}}

    def delete_access_key(self, UserName, AccessKeyId):
        self.keys[UserName].remove(AccessKeyId)
        self._called("delete_access_key")

    @property
    def there(self):
        """Return the keys of all users."""
        return [key for found in self.keys.values() for key in found]
