# Grants the app's identity the Graph permissions that it needs, and says why. With -Revoke, it revokes them.
# It is safe to run again. It needs the Azure CLI, signed in as a Privileged Role Administrator, who may consent.
# In another tenant, -Principal is the object id of the app "MIS Class Sync" under Enterprise applications there.
param(
    [string] $Principal = $env:IDENTITY_PRINCIPAL_ID,
    [switch] $Restore,
    [switch] $Revoke
)
$ErrorActionPreference = 'Stop'

if (-not $Principal) {
    Write-Error "the app's identity is not known: run this from azd, or pass its object id with -Principal"
}
$graph = 'https://graph.microsoft.com/v1.0'
# The id of Microsoft Graph, the same in every tenant.
$graphApp = '00000003-0000-0000-c000-000000000000'

function Invoke-Graph([string[]] $Arguments) {
    $answer = az rest @Arguments
    if ($LASTEXITCODE -ne 0) {
        throw "Graph refused the request; sign in with 'az login' as a person who may consent to application permissions, then run this again"
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
        throw "Microsoft Graph has no application permission ${Name} in this tenant: it belongs to another cloud; permissions printed above are done, and no other was changed"
    }
    $assignment = Get-Assignment $role
    if ($Revoke) {
        if ($assignment) {
            Invoke-Graph @('--method', 'DELETE', '--url', "$graph/servicePrincipals/$Principal/appRoleAssignments/$assignment")
            Write-Output "revoked: $Name"
        }
    } elseif ($assignment) {
        Write-Output "already granted: $Name ($Why)"
    } else {
        $body = @{ principalId = $Principal; resourceId = $resource; appRoleId = $role } | ConvertTo-Json -Compress
        $file = New-TemporaryFile
        Set-Content -Path $file -Value $body
        Invoke-Graph @('--method', 'POST', '--url', "$graph/servicePrincipals/$Principal/appRoleAssignments",
            '--headers', 'Content-Type=application/json', '--body', "@$file") | Out-Null
        Write-Output "granted: $Name ($Why)"
    }
}

Set-Permission 'EduRoster.ReadWrite.All' 'to create classes, and to grant and revoke their teachers'
Set-Permission 'GroupMember.ReadWrite.All' 'to add and remove pupils'
Set-Permission 'GroupMember.Read.All' 'to find classes, and changes made to them by hand'
Set-Permission 'Member.Read.Hidden' 'to see who is in a class, because the membership of classes is hidden'
Set-Permission 'User.Read.All' 'to find accounts, and to see whether they are enabled'
if ($Restore -or $Revoke) {
    Set-Permission 'Group.ReadWrite.All' 'to restore deleted classes, to see deleted groups, and to add pupils in bulk if Graph requires it'
} elseif (Get-Assignment (Get-Role 'Group.ReadWrite.All')) {
    Write-Output 'still granted: Group.ReadWrite.All; to remove it, run this with -Revoke and then once without it'
} else {
    Write-Output 'not granted: Group.ReadWrite.All; without it, admins restore deleted classes in Microsoft 365; to grant it, use -Restore'
}
if (-not $Revoke) {
    Write-Output "wait: a managed identity's token may take up to 24 hours to carry a later grant"
}
