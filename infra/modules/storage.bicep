// The state in tables, the deployment package, and the blob container for file drops.
@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the identity that reads and writes tables and blobs.')
param identityName string

@description('Name of the identity with which the platform reads and writes the package.')
param packageIdentityName string

@description('Name of the Log Analytics workspace for the audit logs of the account.')
param workspaceName string

@description('false: reachable over private endpoints only.')
param publicAccess bool

@description('See main.bicep.')
param fileDropDays int

var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
// Of the blobs in this account, the app reaches all but its own package: whoever takes over the app must not be able to
// change what starts next. The five actions are all that the role has on blobs.
var blobActions = ['read', 'write', 'delete', 'add/action', 'move/action']
var actionMatches = [
  for action in blobActions: '!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/${action}\'})'
]
var notThePackage = '((${join(actionMatches, ' AND ')}) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringNotEquals \'${deployments.name}\'))'
var tableContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource packageIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: packageIdentityName
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: workspaceName
}

resource account 'Microsoft.Storage/storageAccounts@2026-06-01' = {
  // checkov:skip=CKV_AZURE_35:Denied with privateNetworking; otherwise access needs a role, and keys are off.
  // checkov:skip=CKV_AZURE_206:Three zones of one region. A copy in another region might be under another law.
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource deployments 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-06-01' = {
  parent: blobs
  name: 'deployments'
}

resource drop 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-06-01' = {
  parent: blobs
  name: 'drop'
}

// The files are pupils' data and are not kept for ever. An MIS that exports deltas must export a bulk set within this
// time. Otherwise the next delta has no set to build on: it is rejected, and nobody is removed. The same happens to a
// school that exports nothing for longer. Sixty days are longer than a summer holiday.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2026-06-01' = {
  parent: account
  name: 'default'
  dependsOn: [
    blobs
  ]
  properties: {
    policy: {
      rules: [
        {
          name: 'forget-processed-sets'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                'drop/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: fileDropDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource mayUseTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, identity.id, tableContributor)
  scope: account
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableContributor)
  }
}

// The account and not a container, because the Functions host makes containers of its own.
resource mayUseBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, identity.id, blobContributor)
  scope: account
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
    condition: notThePackage
    conditionVersion: '2.0'
  }
}

resource mayWritePackage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deployments.id, packageIdentity.id, blobContributor)
  scope: deployments
  properties: {
    principalId: packageIdentity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
  }
}

// Who read or deleted which file. The Functions host renews its leases with several writes a minute, day and night: with
// writes, the logs of this account would be larger than all others.
// The version of vault.bicep, where the older stable one would not do.
#disable-next-line use-recent-api-versions
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: blobs
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

output fileDropUrl string = '${account.properties.primaryEndpoints.blob}${drop.name}'
