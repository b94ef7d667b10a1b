"""Buckets and objects of the emulated Google: what the JSON API of Cloud Storage takes, refuses and gives back.

Each rule names the page of Google's documentation that it is taken from.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from console.demo.emulators.google.iam import ROLES, Condition, Directory, Project, Refusal
from console.demo.emulators.google.locations import MULTI_REGIONS, REGIONS
from console.demo.emulators.google.objects import Bucket, Stored, Upload, now

SETTABLE = {  # "Buckets" resource representation, what of it can be written
    *("name", "location", "storageClass", "labels", "lifecycle", "logging", "versioning", "softDeletePolicy"),
    *("iamConfiguration", "defaultEventBasedHold", "retentionPolicy", "encryption", "website", "cors", "billing"),
    *("rpo", "autoclass", "acl", "defaultObjectAcl"),
}
ACTIONS = {"Delete", "AbortIncompleteMultipartUpload", "SetStorageClass"}
CONDITIONS = {  # "Object Lifecycle Management"
    *("age", "createdBefore", "customTimeBefore", "daysSinceCustomTime", "daysSinceNoncurrentTime", "isLive"),
    *("matchesPrefix", "matchesStorageClass", "matchesSuffix", "noncurrentTimeBefore", "numNewerVersions"),
}
# Who has something in a new bucket by belonging to its project ("IAM roles for Cloud Storage", convenience values).
CONVENIENCE = (
    ("roles/storage.legacyBucketOwner", ("projectEditor", "projectOwner")),
    ("roles/storage.legacyBucketReader", ("projectViewer",)),
    ("roles/storage.legacyObjectOwner", ("projectEditor", "projectOwner")),
    ("roles/storage.legacyObjectReader", ("projectViewer",)),
)
LOG_WRITER = "group:cloud-storage-analytics@google.com"
CHUNK = 256 * 1024  # of which each part of a resumable upload is a multiple, but the last


def _modified(bucket: Bucket, body: Mapping[str, Any]) -> list[str]:
    """Return the roles whose bindings a new policy changes ("Set limits on granting roles")."""

    def given(bindings: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
        return {(one["role"], who, str(one.get("condition"))) for one in bindings for who in one["members"]}

    return sorted({role for role, _, _ in given(bucket.policy["bindings"]) ^ given(body.get("bindings", []))})


class Storage:
    """All buckets; a method for each call, which gets who calls and what, and returns what is answered."""

    def __init__(self, directory: Directory, create_seconds: float) -> None:
        """Begin without a bucket; a project may create one every so many seconds."""
        self.directory, self.create_seconds = directory, create_seconds
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, Upload] = {}
        self.free_at: dict[str, float] = {}
        self._generation = time.time_ns() // 1000

    # Permissions

    def check(
        self, email: str, permission: str, bucket: Bucket, key: str = "", prefix: str | None = None, **api: Any
    ) -> None:
        """Refuse what neither the project nor the bucket grants ("IAM permissions for JSON methods")."""
        if not self.may(email, permission, bucket, key, prefix, **api):
            where = "object" if key or ".objects." in permission else "bucket"
            name = f"projects/_/buckets/{bucket.name}" + (f"/objects/{key}" if key else "")
            raise Refusal(
                403,
                "forbidden",
                f"{email} does not have {permission} access to the Google Cloud Storage {where}. Permission "
                f"'{permission}' denied on resource '//storage.googleapis.com/{name}' (or it may not exist).",
            )

    def may(
        self, email: str, permission: str, bucket: Bucket, key: str = "", prefix: str | None = None, **api: Any
    ) -> bool:
        """Return whether it is granted; listing is asked of the bucket, with the prefix as an attribute of the call.

        `api` are other attributes of the call ("Attribute reference for IAM Conditions", API attributes).
        """
        about = {
            **api,
            "resource__name": f"projects/_/buckets/{bucket.name}" + (f"/objects/{key}" if key else ""),
            "resource__type": f"storage.googleapis.com/{'Object' if key else 'Bucket'}",
            "resource__service": "storage.googleapis.com",
        }
        if prefix is not None:
            about["list_prefix"] = prefix
        project = self.directory.projects[bucket.project]
        return self.directory.may(email, permission, project, bucket.policy["bindings"], **about)

    def of_project(self, email: str, permission: str, project: Project) -> None:
        """Refuse what the project does not grant; conditions on buckets' names hold for no project."""
        about = {"resource__type": "cloudresourcemanager.googleapis.com/Project"}
        about["resource__name"] = f"//cloudresourcemanager.googleapis.com/projects/{project.number}"
        if not self.directory.may(email, permission, project, (), **about):
            raise Refusal(
                403,
                "forbidden",
                f"{email} does not have {permission} access to the Google Cloud project. Permission '{permission}' "
                "denied on resource (or it may not exist).",
            )

    def find(self, name: str) -> Bucket:
        """Return the bucket; raises the refusal for one that is not there, or whose project nobody pays for."""
        bucket = self.buckets.get(name)
        if bucket is None:
            raise Refusal(404, "notFound", "The specified bucket does not exist.")
        self.paid(self.directory.projects[bucket.project])
        return bucket

    def paid(self, project: Project) -> None:
        """Refuse what a project without a billing account asks ("Troubleshooting", Cloud Storage)."""
        if not project.billed:
            raise Refusal(
                403, "accountDisabled", "The billing account for the owning project is disabled in state absent"
            )

    # Buckets

    def insert(self, email: str, query: Mapping[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """Create a bucket ("Buckets: insert")."""
        project = self.directory.project(query.get("project", ""))
        if project is None:
            raise Refusal(400, "invalid", "Unknown project id: " + query.get("project", ""))
        self.of_project(email, "storage.buckets.create", project)
        self.paid(project)
        name = str(body.get("name", ""))
        _check_name(name)
        location = str(body.get("location", "US")).upper()
        if location not in MULTI_REGIONS | REGIONS:
            raise Refusal(400, "invalid", "The specified location constraint is not valid.")
        if "gcp.resourceLocations" in project.constraints:
            message = f"'{location.lower()}' violates constraint 'constraints/gcp.resourceLocations'"
            raise Refusal(412, "orgPolicyConstraintFailed", message)
        self._check_rate(project)
        if name in self.buckets:
            mine = self.buckets[name].project == project.id
            message = "Your previous request to create the named bucket succeeded and you already own it."
            taken = "The requested bucket name is not available. The bucket namespace is shared by all users of the "
            taken += "system. Please select a different name and try again."
            raise Refusal(409, "conflict", message if mine else taken)
        settings = {
            "kind": "storage#bucket",
            "id": name,
            "name": name,
            "projectNumber": project.number,
            "location": location,
            "locationType": "multi-region" if location in MULTI_REGIONS else "region",
            "storageClass": "STANDARD",
            "timeCreated": now(),
            "updated": now(),
            "metageneration": "1",
            # What Google gives every new bucket by itself ("Soft delete", "Public access prevention").
            "softDeletePolicy": {"retentionDurationSeconds": "604800", "effectiveTime": now()},
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": False},
                "publicAccessPrevention": "inherited",
            },
        }
        _merge(settings, _checked({key: value for key, value in body.items() if key not in {"name", "location"}}))
        self.buckets[name] = Bucket(settings, project.id, _new_policy(project))
        return self._shown(self.buckets[name])

    def _check_rate(self, project: Project) -> None:
        """Let a project create one bucket every two seconds or so ("Quotas and limits", Cloud Storage)."""
        clock = time.monotonic()
        if clock < self.free_at.get(project.id, 0):
            message = "The project exceeded the rate limit for creating and deleting buckets."
            raise Refusal(429, "rateLimitExceeded", message)
        self.free_at[project.id] = clock + self.create_seconds

    def _shown(self, bucket: Bucket) -> dict[str, Any]:
        etag = base64.b64encode(bucket.settings["metageneration"].encode()).decode()
        return {**bucket.settings, "etag": etag}

    def get(self, email: str, name: str) -> dict[str, Any]:
        """Return a bucket's settings ("Buckets: get")."""
        bucket = self.find(name)
        self.check(email, "storage.buckets.get", bucket)
        return self._shown(bucket)

    def list_buckets(self, email: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the buckets of a project ("Buckets: list")."""
        project = self.directory.project(query.get("project", ""))
        if project is None:
            raise Refusal(400, "invalid", "Unknown project id: " + query.get("project", ""))
        self.of_project(email, "storage.buckets.list", project)
        self.paid(project)
        mine = [self.buckets[name] for name in sorted(self.buckets) if self.buckets[name].project == project.id]
        found = [one for one in mine if one.name.startswith(query.get("prefix", ""))]
        page, token = _page(found, query, lambda one: one.name)
        answer: dict[str, Any] = {"kind": "storage#buckets"}
        if page:
            answer["items"] = [self._shown(one) for one in page]
        return answer | token

    def patch(self, email: str, name: str, query: Mapping[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """Change a bucket's settings ("Buckets: patch")."""
        bucket = self.find(name)
        self.check(email, "storage.buckets.get", bucket)
        self.check(email, "storage.buckets.update", bucket)
        if query.get("ifMetagenerationMatch", bucket.settings["metageneration"]) != bucket.settings["metageneration"]:
            message = "At least one of the pre-conditions you specified did not hold."
            raise Refusal(412, "conditionNotMet", message)
        if "retentionPolicy" in body and (bucket.settings.get("retentionPolicy") or {}).get(
            "isLocked"
        ):  # "Bucket Lock"
            raise Refusal(403, "forbidden", f"Cannot remove or shorten the locked retention policy of {name}.")
        for fixed in ("name", "location"):
            if fixed in body and str(body[fixed]).upper() != str(bucket.settings[fixed]).upper():
                raise Refusal(400, "invalid", f"The {fixed} of a bucket cannot be changed.")
        _merge(
            bucket.settings, _checked({key: value for key, value in body.items() if key not in {"name", "location"}})
        )
        bucket.settings["metageneration"] = str(int(bucket.settings["metageneration"]) + 1)
        bucket.settings["updated"] = now()
        return self._shown(bucket)

    def delete(self, email: str, name: str) -> None:
        """Delete a bucket that holds nothing ("Buckets: delete")."""
        bucket = self.find(name)
        self.check(email, "storage.buckets.delete", bucket)
        if not bucket.is_empty:
            raise Refusal(409, "conflict", "The bucket you tried to delete was not empty.")
        del self.buckets[name]

    # Policies

    def get_policy(self, email: str, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a bucket's policy ("Buckets: getIamPolicy")."""
        bucket = self.find(name)
        self.check(email, "storage.buckets.getIamPolicy", bucket)
        conditional = any("condition" in one for one in bucket.policy["bindings"])
        if conditional and query.get("optionsRequestedPolicyVersion") != "3":
            message = "Requested policy version must be at least 3, since the policy has conditional role bindings."
            raise Refusal(400, "invalid", message)
        return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{name}", **bucket.policy}

    def set_policy(self, email: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Replace a bucket's policy ("Buckets: setIamPolicy")."""
        bucket = self.find(name)
        self.check(email, "storage.buckets.setIamPolicy", bucket, modified_roles=_modified(bucket, body))
        if body.get("etag", bucket.policy["etag"]) != bucket.policy["etag"]:
            message = "At least one of the pre-conditions you specified did not hold."
            raise Refusal(412, "conditionNotMet", message)
        bindings = body.get("bindings", [])
        project = self.directory.projects[bucket.project]
        for binding in bindings:
            self._check_binding(bucket, project, binding, int(body.get("version", 1)))
        bucket.policy = {"version": body.get("version", 1), "bindings": bindings, "etag": _etag()}
        return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{name}", **bucket.policy}

    def _check_binding(self, bucket: Bucket, project: Project, binding: dict[str, Any], version: int) -> None:
        settings = bucket.settings["iamConfiguration"]
        if not (ROLES.get(binding["role"]) or binding["role"] in project.roles):
            raise Refusal(400, "invalid", f"Role {binding['role']} is not supported for this resource.")
        for member in binding["members"]:
            kind, _, who = member.partition(":")
            if kind == "serviceAccount" and who not in self.directory.accounts:
                raise Refusal(400, "invalid", f"Service account {who} does not exist.")
            if member in {"allUsers", "allAuthenticatedUsers"} and settings["publicAccessPrevention"] == "enforced":
                message = "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access "
                raise Refusal(412, "conditionNotMet", f"{message}prevention is enforced.")
            if member == LOG_WRITER and "iam.allowedPolicyMemberDomains" in project.constraints:
                message = "One or more users named in the policy do not belong to a permitted customer, perhaps due to "
                raise Refusal(412, "conditionNotMet", f"{message}an organization policy.")
        if condition := binding.get("condition"):
            if version != 3:
                raise Refusal(400, "invalid", "Policy version must be 3 for a policy with conditional role bindings.")
            if not settings["uniformBucketLevelAccess"]["enabled"]:
                raise Refusal(412, "conditionNotMet", "Conditions need uniform bucket-level access.")
            try:
                Condition(condition["expression"])
            except ValueError:
                raise Refusal(400, "invalid", "Condition expression compilation failed.") from None

    def test_permissions(self, email: str, name: str, permissions: list[str]) -> dict[str, Any]:
        """Return which of the permissions the caller has on the bucket ("Buckets: testIamPermissions")."""
        bucket = self.find(name)
        granted = [one for one in permissions if self.may(email, one, bucket)]
        return {"kind": "storage#testIamPermissionsResponse", **({"permissions": granted} if granted else {})}

    # Objects

    def list_objects(self, email: str, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the objects of a bucket ("Objects: list")."""
        bucket, prefix, delimiter = self.find(name), query.get("prefix", ""), query.get("delimiter", "")
        self.check(email, "storage.objects.list", bucket, prefix=prefix)
        found: list[tuple[str, Stored | None]] = []
        versions, soft = (query.get(name, "").lower() == "true" for name in ("versions", "softDeleted"))
        if versions and soft:
            raise Refusal(400, "invalid", "versions and softDeleted cannot both be true.")
        for one in bucket.generations(soft_deleted=soft):
            if not one.name.startswith(prefix) or (one.deleted and not (versions or soft)):
                continue
            below, cut, _ = one.name.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            folder = f"{prefix}{below}{delimiter}" if cut else ""
            if not folder:
                found.append((f"{one.name}\0{one.generation:020}", one))
            elif not found or found[-1][0] != folder:
                found.append((folder, None))
        begin = query.get("startOffset", "")  # "lexicographically equal to or after"
        found = [row for row in found if row[0] >= begin]
        page, token = _page(found, query, lambda row: row[0])
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if items := [one.resource(name) for _, one in page if one]:
            answer["items"] = items
        if prefixes := [folder for folder, one in page if one is None]:
            answer["prefixes"] = prefixes
        return answer | token

    def get_object(self, email: str, name: str, key: str, query: Mapping[str, str]) -> Stored:
        """Return an object ("Objects: get"); without leave to list, what is missing is refused and not missing."""
        bucket = self.find(name)
        self.check(email, "storage.objects.get", bucket, key)
        found = self._generation_of(bucket, key, query)
        if found is None:
            raise Refusal(404, "notFound", f"No such object: {name}/{key}")
        return found

    def _generation_of(self, bucket: Bucket, key: str, query: Mapping[str, str]) -> Stored | None:
        if wanted := query.get("generation"):
            there = (one for one in bucket.objects.get(key, []) if not one.lost)
            return next((one for one in there if str(one.generation) == wanted), None)
        return bucket.live(key)

    def put_object(
        self, email: str, name: str, key: str, data: bytes, *, content_type: str, query: Mapping[str, str]
    ) -> Stored:
        """Write an object ("Objects: insert"); overwriting one takes the permission to delete it, too."""
        bucket = self.find(name)
        self.check(email, "storage.objects.create", bucket, key)
        there = bucket.live(key)
        if there:
            self.check(email, "storage.objects.delete", bucket, key)
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and wanted != str(there.generation if there else 0):
            message = "At least one of the pre-conditions you specified did not hold."
            raise Refusal(412, "conditionNotMet", message)
        if there:
            self._retire(bucket, there, noncurrent=True)
        self._generation += 1
        made = Stored(key, data, self._generation, content_type=content_type or "application/octet-stream")
        bucket.objects.setdefault(key, []).append(made)
        return made

    def delete_object(self, email: str, name: str, key: str, query: Mapping[str, str]) -> None:
        """Delete an object, or the one generation that is named ("Objects: delete")."""
        bucket = self.find(name)
        self.check(email, "storage.objects.delete", bucket, key)
        found = self._generation_of(bucket, key, query)
        if found is None:
            raise Refusal(404, "notFound", f"No such object: {name}/{key}")
        self._retire(bucket, found, noncurrent="generation" not in query)

    def _retire(self, bucket: Bucket, one: Stored, *, noncurrent: bool) -> None:
        """Keep what is deleted as a noncurrent version, or soft-deleted, or not at all, as the bucket is set."""
        if noncurrent and bucket.settings.get("versioning", {}).get("enabled"):
            one.deleted = now()
        elif int(bucket.settings["softDeletePolicy"]["retentionDurationSeconds"]):
            one.lost = now()
        else:
            bucket.objects[one.name].remove(one)
            if not bucket.objects[one.name]:
                del bucket.objects[one.name]

    def begin_upload(self, email: str, name: str, key: str, content_type: str) -> str:
        """Begin a resumable upload and return its ID ("Resumable uploads"): whoever has the ID may go on with it."""
        self.check(email, "storage.objects.create", self.find(name), key)
        upload_id = secrets.token_urlsafe(32)
        self.uploads[upload_id] = Upload(name, key, email, content_type)
        return upload_id

    def go_on(self, upload_id: str, span: str, data: bytes, query: Mapping[str, str]) -> Stored | int:
        """Take a part of a resumable upload; returns the object when it was the last, else how much there is."""
        upload = self.uploads.get(upload_id)
        if upload is None:
            raise Refusal(404, "notFound", "The upload is not known.")
        asked = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", span) if span else None
        if span and not asked:
            raise Refusal(400, "invalid", "Failed to parse Content-Range header.")
        total = None if not asked or asked[3] == "*" else int(asked[3])
        if asked and asked[1] is not None:
            if int(asked[1]) != len(upload.data) or int(asked[2]) - int(asked[1]) + 1 != len(data):
                raise Refusal(400, "invalid", "Invalid request. The Content-Range does not fit what is there.")
            if total is None and len(data) % CHUNK:
                message = "Invalid request. According to the Content-Range header, the upload offset is not a multiple "
                raise Refusal(400, "invalid", f"{message}of 262144 bytes.")
        upload.data += data
        if asked and (total is None or total != len(upload.data)):
            return len(upload.data)
        del self.uploads[upload_id]
        return self.put_object(
            upload.email, upload.bucket, upload.name, bytes(upload.data), content_type=upload.content_type, query=query
        )


def _page(found: list[Any], query: Mapping[str, str], key: Callable[[Any], str]) -> tuple[list[Any], dict[str, str]]:
    """Return a page of what was found, and the token of the next one."""
    after = base64.urlsafe_b64decode(query["pageToken"]).decode() if query.get("pageToken") else ""
    rest = [one for one in found if key(one) > after]
    size = min(int(query.get("maxResults") or 1000), 1000)
    page = rest[:size]
    if len(rest) <= size:
        return page, {}
    return page, {"nextPageToken": base64.urlsafe_b64encode(key(page[-1]).encode()).decode()}


def _etag() -> str:
    return base64.b64encode(secrets.token_bytes(6)).decode()


def _new_policy(project: Project) -> dict[str, Any]:
    bindings = [{"role": role, "members": [f"{kind}:{project.id}" for kind in kinds]} for role, kinds in CONVENIENCE]
    return {"version": 1, "bindings": bindings, "etag": _etag()}


def _check_name(name: str) -> None:
    """Refuse illegal names ("About Cloud Storage buckets", bucket names)."""
    legal = (
        re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", name)
        and not name.startswith("goog")
        and not re.search(r"g[o0]{2}g[l1i]e", name)
    )
    if not legal or "." in name:  # with a dot: a domain, whose owner must have proven that it is theirs
        raise Refusal(400, "invalid", f"Invalid bucket name: '{name}'")


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """Return the settings if they are such as a bucket can have."""
    for name in body:
        if name not in SETTABLE:
            raise Refusal(400, "invalid", f'Invalid JSON payload received. Unknown name "{name}"')
    for key, value in (body.get("labels") or {}).items():  # "Bucket labels"
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value or ""):
            raise Refusal(400, "invalid", f"Invalid label: {key}")
    soft = body.get("softDeletePolicy")
    if soft is not None:
        seconds = int(soft.get("retentionDurationSeconds", 0))
        if seconds and not 7 * 86400 <= seconds <= 90 * 86400:  # "Soft delete"
            raise Refusal(400, "invalid", "The soft delete retention duration must be 0 or between 7 and 90 days.")
        body = {**body, "softDeletePolicy": {"retentionDurationSeconds": str(seconds), "effectiveTime": now()}}
    for rule in (body.get("lifecycle") or {}).get("rule", []):
        action, conditions = rule.get("action", {}).get("type"), rule.get("condition", {})
        if action not in ACTIONS or not conditions or not set(conditions) <= CONDITIONS:
            raise Refusal(400, "invalid", "A lifecycle management rule is not valid.")
        if action == "AbortIncompleteMultipartUpload" and not set(conditions) <= {
            "age",
            "matchesPrefix",
            "matchesSuffix",
        }:
            raise Refusal(400, "invalid", "AbortIncompleteMultipartUpload takes no such condition.")
    access = body.get("iamConfiguration") or {}
    if access.get("publicAccessPrevention") not in {None, "enforced", "inherited"}:
        raise Refusal(400, "invalid", "Invalid value for publicAccessPrevention.")
    return body


def _merge(settings: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Change the settings as a JSON merge patch says; of a bucket's lists, each is replaced as a whole."""
    for key, value in body.items():
        if value is None:
            settings.pop(key, None)
        elif key in {"labels", "iamConfiguration"} or (isinstance(value, dict) and isinstance(settings.get(key), dict)):
            _merge(settings.setdefault(key, {}), value)
        else:
            settings[key] = value
