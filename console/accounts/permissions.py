"""Who may do what: the one table that views, templates, the admin and the tests read."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """Something that a role allows; a view names one, and a template asks for `membership.may.<name>`."""

    SEE_ACCOUNTS = "see_accounts"
    MANAGE_ACCOUNTS = "manage_accounts"
    SEE_STORES = "see_stores"  # and clusters and tasks: all but secrets
    MANAGE_STORES = "manage_stores"
    MANAGE_CLUSTERS = "manage_clusters"
    SEE_SECRETS = "see_secrets"  # configuration files with keys and passphrases in them
    SEE_MEMBERS = "see_members"
    MANAGE_MEMBERS = "manage_members"
    SEE_AUDIT = "see_audit"


_VIEWER = frozenset({Permission.SEE_ACCOUNTS, Permission.SEE_STORES, Permission.SEE_MEMBERS})
_ADMIN = _VIEWER | {
    Permission.MANAGE_ACCOUNTS,
    Permission.MANAGE_STORES,
    Permission.MANAGE_CLUSTERS,
    Permission.SEE_SECRETS,
    Permission.SEE_AUDIT,
}
_OWNER = _ADMIN | {Permission.MANAGE_MEMBERS}

# By role, as Membership.Role has them; "support" is nobody's membership, but staff who see the console as an
# organisation does (impersonation.py).
ROLES = {"owner": _OWNER, "admin": _ADMIN, "viewer": _VIEWER, "support": _VIEWER}

# What the group of the support staff may do in the Django admin, beside viewing every row of these apps.
SUPPORT = "Support"
SUPPORT_SEES = ("accounts", "audit", "cloud_accounts", "operations", "stores", "clusters")
SUPPORT_MAY = frozenset(
    {
        "accounts.change_organisation",  # its edition and its limits
        "accounts.see_as_organisation",
        "operations.act_on_operation",
    }
)

# What only the Enterprise edition has.
ENTERPRISE = frozenset(
    {Permission.SEE_STORES, Permission.MANAGE_STORES, Permission.MANAGE_CLUSTERS, Permission.SEE_SECRETS}
)

# What each role may do, in the words that people read where they choose one.
ROLE_WORDS = {
    "owner": "members, and all that admins may",
    "admin": "backup stores, clusters, cloud accounts and secrets",
    "viewer": "sees everything but secrets, and changes nothing",
}
