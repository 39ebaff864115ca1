# Gives the app's identity exactly the Graph permissions that it needs, and says why; with -Revoke, takes them back.
# Runs again without harm. Needs the Azure CLI, signed in as who may consent (Privileged Role Administrator).
param(
    [string] $Principal = $env:IDENTITY_PRINCIPAL_ID,
    [switch] $Restore,
    [switch] $Revoke
)
$ErrorActionPreference = 'Stop'

if (-not $Principal) {
    Write-Error "no identity: run this from azd, or give -Principal with the object id of the app's identity"
}
$graph = 'https://graph.microsoft.com/v1.0'
# Of Microsoft Graph, the same in every tenant.
$graphApp = '00000003-0000-0000-c000-000000000000'

function Invoke-Graph([string[]] $Arguments) {
    $answer = az rest @Arguments
    if ($LASTEXITCODE -ne 0) {
        throw "Graph refused; sign in with 'az login' as somebody who may consent to application permissions, and run this again"
    }
    if ($answer) { $answer | ConvertFrom-Json }
}

$resource = (Invoke-Graph @('--method', 'GET', '--url', "$graph/servicePrincipals(appId='$graphApp')?`$select=id")).id
$roles = (Invoke-Graph @('--method', 'GET', '--url', "$graph/servicePrincipals/$resource/appRoles")).value
$granted = (Invoke-Graph @('--method', 'GET', '--url', "$graph/servicePrincipals/$Principal/appRoleAssignments")).value |
    Where-Object { $_.resourceId -eq $resource }

function Get-Role([string] $Name) {
    ($roles | Where-Object { $_.value -eq $Name -and $_.allowedMemberTypes -contains 'Application' }).id
}

function Get-Assignment([string] $Role) {
    ($granted | Where-Object { $_.appRoleId -eq $Role }).id
}

function Set-Permission([string] $Name, [string] $Why) {
    $role = Get-Role $Name
    if (-not $role) {
        throw "Microsoft Graph has no application permission ${Name}: this tenant is of another cloud; nothing more was done"
    }
    $assignment = Get-Assignment $role
    if ($Revoke) {
        if ($assignment) {
            Invoke-Graph @('--method', 'DELETE', '--url', "$graph/servicePrincipals/$Principal/appRoleAssignments/$assignment")
            Write-Output "taken back: $Name"
        }
    } elseif ($assignment) {
        Write-Output "there already: $Name ($Why)"
    } else {
        $body = @{ principalId = $Principal; resourceId = $resource; appRoleId = $role } | ConvertTo-Json -Compress
        $file = New-TemporaryFile
        Set-Content -Path $file -Value $body
        Invoke-Graph @('--method', 'POST', '--url', "$graph/servicePrincipals/$Principal/appRoleAssignments",
            '--headers', 'Content-Type=application/json', '--body', "@$file") | Out-Null
        Write-Output "granted: $Name ($Why)"
    }
}

Set-Permission 'EduRoster.ReadWrite.All' 'to make classes, and to grant and revoke their teachers'
Set-Permission 'GroupMember.ReadWrite.All' 'to put pupils in and out, and to see what was changed by hand'
Set-Permission 'User.Read.All' 'to find accounts, and whether they are enabled'
if ($Restore -or $Revoke) {
    Set-Permission 'Group.ReadWrite.All' 'to restore classes that an admin deleted'
} elseif (Get-Assignment (Get-Role 'Group.ReadWrite.All')) {
    Write-Output 'granted before: Group.ReadWrite.All; to do without it, run this with -Revoke and then once more'
} else {
    Write-Output 'not granted: Group.ReadWrite.All; only with -Restore: without it, deleted classes are restored in Microsoft 365'
}
