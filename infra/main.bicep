// The whole system in one resource group, without a secret: one identity, and what it may do where.
targetScope = 'subscription'

@description('Name of the azd environment: part of every resource name, and the tag by which azd finds them.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Azure region of everything. Choose one that has Flex Consumption, in the country whose rules the school data is under.')
param location string

@description('Entra id of the tenant whose classes are written first. Others join by graphClientId.')
param tenantId string = tenant().tenantId

@description('Client id of the app registration that signs admins in, with the app roles GroupSync.Admin and GroupSync.Teacher. Empty: the admin API answers nobody.')
param adminClientId string = ''

@description('Entra ids of users and groups whose app role counts for every school, separated by commas.')
param allSchoolsAccess string = ''

@description('Client id of the multi-tenant app that trusts the identity, for schools in other tenants. Empty: only tenantId is written to.')
param graphClientId string = ''

@description('Names of the application settings that hold secrets of MIS servers and webhooks, separated by commas, each MIS_SECRET_ and capitals, digits or _. The secret in Key Vault has the same name with - for _.')
param misSecrets string = ''

@description('When the night begins: six fields, UTC.')
param syncSchedule string = '0 0 2 * * *'

@description('The night is spread over so many minutes.')
@minValue(0)
@maxValue(600)
param syncWindowMinutes int = 60

@description('When drops are looked at for new files: six fields, UTC. Each look is billed as a second at the least.')
param fileDropSchedule string = '0 * * * * *'

@description('Days after their last change that files of the drop are deleted, taken or not. Longer than a summer, or a school that exports nothing meanwhile is rejected until it does.')
@minValue(8)
@maxValue(365)
param fileDropDays int = 60

@description('How many days the history of changes is kept: no explanation and no undo of what is older.')
@minValue(1)
@maxValue(36500)
param historyDays int = 400

@description('Memory of an instance in MB. 2048 holds the largest school that was measured.')
@allowed([
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Instances at the most. Graph limits the app and not the instance, so more do not make it faster.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that are always ready to take a webhook. 0: the first one after a quiet hour waits for a cold start.')
@minValue(0)
@maxValue(5)
param alwaysReady int = 0

@description('Days that logs are kept in Log Analytics.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('E-mail addresses that alerts go to, separated by commas. Empty: alerts are seen in the portal alone.')
param alertEmails string = ''

@description('Where the pages stand that alerts link to: docs/operations.md of the version that is deployed.')
param operationsUrl string = 'docs/operations.md'

@description('true: storage, Service Bus and Key Vault are reached over a virtual network alone, and an MIS drops its files from there.')
param privateNetworking bool = false

@description('Tags on everything.')
param tags object = {}

var allTags = union(tags, { 'azd-env-name': environmentName })
// Names may hold neither _ nor a dot, and that of a vault no two hyphens in a row.
var label = toLower(replace(replace(environmentName, '_', '-'), '.', '-'))
var letters = replace(label, '-', '')
var suffix = take(uniqueString(subscription().id, environmentName, location), 8)
var vaultName = 'kv-${take(letters, 11)}-${suffix}'
// The empty ones left out, as a comma too many makes: a union has each once, and begins with the empty one.
var secretNames = skip(union([''], split(replace(misSecrets, ' ', ''), ',')), 1)
var emails = skip(union([''], split(replace(alertEmails, ' ', ''), ',')), 1)
var secretReferences = [
  for name in secretNames: '"${name}": "@Microsoft.KeyVault(VaultName=${vaultName};SecretName=${replace(name, '_', '-')})"'
]

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: 'id-${label}-${suffix}'
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: 'log-${label}-${suffix}'
    insightsName: 'appi-${label}-${suffix}'
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    principalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    name: 'st${suffix}${take(letters, 14)}'
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    publicAccess: !privateNetworking
    fileDropDays: fileDropDays
  }
}

module bus 'modules/bus.bicep' = {
  scope: group
  params: {
    name: 'sb-${label}-${suffix}'
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    privateNetworking: privateNetworking
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  params: {
    name: vaultName
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    publicAccess: !privateNetworking
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  scope: group
  params: {
    name: 'vnet-${label}-${suffix}'
    location: location
    tags: allTags
    storageId: storage.outputs.id
    busId: bus.outputs.id
    vaultId: vault.outputs.id
  }
}

module app 'modules/app.bicep' = {
  scope: group
  dependsOn: [
    vault
  ]
  params: {
    name: 'func-${label}-${suffix}'
    planName: 'plan-${label}-${suffix}'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storage.outputs.name
    busHost: bus.outputs.host
    // An object out of names. What makes one otherwise (toObject) takes lambdas, which the scanner cannot read.
    secretReferences: json('{${join(secretReferences, ', ')}}')
    insightsConnectionString: monitoring.outputs.connectionString
    workspaceId: monitoring.outputs.workspaceId
    subnetId: network.?outputs.appSubnetId ?? ''
    tenantId: tenantId
    adminClientId: adminClientId
    allSchoolsAccess: allSchoolsAccess
    graphClientId: graphClientId
    syncSchedule: syncSchedule
    syncWindowMinutes: syncWindowMinutes
    fileDropSchedule: fileDropSchedule
    historyDays: historyDays
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReady: alwaysReady
  }
}

module portal 'modules/portal.bicep' = {
  scope: group
  params: {
    name: environmentName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    busId: bus.outputs.id
    emails: emails
    operationsUrl: operationsUrl
  }
}

@description('Where the app answers: webhooks, the admin API and its health.')
output APP_URL string = app.outputs.url

@description('Name of the function app, for azd deploy.')
output APP_NAME string = app.outputs.name

@description('Object id of the identity, which the consent script grants Graph permissions.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId

@description('Client id of the identity, which a multi-tenant app trusts.')
output IDENTITY_CLIENT_ID string = identity.outputs.clientId

@description('Where an MIS drops its files.')
output FILE_DROP_CONTAINER_URL string = storage.outputs.fileDropUrl

@description('Key Vault for secrets of MIS servers and webhooks.')
output VAULT_NAME string = vault.outputs.name

@description('The workbook: is every school in step?')
output WORKBOOK_URL string = portal.outputs.workbookUrl
