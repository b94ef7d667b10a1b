#!/bin/sh
# Gives Storekeeper its access to one project of Google Cloud.
# Run it again at any time: it makes what is missing, adds what a newer version needs, and takes nothing away.
#
#   sh storekeeper-setup.sh SIGN-IN PROJECT-ID
#
# SIGN-IN  key: make a key file, if the service account has no key. new-key: make another one beside it.
#          federation: trust the console's own identity. permissions: leave it as it is.
#
# For federation, ISSUER, SUBJECT and AUDIENCE in the environment are those of the console's token: whoever runs it
# knows them. SERVICE_ACCOUNT is the e-mail of one that is there already; without it that is storekeeper@PROJECT-ID….
# It takes an owner of the project: gcloud auth login first.
set -eu
umask 077
export LC_ALL=C CLOUDSDK_CORE_DISABLE_PROMPTS=1

usual=@usual@
way=${1:-$usual}
project=${2:-@project@}
provider=@provider@
key_file=storekeeper-key.json

stop() { printf '%s\n' "$1" >&2; exit 1; }
usage() { sed -n '/^#   sh/,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
case $way in key | new-key | federation | permissions) ;; *) usage ;; esac
case $project in '' | *[!a-z0-9-]*) usage ;; esac
if [ "$way$usual" = federation ] && [ -z "${ISSUER:-}" ]; then usage; fi
email=${SERVICE_ACCOUNT:-@email@}
email=${email:-storekeeper@$project.iam.gserviceaccount.com}

run() { printf '+ %s\n' "$1"; shift; gcloud "$@" --format=none; }
# What was just made is not known everywhere at once ("Create service accounts": 60 seconds or more).
patiently() {
  tries=10
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    echo '  Google may not know it everywhere yet: trying again.' >&2
    sleep "${PAUSE:-6}"
  done
}

number=$(gcloud projects describe "$project" --format='value(projectNumber)')
enabled=$(gcloud services list --enabled --project="$project" --format='value(config.name)')
has() { printf '%s\n' "$1" | grep -qxF -e "$2"; }
for service in @services@; do
  has "$enabled" "$service" || run "API $service" services enable "$service" --project="$project"
done

case $email in *@"$project".iam.gserviceaccount.com)
  gcloud iam service-accounts describe "$email" --project="$project" --format='value(email)' >/dev/null 2>&1 ||
    run "service account $email" iam service-accounts create "${email%%@*}" --project="$project"
  ;;
esac

tab=$(printf '\t')
# Roles: what is needed, and whatever they allow already.
role() {  # ID, title, permissions
  at=--project=$project
  if ! known=$(gcloud iam roles describe "$1" "$at" --format='value(deleted,includedPermissions)' 2>/dev/null); then
    run "role $1" iam roles create "$1" "$at" --title="$2" --permissions="$3" --stage=GA
    return
  fi
  case $known in True* | true*) run "role $1, which was deleted" iam roles undelete "$1" "$at" ;; esac
  lacking=$(printf '%s' "$3" | tr , '\n' | while read -r one || [ -n "$one" ]; do
    case ";$(printf '%s' "$known" | tr '\t\n' ';;');" in *";$one;"*) ;; *) printf ',%s' "$one" ;; esac
  done)
  [ -z "$lacking" ] || run "what is missing in role $1" iam roles update "$1" "$at" --add-permissions="${lacking#,}"
}
# The new condition first, then those that it had before: there is always one. With ; between the parts, since there
# are commas in them ("gcloud topic escaping").
bind() {  # ID, condition or None
  set -- "$1" "$2" --role="projects/$project/roles/$1" --member="serviceAccount:$email"
  before=$(gcloud projects get-iam-policy "$project" --flatten='bindings[].members' \
    --filter="bindings.role=\"projects/$project/roles/$1\" AND bindings.members=\"serviceAccount:$email\"" \
    --format='value(bindings.role,bindings.condition.expression)' | sed "s/^[^$tab]*$tab*//; s/^\$/None/")
  has "$before" "$2" || patiently run "binding of role $1" projects add-iam-policy-binding "$project" "$3" "$4" \
    --condition="$(condition "$1" "$2")"
  printf '%s\n' "$before" | while read -r old; do
    case $old in '' | "$2") continue ;; esac
    run "its binding as it was: role $1" projects remove-iam-policy-binding "$project" "$3" "$4" \
      --condition="$(condition "$1" "$old")"
  done
}
condition() { if [ "$2" = None ]; then echo None; else printf '^;^expression=%s;title=%s' "$2" "$1"; fi; }

