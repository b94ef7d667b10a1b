"""Who may do what: the one table that views, templates, the admin and the tests read."""

from __future__ import annotations

from enum import StrEnum

from django.utils.translation import gettext_lazy


class Permission(StrEnum):
    """Something that a role allows; a view names one, and a template asks for `membership.may.<name>`."""

    SEE_ACCOUNTS = "see_accounts"
    MANAGE_ACCOUNTS = "manage_accounts"
    SEE_STORES = "see_stores"  # and clusters and tasks: all but secrets
    MANAGE_STORES = "manage_stores"
    MANAGE_CLUSTERS = "manage_clusters"
    SEE_SECRETS = "see_secrets"  # configuration files with keys and passphrases in them
    LET_GO = "let_go"  # passphrases that nothing needs any more
    SEE_MEMBERS = "see_members"
    MANAGE_MEMBERS = "manage_members"
    SEE_AUDIT = "see_audit"
    MANAGE_ALERTS = "manage_alerts"  # acknowledge, silence, and say whom they are told; who sees stores sees alerts


_VIEWER = frozenset({Permission.SEE_ACCOUNTS, Permission.SEE_STORES, Permission.SEE_MEMBERS})
_AUDITOR = _VIEWER | {Permission.SEE_AUDIT}
_ADMIN = _AUDITOR | {
    Permission.MANAGE_ACCOUNTS,
    Permission.MANAGE_STORES,
    Permission.MANAGE_CLUSTERS,
    Permission.SEE_SECRETS,
    Permission.MANAGE_ALERTS,
}
_OWNER = _ADMIN | {Permission.MANAGE_MEMBERS, Permission.LET_GO}

# By role, as Membership.Role has them; "support" is nobody's membership, but staff who see the console as an
# organisation does (impersonation.py).
ROLES = {"owner": _OWNER, "admin": _ADMIN, "auditor": _AUDITOR, "viewer": _VIEWER, "support": _VIEWER}

# What the group of the support staff may do in the Django admin, beside viewing every row of these apps.
SUPPORT = "Support"
SUPPORT_SEES = ("accounts", "alerts", "api", "audit", "cloud_accounts", "operations", "stores", "clusters")
SUPPORT_MAY = frozenset(
    {
        "accounts.change_organisation",  # its edition and its limits
        "accounts.see_as_organisation",
        "operations.act_on_operation",
    }
)

# What only the Enterprise edition has.
ENTERPRISE = frozenset(
    {
        Permission.SEE_STORES,
        Permission.MANAGE_STORES,
        Permission.MANAGE_CLUSTERS,
        Permission.SEE_SECRETS,
        Permission.LET_GO,
        Permission.MANAGE_ALERTS,
    }
)

# What each role may do, in the words that people read where they choose one.
ROLE_WORDS = {
    "owner": gettext_lazy("members, letting passphrases go, and all that admins may"),
    "admin": gettext_lazy("backup stores, clusters, cloud accounts, alerts and secrets"),
    "auditor": gettext_lazy("what viewers see, and the audit log with its evidence; changes nothing"),
    "viewer": gettext_lazy("sees everything but secrets and the audit log, and changes nothing"),
}

