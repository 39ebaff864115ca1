// The three session queues. A test checks that local/Config.json has the same ones.
@description('Name of the Service Bus namespace.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the identity that sends and receives.')
param identityName string

@description('Name of the Log Analytics workspace.')
param workspaceName string

@description('true: reachable over a private endpoint only, which needs the Premium tier.')
param privateNetworking bool

var dataOwner = '090c5cfd-751d-490a-894a-3ce6f1109419'
var queueNames = [
  'sync-requests'
  'class-changes'
  'urgent-changes'
]
var tier = privateNetworking ? 'Premium' : 'Standard'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: workspaceName
}

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: tier
    tier: tier
    capacity: privateNetworking ? 1 : null
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
  }
}

// The host renews the lock for as long as it holds the session, a day at most (host.json, maxAutoLockRenewalDuration).
resource queues 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' = [
  for queue in queueNames: {
    parent: namespace
    name: queue
    properties: {
      lockDuration: 'PT1M'
      maxDeliveryCount: 10
      defaultMessageTimeToLive: 'P14D'
      deadLetteringOnMessageExpiration: true
      requiresDuplicateDetection: true
      duplicateDetectionHistoryTimeWindow: 'PT10M'
      requiresSession: true
    }
  }
]

// Sending and receiving would do for the app. But the platform reads the length of a queue to decide how many instances
// it needs, and Service Bus tells it only to an identity with the right Manage (docs/adr/0022).
resource mayManage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queue, place) in queueNames: {
    name: guid(queues[place].id, identity.id, dataOwner)
    scope: queues[place]
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataOwner)
    }
  }
]

// Logs without metrics: alerts and charts read those where Azure keeps them for 93 days, and in the workspace each costs.
// The version of vault.bicep, where the older stable one would not do.
#disable-next-line use-recent-api-versions
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: namespace
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        category: 'OperationalLogs'
        enabled: true
      }
    ]
  }
}