# Of a bucket that was there before, or a repository that was brought in: that one alone. Its other bindings stay.
bind_bucket() {  # bucket, ID, condition or None
  set -- "gs://$1" "$2" "$3" --role="projects/$project/roles/$2" --member="serviceAccount:$email"
  there=$(gcloud storage buckets get-iam-policy "$1" --flatten='bindings[].members' \
    --filter="bindings.role=\"projects/$project/roles/$2\" AND bindings.members=\"serviceAccount:$email\"" \
    --format='value(bindings.role,bindings.condition.expression)' | sed "s/^[^$tab]*$tab*//; s/^\$/None/")
  has "$there" "$3" || patiently run "binding of role $2 on $1" storage buckets add-iam-policy-binding "$1" "$4" "$5" \
    --condition="$(condition "$2" "$3")"
}

@roles@
@places@

# How the console signs in.
grant() {  # a role on the service account, to whom
  found=$(gcloud iam service-accounts get-iam-policy "$email" --flatten='bindings[].members' \
    --filter="bindings.role=\"$1\" AND bindings.members=\"$2\"" --format='value(bindings.role)')
  [ -n "$found" ] || patiently run "$1 for $2" iam service-accounts add-iam-policy-binding "$email" \
    --role="$1" --member="$2" --condition=None
}
case $way in
  key | new-key)
    there=$(gcloud iam service-accounts keys list --iam-account="$email" --managed-by=user --format='value(name)')
    if [ "$way" = key ] && [ -n "$there" ]; then
      made=
    else
      [ ! -e "$key_file" ] || stop "There is a $key_file already. Enter it in the console, then delete it."
      patiently run "key in $key_file" iam service-accounts keys create "$key_file" --iam-account="$email"
      made=yes
    fi
    ;;
  federation)
    if [ -z "$provider" ]; then
      pool=storekeeper
      provider=projects/$number/locations/global/workloadIdentityPools/$pool/providers/console
      set -- --location=global --project="$project"
      state=$(gcloud iam workload-identity-pools describe "$pool" "$@" --format='value(state)' 2>/dev/null) || state=
      case $state in
        '') run "workload identity pool $pool" iam workload-identity-pools create "$pool" "$@" ;;
        DELETED) run "pool $pool, which was deleted" iam workload-identity-pools undelete "$pool" "$@" ;;
      esac
      set -- "$@" --workload-identity-pool="$pool"
      state=$(gcloud iam workload-identity-pools providers describe console "$@" --format='value(state)' 2>/dev/null) ||
        state=
      case $state in
        '') patiently run "provider console" iam workload-identity-pools providers create-oidc console "$@" \
          --issuer-uri="$ISSUER" --allowed-audiences="${AUDIENCE:-//iam.googleapis.com/$provider}" \
          --attribute-mapping=google.subject=assertion.sub ;;
        DELETED) run "provider console, which was deleted" iam workload-identity-pools providers undelete console "$@" ;;
      esac
    fi
    [ -z "${SUBJECT:-}" ] ||
      grant roles/iam.workloadIdentityUser "principal://iam.googleapis.com/${provider%/providers/*}/subject/$SUBJECT"
    # Lets your organisation, and no other, link the project. Other text may stand there too.
    external_id=@external_id@
    described=$(gcloud iam service-accounts describe "$email" --format='value(description)')
    case " $described " in
      *"@tag@=$external_id "*) ;;
      *) run "its external ID" iam service-accounts update "$email" \
        --description="${described:+$described }@tag@=$external_id" ;;
    esac
    case $email in
      *@"$project".iam.gserviceaccount.com) ;;
      *) grant @viewer@ "serviceAccount:$email" ;; # the project's roles do not let it read its own description
    esac
    ;;
esac

echo
echo "Enter this in the console:"
say() { printf '%s %s\n' "$1" "$2"; }
say @label_project_id@ "$project"
case $way in
  federation)
    say @label_workload_provider@ "$provider"
    say @label_service_account@ "$email"
    ;;
  key | new-key)
    if [ "$made" ]; then
      say @label_key@ "all that is in $key_file, which only you can read. Then delete the file."
    else
      echo "The service account has a key already, which nobody can show again. For another one: new-key."
    fi
    ;;
esac
