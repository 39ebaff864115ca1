#!/bin/sh
# Makes the multi-tenant app that trusts the app's identity, for schools in other tenants; it has no secret.
# Runs again without harm. Needs the Azure CLI, signed in as who may register applications in the home tenant.
set -eu

principal="${IDENTITY_PRINCIPAL_ID:-}"
tenant="${AZURE_TENANT_ID:-}"
name="MIS Class Sync"
if [ -z "$principal" ] || [ -z "$tenant" ]; then
  echo "set IDENTITY_PRINCIPAL_ID and AZURE_TENANT_ID, as 'azd env get-values' prints them" >&2
  exit 2
fi

graph="https://graph.microsoft.com/v1.0"
# Of Microsoft Graph and its permissions, the same in every tenant; their names stand in grant-graph.sh.
graph_app="00000003-0000-0000-c000-000000000000"

ask() {
  if ! answer=$(az rest --method "$@" 2>&1); then
    echo "Graph refused: $answer" >&2
    echo "sign in with 'az login' as somebody who may register applications, and run this again" >&2
    exit 1
  fi
  printf '%s' "$answer"
}

resource=$(ask GET --url "$graph/servicePrincipals(appId='$graph_app')?\$select=id" --query id --output tsv)
roles=""
for permission in EduRoster.ReadWrite.All GroupMember.ReadWrite.All User.Read.All; do
  role=$(ask GET --url "$graph/servicePrincipals/$resource/appRoles" \
    --query "value[?value=='$permission' && contains(allowedMemberTypes, 'Application')].id | [0]" --output tsv)
  roles="$roles${roles:+, }{\"id\": \"$role\", \"type\": \"Role\"}"
done

found=$(ask GET --url "$graph/applications?\$filter=displayName eq '$name'&\$select=id,appId" \
  --query "value[0].[id, appId]" --output tsv)
if [ -z "$found" ]; then
  body="{\"displayName\": \"$name\", \"signInAudience\": \"AzureADMultipleOrgs\", \"requiredResourceAccess\": [{\"resourceAppId\": \"$graph_app\", \"resourceAccess\": [$roles]}]}"
  found=$(ask POST --url "$graph/applications" --headers Content-Type=application/json --body "$body" \
    --query "[id, appId]" --output tsv)
  echo "made: the app registration $name"
else
  echo "there already: the app registration $name"
fi
object=$(printf '%s' "$found" | awk '{ print $1 }')
client=$(printf '%s' "$found" | awk '{ print $2 }')

trusted=$(ask GET --url "$graph/applications/$object/federatedIdentityCredentials" \
  --query "value[?subject=='$principal'].id | [0]" --output tsv)
if [ -z "$trusted" ]; then
  body="{\"name\": \"identity\", \"issuer\": \"https://login.microsoftonline.com/$tenant/v2.0\", \"subject\": \"$principal\", \"audiences\": [\"api://AzureADTokenExchange\"]}"
  ask POST --url "$graph/applications/$object/federatedIdentityCredentials" \
    --headers Content-Type=application/json --body "$body" >/dev/null
  echo "made: it trusts the app's identity, and nobody else"
else
  echo "there already: it trusts the app's identity"
fi
echo "now: azd env set GRAPH_CLIENT_ID $client && azd provision"
echo "each further tenant consents at https://login.microsoftonline.com/TENANT/adminconsent?client_id=$client"
