#!/bin/sh
# Creates the multi-tenant app registration that trusts the app's identity, for schools in other tenants. It has no secret.
# It is safe to run again, with GRAPH_CLIENT_ID once the registration exists.
# It needs the Azure CLI, signed in as a person who may register applications in the home tenant.
set -eu

principal="${IDENTITY_PRINCIPAL_ID:-}"
tenant="${AZURE_TENANT_ID:-}"
client="${GRAPH_CLIENT_ID:-}"
name="MIS Class Sync"
if [ -z "$principal" ] || [ -z "$tenant" ]; then
  echo "set IDENTITY_PRINCIPAL_ID and AZURE_TENANT_ID, as 'azd env get-values' prints them" >&2
  exit 2
fi

graph="https://graph.microsoft.com/v1.0"
# The id of Microsoft Graph, the same in every tenant. The names of the permissions are those of grant-graph.sh.
graph_app="00000003-0000-0000-c000-000000000000"

# Warnings of the Azure CLI go to the terminal and are not part of the answer.
ask() {
  if ! answer=$(az rest --method "$@"); then
    echo "Graph refused the request; the Azure CLI printed the reason above" >&2
    echo "sign in with 'az login' as a person who may register applications, then run this again" >&2
    exit 1
  fi
  printf '%s' "$answer"
}

resource=$(ask GET --url "$graph/servicePrincipals(appId='$graph_app')?\$select=id" --query id --output tsv)
roles=""
for permission in EduRoster.ReadWrite.All GroupMember.ReadWrite.All GroupMember.Read.All Member.Read.Hidden User.Read.All; do
  role=$(ask GET --url "$graph/servicePrincipals/$resource/appRoles" \
    --query "value[?value=='$permission' && contains(allowedMemberTypes, 'Application')].id | [0]" --output tsv)
  roles="$roles${roles:+, }{\"id\": \"$role\", \"type\": \"Role\"}"
done
access="[{\"resourceAppId\": \"$graph_app\", \"resourceAccess\": [$roles]}]"

if [ -n "$client" ]; then
  object=$(ask GET --url "$graph/applications(appId='$client')?\$select=id" --query id --output tsv)
  # An earlier release may have requested fewer permissions.
  ask PATCH --url "$graph/applications/$object" --headers Content-Type=application/json \
    --body "{\"requiredResourceAccess\": $access}" >/dev/null
  echo "already there: the app registration $name; it requests the permissions that this release needs"
else
  # A name proves nothing: anybody who may register applications can have created one of this name, with their own secret.
  others=$(ask GET --url "$graph/applications?\$filter=displayName eq '$name'&\$select=appId" \
    --query "value[].appId" --output tsv)
  if [ -n "$others" ]; then
    echo "there is an app registration $name, which anybody may have created: $others" >&2
    echo "if it is yours and has no secret and no other owners, run this with its id as GRAPH_CLIENT_ID; otherwise delete it" >&2
    exit 1
  fi
  body="{\"displayName\": \"$name\", \"signInAudience\": \"AzureADMultipleOrgs\", \"requiredResourceAccess\": $access}"
  found=$(ask POST --url "$graph/applications" --headers Content-Type=application/json --body "$body" \
    --query "[id, appId]" --output tsv)
  object=$(printf '%s' "$found" | awk '{ print $1 }')
  client=$(printf '%s' "$found" | awk '{ print $2 }')
  echo "created: the app registration $name"
fi

trusted=$(ask GET --url "$graph/applications/$object/federatedIdentityCredentials" \
  --query "value[?subject=='$principal'].id | [0]" --output tsv)
if [ -z "$trusted" ]; then
  body="{\"name\": \"identity\", \"issuer\": \"https://login.microsoftonline.com/$tenant/v2.0\", \"subject\": \"$principal\", \"audiences\": [\"api://AzureADTokenExchange\"]}"
  ask POST --url "$graph/applications/$object/federatedIdentityCredentials" \
    --headers Content-Type=application/json --body "$body" >/dev/null
  echo "created: it trusts the app's identity, and nobody else"
else
  echo "already there: it trusts the app's identity"
fi
echo "next: azd env set GRAPH_CLIENT_ID $client && azd provision"
echo "each further tenant consents at https://login.microsoftonline.com/TENANT/adminconsent?client_id=$client"
echo "the consent page ends with the error AADSTS500113, because there is no page to return to: the consent is given all the same"
echo "a tenant that consented to an earlier release consents again: it has not granted a permission that is new"
echo "wait: a managed identity's token may take up to 24 hours to carry a later grant"
