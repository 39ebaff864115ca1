// The function app on Flex Consumption. A test checks that its settings are those that sync_core/config.py reads.
@description('Name of the function app.')
param name string

@description('Name of its plan.')
param planName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of the identity.')
param identityId string

@description('Client id of the identity.')
param identityClientId string

@description('The storage account with the state, the packages and the file drop.')
param storageName string

@description('Host name of the Service Bus namespace.')
param busHost string

@description('References to secrets in the Key Vault, by name of the setting.')
param secretReferences object

@description('Connection string of Application Insights. It names the component and contains no secret that gives access.')
param insightsConnectionString string

@description('Log Analytics workspace for the logs of the platform.')
param workspaceId string

@description('Subnet of the app, or empty.')
param subnetId string

@description('See main.bicep.')
param tenantId string

@description('See main.bicep.')
param adminClientId string

@description('See main.bicep.')
param allSchoolsAccess string

@description('See main.bicep.')
param graphClientId string

@description('See main.bicep.')
param syncSchedule string

@description('See main.bicep.')
param syncWindowMinutes int

@description('See main.bicep.')
param fileDropSchedule string

@description('See main.bicep.')
param historyDays int

@description('See main.bicep.')
param instanceMemoryMB int

@description('See main.bicep.')
param maximumInstanceCount int

@description('See main.bicep.')
param alwaysReady int

var readyInstances = [
  {
    name: 'http'
    instanceCount: alwaysReady
  }
]

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  // checkov:skip=CKV_AZURE_225:Instances are created as needed. State and queues survive the loss of a zone, and the next night catches up.
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_17:An MIS signs its webhooks and has no certificate.
  // checkov:skip=CKV_AZURE_212:No instance is kept ready unless alwaysReady says so, and nothing is lost while one starts.
  // checkov:skip=CKV_AZURE_213:Flex Consumption replaces instances automatically; api/health is for people.
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'sync' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientCertEnabled: false
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${account.properties.primaryEndpoints.blob}deployments'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady == 0 ? [] : readyInstances
      }
    }
  }
}

// Publishing with a user name and password is off. A package needs an Entra token.
resource noPublishingPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [
  for way in ['ftp', 'scm']: {
    parent: app
    name: way
    properties: {
      allow: false
    }
  }
]

// All connections use the identity. In a name with two underscores, the part before them is the name of the connection.
resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(secretReferences, {
    AzureWebJobsStorage__accountName: account.name
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    ServiceBusConnection__fullyQualifiedNamespace: busHost
    ServiceBusConnection__credential: 'managedidentity'
    ServiceBusConnection__clientId: identityClientId
    AZURE_CLIENT_ID: identityClientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
    // Only the app's own log records, not those of its libraries.
    PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME: 'mis_class_sync'
    // Nothing is sampled away. The library's default keeps five traces a second, and may drop a failure.
    OTEL_TRACES_SAMPLER: 'parentbased_always_on'
    OTEL_METRICS_EXPORTER: 'none'
    // Of the libraries, only httpx (calls to an MIS) makes spans. The app makes its own spans for calls to Graph.
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,django,fastapi,flask,psycopg2,requests,urllib,urllib3'
    TENANT_ID: tenantId
    GRAPH_CLIENT_ID: graphClientId
    ALL_SCHOOLS_ACCESS: allSchoolsAccess
    STATE_TABLES_ENDPOINT: account.properties.primaryEndpoints.table
    FILE_DROP_CONTAINER_URL: '${account.properties.primaryEndpoints.blob}drop'
    FILE_DROP_SCHEDULE: fileDropSchedule
    FILE_DROP_SETTLE_SECONDS: '60'
    SYNC_SCHEDULE: syncSchedule
    SYNC_WINDOW_MINUTES: string(syncWindowMinutes)
    HISTORY_DAYS: string(historyDays)
  })
}

// App Service signs admins in before a request reaches the app. Webhooks carry a signature, or the key of a function.
resource signIn 'Microsoft.Web/sites/config@2024-04-01' = if (!empty(adminClientId)) {
  parent: app
  name: 'authsettingsV2'
  dependsOn: [
    settings
  ]
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      excludedPaths: [
        '/api/health'
        '/api/mis/*'
      ]
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: adminClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            adminClientId
            'api://${adminClientId}'
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AppServiceAuthenticationLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
