// The function app on Flex Consumption. A test checks that its settings are those that sync_core/config.py reads.
@description('Name of the function app.')
param name string

@description('Name of its plan.')
param planName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the identity.')
param identityName string

@description('Name of the identity that reads and writes the package.')
param packageIdentityName string

@description('Name of the storage account with the state, the packages and the file drop.')
param storageName string

@description('Name of the Service Bus namespace.')
param busName string

@description('References to the Key Vault, by name of the setting.')
param vaultReferences object

@description('Name of the Application Insights component.')
param insightsName string

@description('Name of the virtual network with the subnet of the app, or empty.')
param networkName string

@description('See main.bicep.')
param tenantId string

@description('See main.bicep.')
param adminClientId string

@description('See main.bicep.')
param allSchoolsAccess string

@description('See main.bicep.')
param signInWithIdentity bool

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

@description('See main.bicep.')
param minTlsVersion string

// App Service recognises this name of a setting: its value is the client id of an identity, and no secret.
var credentialSetting = 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
var hasCredential = signInWithIdentity && !empty(adminClientId)
var subnetId = resourceId('Microsoft.Network/virtualNetworks/subnets', networkName, 'app')

var readyInstances = [
  {
    name: 'http'
    instanceCount: alwaysReady
  }
]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource packageIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: packageIdentityName
}

// The app registration trusts the identity: infra/scripts/register_admins.py keeps that.
var credential = hasCredential ? { '${credentialSetting}': identity.properties.clientId } : {}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource account 'Microsoft.Storage/storageAccounts@2026-06-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
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

resource app 'Microsoft.Web/sites@2025-03-01' = {
  // checkov:skip=CKV_AZURE_17:An MIS signs its webhooks and has no certificate.
  // checkov:skip=CKV_AZURE_212:No instance is kept ready unless alwaysReady says so, and nothing is lost while one starts.
  // checkov:skip=CKV_AZURE_78:Flex Consumption has no FTP, and refuses a site that sets ftpsState (error 51021).
  // checkov:skip=CKV_AZURE_15:The least version is a parameter, which the scanner does not follow: 1.3, or 1.2 if a deployment says so.
  // checkov:skip=CKV_AZURE_145:The same.
  // checkov:skip=CKV_AZURE_213:Flex Consumption replaces instances automatically; api/health is for people.
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'sync' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
      '${packageIdentity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientCertEnabled: false
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(networkName) ? null : subnetId
    siteConfig: {
      minTlsVersion: minTlsVersion
      http20Enabled: true
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${account.properties.primaryEndpoints.blob}deployments'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: packageIdentity.id
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

// Publishing with a user name and password is off. A package needs an Entra token. From here on one resource waits for
// the other: Azure answers 409 if two of them change the site at the same time.
resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  dependsOn: [
    noFtpPassword
  ]
  properties: {
    allow: false
  }
}

// All connections use the identity. In a name with two underscores, the part before them is the name of the connection.
resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  dependsOn: [
    noScmPassword
  ]
  properties: union(vaultReferences, credential, {
    AzureWebJobsStorage__accountName: account.name
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    ServiceBusConnection__fullyQualifiedNamespace: '${busName}.servicebus.windows.net'
    ServiceBusConnection__credential: 'managedidentity'
    ServiceBusConnection__clientId: identity.properties.clientId
    AZURE_CLIENT_ID: identity.properties.clientId
    // It names the component, and contains no secret that gives access.
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
    // Only the app's own log records, not those of its libraries.
    PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME: 'mis_class_sync'
    // Nothing is sampled away. The library's default keeps five traces a second, and may drop a failure.
    OTEL_TRACES_SAMPLER: 'parentbased_always_on'
    OTEL_METRICS_EXPORTER: 'none'
    // Of the libraries, only httpx (calls to an MIS) makes spans. The app makes its own spans for calls to Graph.
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,django,fastapi,flask,psycopg2,requests,urllib,urllib3'
    // The build in Azure installs nothing but the files whose hashes requirements.txt has, also where it uses uv in place of pip.
    UV_REQUIRE_HASHES: 'true'
    // `/` is the console, not the host's own page.
    AzureWebJobsDisableHomepage: 'true'
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
resource signIn 'Microsoft.Web/sites/config@2025-03-01' = if (!empty(adminClientId)) {
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
      // The app decides: a page of the console leads to the sign-in, the admin API answers 401, and webhooks have signatures.
      requireAuthentication: false
      unauthenticatedClientAction: 'AllowAnonymous'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: adminClientId
          clientSecretSettingName: hasCredential ? credentialSetting : null
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
      // The session of a browser ends an hour after the sign-in, used or not: as soon as a token of Entra ID would.
      cookieExpiration: {
        convention: 'FixedTime'
        timeToExpiration: '01:00:00'
      }
      nonce: {
        validateNonce: true
        nonceExpirationInterval: '00:05:00'
      }
      allowedExternalRedirectUrls: []
    }
  }
}

output url string = 'https://${app.properties.defaultHostName}'
