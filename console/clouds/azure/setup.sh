#!/bin/sh
# Gives Storekeeper its access to one resource group of an Azure subscription.
# Run it again at any time: it makes what is missing, adds what a newer version needs, and takes nothing away.
#
#   sh storekeeper-setup.sh SIGN-IN SUBSCRIPTION-ID RESOURCE-GROUP [LOCATION]
#
# SIGN-IN   secret: make a client secret, if the application has none. new-secret: make another one beside it.
#           federation: trust the console's own identity. permissions: leave it as it is.
# LOCATION  where the resource group is made if there is none, such as westeurope.
#
# For federation, ISSUER and SUBJECT in the environment are those of the console's token: whoever runs it knows them.
# CLIENT_ID names an application that is there already; without it that is the one called storekeeper.
# It takes somebody who may register applications and assign roles: az login first.
set -eu
umask 077
export LC_ALL=C

usual=@usual@
way=${1:-$usual}
subscription=${2:-@subscription@}
group=${3:-@group@}
location=${4:-}
client=${CLIENT_ID:-@client@}

stop() { printf '%s\n' "$1" >&2; exit 1; }
usage() { sed -n '/^#   sh/,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
case $way in secret | new-secret | federation | permissions) ;; *) usage ;; esac
case $subscription in '' | *[!0-9A-Fa-f-]*) usage ;; esac
case $group in '' | *[\"\'\\\$\`\<\>\ ]*) usage ;; esac
if [ "$way$usual" = federation ] && [ -z "${ISSUER:-}" ]; then usage; fi

ask() { az "$@" --only-show-errors --output tsv; }
run() { printf '+ %s\n' "$1"; shift; az "$@" --only-show-errors --output none; }
# What was just made is not known everywhere at once.
patiently() {
  tries=10
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    echo '  Azure may not know it everywhere yet: trying again.' >&2
    sleep "${PAUSE:-6}"
  done
}

tenant=$(ask account show --subscription "$subscription" --query tenantId)
if [ "$(ask group exists --name "$group" --subscription "$subscription")" != true ]; then
  [ -n "$location" ] || stop "There is no resource group $group. To have it made, add a location, such as westeurope."
  run "resource group $group" group create --name "$group" --location "$location" --subscription "$subscription"
fi
scope=/subscriptions/$subscription/resourceGroups/$group
for namespace in @namespaces@; do
  set -- --namespace "$namespace" --subscription "$subscription"
  [ "$(ask provider show "$@" --query registrationState)" = Registered ] ||
    run "resource provider $namespace" provider register "$@" --wait ||
    echo "  Unless it is registered already, somebody who may change the subscription has to do that." >&2
done

# The application, and what it is in this tenant.
[ -n "$client" ] ||
  client=$(ask ad app list --filter "displayName eq 'storekeeper'" --query '[].appId')
case $client in
  *[!0-9A-Fa-f-]*) stop "Several applications are called storekeeper. Name one in CLIENT_ID: $client" ;;
esac
if [ -z "$client" ]; then
  printf '+ application storekeeper\n'
  client=$(ask ad app create --display-name storekeeper --query appId)
fi
principal=$(ask ad sp list --filter "appId eq '$client'" --query '[].id')
if [ -z "$principal" ]; then
  printf '+ service principal of %s\n' "$client"
  principal=$(patiently ask ad sp create --id "$client" --query id)
fi

