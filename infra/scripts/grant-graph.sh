#!/bin/sh
# Gives the app's identity exactly the Graph permissions that it needs, and says why; with --revoke, takes them back.
# Runs again without harm. Needs the Azure CLI, signed in as who may consent (Privileged Role Administrator).
set -eu

principal="${IDENTITY_PRINCIPAL_ID:-}"
restore=no
revoke=no
for word in "$@"; do
  case "$word" in
    --restore) restore=yes ;;
    --revoke) revoke=yes ;;
    --principal=*) principal="${word#--principal=}" ;;
    *)
      echo "usage: grant-graph.sh [--principal=OBJECT_ID] [--restore] [--revoke]" >&2
      exit 2
      ;;
  esac
done
if [ -z "$principal" ]; then
  echo "no identity: run this from azd, or give --principal with the object id of the app's identity" >&2
  exit 2
fi

graph="https://graph.microsoft.com/v1.0"
# Of Microsoft Graph, the same in every tenant.
graph_app="00000003-0000-0000-c000-000000000000"

# What the Azure CLI warns of goes to the terminal and is no part of an answer.
ask() {
  if ! answer=$(az rest --method "$@"); then
    echo "Graph refused, as the Azure CLI says above" >&2
    echo "sign in with 'az login' as somebody who may consent to application permissions, and run this again" >&2
    exit 1
  fi
  printf '%s' "$answer"
}

resource=$(ask GET --url "$graph/servicePrincipals(appId='$graph_app')?\$select=id" --query id --output tsv)
granted=$(ask GET --url "$graph/servicePrincipals/$principal/appRoleAssignments" \
  --query "value[?resourceId=='$resource'].[appRoleId, id]" --output tsv)

role_of() {
  ask GET --url "$graph/servicePrincipals/$resource/appRoles" \
    --query "value[?value=='$1' && contains(allowedMemberTypes, 'Application')].id | [0]" --output tsv
}

assignment_of() {
  printf '%s\n' "$granted" | awk -v role="$1" '$1 == role { print $2 }'
}

permission() {
  name="$1"
  why="$2"
  role=$(role_of "$name")
  if [ -z "$role" ]; then
    echo "Microsoft Graph has no application permission $name: this tenant is of another cloud; nothing more was done" >&2
    exit 1
  fi
  assignment=$(assignment_of "$role")
  if [ "$revoke" = yes ]; then
    if [ -n "$assignment" ]; then
      ask DELETE --url "$graph/servicePrincipals/$principal/appRoleAssignments/$assignment" >/dev/null
      echo "taken back: $name"
    fi
  elif [ -n "$assignment" ]; then
    echo "there already: $name ($why)"
  else
    body="{\"principalId\": \"$principal\", \"resourceId\": \"$resource\", \"appRoleId\": \"$role\"}"
    ask POST --url "$graph/servicePrincipals/$principal/appRoleAssignments" \
      --headers Content-Type=application/json --body "$body" >/dev/null
    echo "granted: $name ($why)"
  fi
}

permission EduRoster.ReadWrite.All "to make classes, and to grant and revoke their teachers"
permission GroupMember.ReadWrite.All "to put pupils in and out, and to see what was changed by hand"
permission User.Read.All "to find accounts, and whether they are enabled"
if [ "$restore" = yes ] || [ "$revoke" = yes ]; then
  permission Group.ReadWrite.All "to restore classes that an admin deleted"
elif [ -n "$(assignment_of "$(role_of Group.ReadWrite.All)")" ]; then
  echo "granted before: Group.ReadWrite.All; to do without it, run this with --revoke and then once more"
else
  echo "not granted: Group.ReadWrite.All; only with --restore: without it, deleted classes are restored in Microsoft 365"
fi