# What asks again for the password, or for what somebody has instead, by the view's name: within how many seconds it
# must have been given; or why an action asks for none. What shows secrets or says who may do what asks after five
# minutes; what takes away backups, their protection, or the nodes' way to them, after an hour.
MINUTES, HOUR = 300, 3600
ASKS_AGAIN: dict[str, int | str] = {
    "clusters:node_configuration": MINUTES,
    "clusters:node_setup": MINUTES,
    "clusters:node_files": MINUTES,
    "clusters:drill_setup": MINUTES,
    "clusters:enrolment_create": MINUTES,
    "clusters:enrolment_again": MINUTES,
    "clusters:kit": MINUTES,
    "clusters:kit_text": MINUTES,
    "clusters:repository_kit": MINUTES,
    "clusters:repository_kit_text": MINUTES,
    "clusters:restore_script": MINUTES,
    "clusters:repository_restore_script": MINUTES,
    "clusters:rescue_identity": MINUTES,
    "clusters:rescue_setup": MINUTES,
    "cloud_accounts:change": MINUTES,
    "organisation:invite": MINUTES,
    "organisation:leave": MINUTES,
    "organisation:remove": MINUTES,
    "organisation:revoke": MINUTES,
    "organisation:role": MINUTES,
    "organisation:second_factor": MINUTES,
    "own_data": MINUTES,
    "alerts:channel_create": MINUTES,  # it sends names and states of databases out of the house
    "alerts:channel_secret": MINUTES,
    "alerts:deadman": MINUTES,
    "alerts:channel_delete": HOUR,  # who hears nothing sees nothing
    "alerts:channel_edit": HOUR,
    "alerts:channel_switch": HOUR,
    "alerts:window_create": HOUR,
    "alerts:silence": HOUR,
    "alerts:repeat": HOUR,
    "cloud_accounts:unlink": HOUR,
    "cloud_accounts:looking": HOUR,  # who looks rarely sees late what is lost
    "clusters:alarm": HOUR,  # who lets it come late hides what is lost
    "clusters:archiving": HOUR,
    "clusters:database_remove": HOUR,
    "clusters:delete": HOUR,
    "clusters:drill_add": HOUR,  # its checks are run on machines
    "clusters:drill_edit": HOUR,
    "clusters:drill_remove": HOUR,  # what nobody tries any more, nobody knows
    "clusters:hand_over": HOUR,  # a node writes elsewhere, or by another schedule, from then on
    "clusters:take_back": HOUR,  # its nodes lose their access
    "clusters:key": HOUR,
    "clusters:key_end": HOUR,
    "clusters:key_replace": HOUR,
    "clusters:let_go": HOUR,
    "clusters:node_archiving": HOUR,
    "clusters:node_policy": HOUR,
    "clusters:node_remove": HOUR,
    "clusters:node_replication": HOUR,
    "clusters:node_stores": HOUR,
    "clusters:passphrase_replace": HOUR,
    "clusters:policy": HOUR,
    "clusters:stores": HOUR,
    "restoration:end": HOUR,
    "restoration:go_on": HOUR,
    "stores:delete": HOUR,
    "tokens:service_create": MINUTES,
    "tokens:service_remove": MINUTES,
    "tokens:service_token_create": MINUTES,
    "tokens:create": MINUTES,  # who has it is let in without a password
    # allauth's, by ACCOUNT_REAUTHENTICATION_TIMEOUT
    "mfa_activate_totp": MINUTES,
    "mfa_add_webauthn": MINUTES,
    "mfa_deactivate_totp": MINUTES,
    "mfa_download_recovery_codes": MINUTES,
    "mfa_edit_webauthn": MINUTES,
    "mfa_generate_recovery_codes": MINUTES,
    "mfa_remove_webauthn": MINUTES,
    "socialaccount_connections": MINUTES,
    # None of these takes anything away.
    "account_reauthenticate": "asks for it itself",
    "mfa_reauthenticate": "asks for it itself",
    "mfa_reauthenticate_webauthn": "asks for it itself",
    "own_language": "only chooses the language of one's own pages and mails",
    "stores:view": "only chooses how lists look for oneself",
    "clusters:view": "only chooses how lists look for oneself",
    "account_change_password": "wants the present one itself",
    "alerts:acknowledge": "says that somebody is at it, is written down, and can be taken back",
    "alerts:channel_link": "sends a link to the address that it is about",
    "alerts:channel_test": "sends a test to where alerts go already",
    "alerts:confirm": "is the owner of the mailbox, by a link",
    "alerts:unacknowledge": "has it told again",
    "alerts:unsilence": "has it told again",
    "alerts:window_end": "has alerts told again",
    "cloud_accounts:link": "adds an account, with its own proof",
    "cloud_accounts:verify": "looks",
    "clusters:backups_refresh": "looks",
    "clusters:bring_in": "takes up what is there; who knows its passphrase can read it already",
    "clusters:bring_in_add": "takes up what is there; who knows its passphrase can read it already",
    "clusters:bring_in_forget": "nothing has come of it",
    "clusters:bring_in_list": "looks",
    "clusters:bring_in_look": "looks",
    "clusters:create": "adds",
    "clusters:database_add": "adds",
    "clusters:enrolment_revoke": "takes away a token that was to end today anyway",
    "clusters:lost_forget": "says who deleted what is gone already, and is written down",
    "clusters:node_add": "adds",
    "clusters:node_machine": "says what a node's machine is like; each file of it is applied by hand",
    "clusters:node_edit": "says which pgBackRest and which place a node has; each file of it is applied by hand",
    "clusters:key_back": "both keys open the stores until every node has the one that is handed out again",
    "clusters:node_token": "shows nothing",
    "clusters:proximity": "looks",
    "clusters:removed_node_forget": "the node is removed already; its backups and their passphrase stay",
    "clusters:repair": "sets what the nodes' access should have",
    "clusters:retry": "goes on with what was confirmed",
    "clusters:rescue_identity_end": "takes away what only reads",
    "joining_strength": "looks",
    "organisation:switch": "opens another organisation of one's own",
    "password_strength": "looks",
    "preflight:check": "looks",
    "restoration:give_up": "ends what would have been done, and does nothing",
    "restoration:look": "looks",
    "restoration:node_file": "takes up what is there; what it is given opens the backups already",
    "restoration:settle": "says that somebody has seen it, and changes nothing",
    "session_end": "signs out",
    "socialaccount_signup": "asks nothing: who is invited comes in",
    "stores:accept": "changes nothing at the cloud, is written down, and can be taken back",
    "stores:cancel": "keeps what was to be deleted",
    "stores:create": "adds",
    "stores:existing": "adds, sets what was agreed to, and deletes nothing",
    "stores:existing_add": "looks",
    "stores:existing_add_all": "adds, and leaves all as it is",
    "stores:existing_drop": "forgets what was seen, and changes nothing",
    "stores:existing_import": "looks",
    "stores:existing_look": "looks",
    "stores:reconsider": "takes an acceptance back",
    "stores:repair": "sets what a store should have",
    "stores:retry": "goes on with what was confirmed",
    "stores:unmanaged_adopt": "takes up what the console made itself",
    "stores:unmanaged_ignore": "hides a line, and can be taken back",
    "stores:unmanaged_list_again": "shows a line again",
    "stores:unmanaged_scan": "looks",
    "stores:verify": "looks",
    "tokens:revoke": "takes away a token, which nobody should wait with",
    "usersessions_list": "signs out",
}