# The role: what is needed, and whatever it allows or forbids already.
role="@role@"
description="@description@"
listed() {
  ask role definition list --name "$role" --scope "$scope" --custom-role-only true --query "$1"
}
lines() { printf '%s\n' "$@" | tr ' ' '\n' | sed '/^$/d' | sort -u; }
json() { sed 's/.*/"&"/' | paste -s -d , -; }
guid=$(listed '[].name')
actions=$(lines "$(listed '[].permissions[].actions[]')")
excepted=$(lines "$(listed '[].permissions[].notActions[]')")
data=$(lines "$(listed '[].permissions[].dataActions[]')")
data_excepted=$(lines "$(listed '[].permissions[].notDataActions[]')")
scopes=$(listed '[].assignableScopes[]')
all_actions=$(lines "$actions" "@actions@")
all_data=$(lines "$data" "@data_actions@")
definition=$(
  printf '{"Name": "%s", "Description": "%s", ' "$role" "$description"
  printf '"IsCustom": true, '
  printf '"Actions": [%s], ' "$(printf '%s\n' "$all_actions" | json)"
  printf '"NotActions": [%s], ' "$(lines "$excepted" | json)"
  printf '"DataActions": [%s], ' "$(printf '%s\n' "$all_data" | json)"
  printf '"NotDataActions": [%s], ' "$(lines "$data_excepted" | json)"
  printf '"AssignableScopes": [%s]}' "$(printf '%s\n' "${scopes:-$scope}" | json)"
)
if [ -z "$guid" ]; then
  run "role $role" role definition create --role-definition "$definition" --subscription "$subscription"
  tries=10
  until guid=$(listed '[].name') && [ -n "$guid" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || stop "Azure does not show the role that was just made. Run this again."
    sleep "${PAUSE:-6}"
  done
elif [ "$actions" != "$all_actions" ] || [ "$data" != "$all_data" ]; then
  run "what is missing in role $role" \
    role definition update --role-definition "$definition" --subscription "$subscription"
fi

# Its assignment, with the condition that keeps the console from giving itself, or anybody, another role.
condition="@condition@"
of_console="principalId=='$principal' && ends_with(roleDefinitionId, '$guid')"
assigned() { ask role assignment list --scope "$scope" --subscription "$subscription" --query "[?$of_console].$1"; }
bare() { printf '%s' "$1" | tr -d '[:space:]' | tr '[:upper:]' '[:lower:]'; }
assignment=$(assigned name)
if [ -z "$assignment" ]; then
  set -- role assignment create --role "$guid" --scope "$scope" --subscription "$subscription" \
    --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal
  [ -z "$condition" ] || set -- "$@" --condition-version 2.0 --condition "$condition"
  patiently run "the role's assignment" "$@"
elif [ -n "$condition" ] && [ "$(bare "$(assigned condition)")" != "$(bare "$condition")" ]; then
  limited="\"conditionVersion\": \"2.0\", \"condition\": \"$condition\""
  run "the condition of the role's assignment" role assignment update --subscription "$subscription" \
    --role-assignment "{\"scope\": \"$scope\", \"name\": \"$assignment\", $limited}"
fi

secret=
case $way in
  secret | new-secret)
    there=$(ask ad app credential list --id "$client" --query 'length(@)')
    if [ "$way" = new-secret ] || [ "$there" = 0 ]; then
      set -- --id "$client" --append --display-name storekeeper --years 1
      secret=$(ask ad app credential reset "$@" --query password)
    fi
    ;;
  federation)
    if [ -n "${ISSUER:-}" ] && [ -n "${SUBJECT:-}" ]; then
      found=$(ask ad app federated-credential list --id "$client" \
        --query "[?issuer=='$ISSUER' && subject=='$SUBJECT'].name")
      name=storekeeper-$(printf '%s %s' "$ISSUER" "$SUBJECT" | cksum | cut -d ' ' -f 1)
      claims="\"issuer\": \"$ISSUER\", \"subject\": \"$SUBJECT\", \"audiences\": [\"api://AzureADTokenExchange\"]"
      [ -n "$found" ] || run "trust in $SUBJECT" ad app federated-credential create --id "$client" \
        --parameters "{\"name\": \"$name\", $claims}"
    fi
    # Lets your organisation, and no other, link the resource group. The tag may hold several IDs, with spaces between.
    external_id='@external_id@'
    tagged=$(ask group show --name "$group" --subscription "$subscription" --query "tags.\"@tag@\" || ''")
    case " $tagged " in
      *" ${external_id:- } "*) ;;
      *) run "tag @tag@" tag update --operation Merge --resource-id "$scope" --subscription "$subscription" \
        --tags "@tag@=${tagged:+$tagged }$external_id" ;;
    esac
    ;;
esac

echo
echo "Enter this in the console:"
say() { printf '%s %s\n' "$1" "$2"; }
say @label_tenant_id@ "$tenant"
say @label_client_id@ "$client"
say @label_subscription_id@ "$subscription"
say @label_resource_group@ "$group"
if [ -n "$secret" ]; then
  say @label_client_secret@ "$secret"
  echo "The secret is shown this once, and ends after a year."
elif [ "$way" = secret ]; then
  echo "The application has a secret already, which nobody can show again. For another one: new-secret."
fi
