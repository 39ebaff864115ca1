#!/bin/sh
# Grants the app's identity the Graph permissions that it needs, and says why. With --revoke, it revokes them.
# It is safe to run again. It needs the Azure CLI, signed in as a Privileged Role Administrator, who may consent.
# In another tenant, --principal is the object id of the app "MIS Class Sync" under Enterprise applications there.
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
  echo "the app's identity is not known: run this from azd, or pass its object id with --principal" >&2
  exit 2
fi

graph="https://graph.microsoft.com/v1.0"
# The id of Microsoft Graph, the same in every tenant.
graph_app="00000003-0000-0000-c000-000000000000"

# Warnings of the Azure CLI go to the terminal and are not part of the answer.
ask() {
  if ! answer=$(az rest --method "$@"); then
    echo "Graph refused the request; the Azure CLI printed the reason above" >&2
    echo "sign in with 'az login' as a person who may consent to application permissions, then run this again" >&2
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
    echo "Microsoft Graph has no application permission $name in this tenant: it belongs to another cloud; permissions printed above are done, and no other was changed" >&2
    exit 1
  fi
  assignment=$(assignment_of "$role")
  if [ "$revoke" = yes ]; then
    if [ -n "$assignment" ]; then
      ask DELETE --url "$graph/servicePrincipals/$principal/appRoleAssignments/$assignment" >/dev/null
      echo "revoked: $name"
    fi
  elif [ -n "$assignment" ]; then
    echo "already granted: $name ($why)"
  else
    body="{\"principalId\": \"$principal\", \"resourceId\": \"$resource\", \"appRoleId\": \"$role\"}"
    ask POST --url "$graph/servicePrincipals/$principal/appRoleAssignments" \
      --headers Content-Type=application/json --body "$body" >/dev/null
    echo "granted: $name ($why)"
  fi
}

permission EduRoster.ReadWrite.All "to create classes, and to grant and revoke their teachers"
permission GroupMember.ReadWrite.All "to add and remove pupils"
permission GroupMember.Read.All "to find classes, and changes made to them by hand"
permission Member.Read.Hidden "to see who is in a class, because the membership of classes is hidden"
permission User.Read.All "to find accounts, and to see whether they are enabled"
if [ "$restore" = yes ] || [ "$revoke" = yes ]; then
  permission Group.ReadWrite.All "to restore deleted classes, to see deleted groups, and to add pupils in bulk if Graph requires it"
elif [ -n "$(assignment_of "$(role_of Group.ReadWrite.All)")" ]; then
  echo "still granted: Group.ReadWrite.All; to remove it, run this with --revoke and then once without it"
else
  echo "not granted: Group.ReadWrite.All; without it, admins restore deleted classes in Microsoft 365; to grant it, use --restore"
fi
if [ "$revoke" = no ]; then
  echo "wait: a managed identity's token may take up to 24 hours to carry a later grant"
fi
