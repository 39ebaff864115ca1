# Creates the multi-tenant app registration that trusts the app's identity, for schools in other tenants. It has no secret.
# It is safe to run again, with GRAPH_CLIENT_ID once the registration exists.
# It needs the Azure CLI, signed in as a person who may register applications in the home tenant.
param(
    [string] $Principal = $env:IDENTITY_PRINCIPAL_ID,
    [string] $Tenant = $env:AZURE_TENANT_ID,
    [string] $Client = $env:GRAPH_CLIENT_ID
)
$ErrorActionPreference = 'Stop'

if (-not $Principal -or -not $Tenant) {
    Write-Error "set IDENTITY_PRINCIPAL_ID and AZURE_TENANT_ID, as 'azd env get-values' prints them"
}
$name = 'MIS Class Sync'
$graph = 'https://graph.microsoft.com/v1.0'
# The id of Microsoft Graph, the same in every tenant. The names of the permissions are those of grant-graph.ps1.
$graphApp = '00000003-0000-0000-c000-000000000000'

function Invoke-Graph([string[]] $Arguments) {
    $answer = az rest @Arguments
    if ($LASTEXITCODE -ne 0) {
        throw "Graph refused the request; sign in with 'az login' as a person who may register applications, then run this again"
    }
    if ($answer) { $answer | ConvertFrom-Json }
}

function Send-Graph([string] $Method, [string] $Url, [hashtable] $Body) {
    $file = New-TemporaryFile
    $Body | ConvertTo-Json -Depth 5 -Compress | Set-Content -Path $file
    Invoke-Graph @('--method', $Method, '--url', $Url, '--headers', 'Content-Type=application/json', '--body', "@$file")
}

$resource = (Invoke-Graph @('--method', 'GET', '--url', "$graph/servicePrincipals(appId='$graphApp')?`$select=id")).id
$roles = (Invoke-Graph @('--method', 'GET', '--url', "$graph/servicePrincipals/$resource/appRoles")).value
$permissions = 'EduRoster.ReadWrite.All', 'GroupMember.ReadWrite.All', 'GroupMember.Read.All', 'Member.Read.Hidden', 'User.Read.All'
$wanted = foreach ($permission in $permissions) {
    $role = ($roles | Where-Object { $_.value -eq $permission -and $_.allowedMemberTypes -contains 'Application' }).id
    @{ id = $role; type = 'Role' }
}
$access = @(@{ resourceAppId = $graphApp; resourceAccess = @($wanted) })

if ($Client) {
    $app = Invoke-Graph @('--method', 'GET', '--url', "$graph/applications(appId='$Client')?`$select=id,appId")
    # An earlier release may have requested fewer permissions.
    Send-Graph 'PATCH' "$graph/applications/$($app.id)" @{ requiredResourceAccess = $access } | Out-Null
    Write-Output "already there: the app registration $name; it requests the permissions that this release needs"
} else {
    # A name proves nothing: anybody who may register applications can have created one of this name, with their own secret.
    $others = (Invoke-Graph @('--method', 'GET', '--url', "$graph/applications?`$filter=displayName eq '$name'")).value
    if ($others) {
        throw "there is an app registration $name, which anybody may have created: $($others.appId); " +
            'if it is yours and has no secret and no other owners, run this with its id as GRAPH_CLIENT_ID; otherwise delete it'
    }
    $app = Send-Graph 'POST' "$graph/applications" @{
        displayName = $name
        signInAudience = 'AzureADMultipleOrgs'
        requiredResourceAccess = $access
    }
    Write-Output "created: the app registration $name"
}
$credentials = "$graph/applications/$($app.id)/federatedIdentityCredentials"
$trusted = (Invoke-Graph @('--method', 'GET', '--url', $credentials)).value | Where-Object { $_.subject -eq $Principal }
if ($trusted) {
    Write-Output "already there: it trusts the app's identity"
} else {
    Send-Graph 'POST' $credentials @{
        name = 'identity'
        issuer = "https://login.microsoftonline.com/$Tenant/v2.0"
        subject = $Principal
        audiences = @('api://AzureADTokenExchange')
    } | Out-Null
    Write-Output "created: it trusts the app's identity, and nobody else"
}
Write-Output "next: azd env set GRAPH_CLIENT_ID $($app.appId) && azd provision"
Write-Output "each further tenant consents at https://login.microsoftonline.com/TENANT/adminconsent?client_id=$($app.appId)"
Write-Output 'the consent page ends with the error AADSTS500113, because there is no page to return to: the consent is given all the same'
Write-Output 'a tenant that consented to an earlier release consents again: it has not granted a permission that is new'
Write-Output "wait: a managed identity's token may take up to 24 hours to carry a later grant"
