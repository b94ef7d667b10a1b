"""Which chapter of the manual helps on which page: the one table that the pages' help links come from."""

from __future__ import annotations

from functools import lru_cache

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import lazystr

# By chapter and heading: the addresses, by their names, whose help it is.
HELP: dict[str, tuple[str, ...]] = {
    "": ("help:index", "help:chapter", "search"),
    "getting-started": ("home",),
    "tasks/link-account": ("cloud_accounts:list", "cloud_accounts:link", "cloud_accounts:detail"),
    "tasks/link-account#change-or-unlink-an-account": ("cloud_accounts:change", "cloud_accounts:unlink"),
    "tasks/link-account#check-permissions": (
        "cloud_accounts:verify",
        "preflight:notice",
        "preflight:table",
        "preflight:check",
    ),
    "tasks/link-account#set-how-often-backups-are-read": ("cloud_accounts:looking",),
    "tasks/create-store": (
        "stores:list",
        "stores:view",
        "stores:create",
        "stores:detail",
        "stores:facts",
        "stores:verified",
    ),
    "tasks/create-store#protect-backups-from-deletion": ("stores:calculator",),
    "tasks/create-store#if-a-task-fails": (
        "stores:retry",
        "stores:cancel",
        "tasks:list",
        "tasks:detail",
        "tasks:outcome",
    ),
    "tasks/create-store#verify-and-repair": ("stores:verify", "stores:repair", "stores:accept", "stores:reconsider"),
    "tasks/create-store#adopt-what-a-lost-record-left": (
        "stores:unmanaged_list",
        "stores:unmanaged_scan",
        "stores:unmanaged_adopt",
        "stores:unmanaged_ignore",
        "stores:unmanaged_list_again",
    ),
    "tasks/register-cluster": (
        "clusters:list",
        "clusters:view",
        "clusters:create",
        "clusters:detail",
        "clusters:proximity",
    ),
    "tasks/register-cluster#attach-and-detach-stores": ("clusters:stores", "clusters:node_stores"),
    "tasks/register-cluster#add-databases": ("clusters:database_add", "clusters:database_remove"),
    "tasks/register-cluster#add-and-remove-nodes": (
        "clusters:node_add",
        "clusters:node_remove",
        "clusters:removed_node_forget",
    ),
    "tasks/register-cluster#standbys": ("clusters:node_replication",),
    "tasks/register-cluster#retention-schedule-and-archiving": (
        "clusters:policy",
        "clusters:node_policy",
        "clusters:archiving",
        "clusters:node_archiving",
    ),
    "tasks/register-cluster#if-the-access-of-the-nodes-is-not-as-it-should-be": ("clusters:repair", "clusters:retry"),
    "tasks/set-up-nodes": ("clusters:node", "clusters:node_files"),
    "tasks/set-up-nodes#describe-the-machine": ("clusters:node_edit", "clusters:node_machine"),
    "tasks/set-up-nodes#many-nodes-at-once": (
        "clusters:enrolments",
        "clusters:enrolment_create",
        "clusters:enrolment",
        "clusters:enrolment_revoke",
        "clusters:enrolment_again",
    ),
    "tasks/replace-keys": ("clusters:key", "clusters:key_replace", "clusters:key_end", "clusters:key_back"),
    "tasks/replace-keys#replace-a-report-token": ("clusters:node_token",),
    "tasks/replace-keys#replace-a-passphrase": ("clusters:passphrase_replace",),
    "tasks/watch": ("overview:databases", "overview:fleet", "stores_map"),
    "tasks/watch#set-when-a-database-counts-as-behind": ("clusters:alarm",),
    "tasks/watch#look-now": ("clusters:backups_refresh", "clusters:store_backups"),
    "tasks/watch#when-backups-are-missing": ("clusters:lost_forget",),
    "tasks/watch#keep-evidence": ("clusters:evidence", "audit:list"),
    "tasks/watch#be-told": (
        "alerts:list",
        "alerts:detail",
        "alerts:acknowledge",
        "alerts:unacknowledge",
        "alerts:silence",
        "alerts:unsilence",
        "alerts:confirm",
    ),
    "operating/alerting#channels": (
        "alerts:settings",
        "alerts:deliveries",
        "alerts:repeat",
        "alerts:channel_create",
        "alerts:channel_edit",
        "alerts:channel_delete",
        "alerts:channel_secret",
        "alerts:channel_switch",
        "alerts:channel_test",
        "alerts:channel_link",
        "alerts:window_create",
        "alerts:window_end",
    ),
    "operating/alerting#the-consoles-own-silence": ("alerts:deadman",),
    "tasks/restore": ("clusters:restore", "clusters:repository_restore"),
    "tasks/restore#recover-deleted-backups": (
        "clusters:rescue",
        "clusters:rescue_identity",
        "clusters:rescue_identity_end",
    ),
    "tasks/drill": ("clusters:drill_list", "clusters:drill_add", "clusters:drill_edit", "clusters:drill_remove"),
    "tasks/retained": ("clusters:retained", "clusters:let_go"),
    "tasks/retained#take-the-recovery-kit": ("clusters:kit", "clusters:repository_kit"),
    "tasks/bring-in": (
        "clusters:bring_in",
        "clusters:bring_in_list",
        "clusters:bring_in_found",
        "clusters:bring_in_add",
        "clusters:bring_in_look",
        "clusters:bring_in_forget",
    ),
    "tasks/bring-in#hand-over": ("clusters:hand_over", "clusters:take_back"),
    "tasks/bring-in#add-a-bucket-that-exists": (
        "stores:existing_list",
        "stores:existing_add",
        "stores:existing_add_all",
        "stores:existing_import",
        "stores:existing",
        "stores:existing_look",
        "stores:existing_drop",
    ),
    "tasks/delete#delete-a-store": ("stores:delete", "stores:deletion_preview"),
    "tasks/delete#delete-a-cluster": ("clusters:delete",),
    "operating/administration#members-and-roles": (
        "organisation:members",
        "organisation:invite",
        "organisation:revoke",
        "organisation:role",
        "organisation:remove",
        "organisation:leave",
        "organisation:switch",
        "join",
    ),
    "operating/administration#signing-in": (
        "organisation:second_factor",
        "login",
        "logout",
        "confirm",
        "account_change_password",
        "account_reauthenticate",
        "account_inactive",
        "mfa_index",
        "mfa_authenticate",
        "mfa_reauthenticate",
        "mfa_activate_totp",
        "mfa_deactivate_totp",
        "mfa_view_recovery_codes",
        "mfa_generate_recovery_codes",
        "mfa_list_webauthn",
        "mfa_add_webauthn",
        "mfa_reauthenticate_webauthn",
        "mfa_remove_webauthn",
        "mfa_edit_webauthn",
        "usersessions_list",
        "session_end",
        "own_language",
        "socialaccount_login_cancelled",
        "socialaccount_login_error",
        "socialaccount_signup",
        "socialaccount_connections",
        "openid_connect_login",
        "openid_connect_callback",
    ),
    "operating/administration#support": ("stop-seeing",),
    "operating/administration#tokens-of-the-api": (
        "tokens:list",
        "tokens:create",
        "tokens:revoke",
        "tokens:service_create",
        "tokens:service_remove",
        "tokens:service_token_create",
    ),
    "operating/own-backup#restore-it": (
        "restoration:detail",
        "restoration:look",
        "restoration:settle",
        "restoration:go_on",
        "restoration:give_up",
        "restoration:node_file",
        "restoration:end",
    ),
}


@lru_cache(maxsize=1)
def by_name() -> dict[str, str]:
    """Return the chapter (and heading, after #) that each address has, by the address's name."""
    return {name: place for place, names in HELP.items() for name in names}


def help_address(view_name: str) -> str:
    """Return the address of the help for a page; the manual's contents for one that the table does not know."""
    slug, _, anchor = by_name().get(view_name, "").partition("#")
    url = reverse("help:chapter", args=[slug]) if slug else reverse("help:index")
    return f"{url}#{anchor}" if anchor else url


def help_link(request: HttpRequest) -> dict[str, object]:
    """Context of every page: where its help is."""
    return {"help_url": lazystr(_Address(request))}


class _Address:
    """Asked for only when a whole page is drawn: what is about to be resolved is known by then."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    def __str__(self) -> str:
        match = self.request.resolver_match
        return help_address(match.view_name if match else "")
