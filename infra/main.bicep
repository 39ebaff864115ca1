// The whole system in one resource group, without a secret: one identity, with a role on each resource.
targetScope = 'subscription'

@description('Name of the azd environment. It is part of every resource name, and the tag by which azd finds the resources.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Azure region of all resources. It needs Flex Consumption, and it should be in the country whose law applies to the school data.')
param location string

@description('Entra id of the tenant of the app and its first schools. Schools in other tenants need graphClientId.')
param tenantId string = tenant().tenantId

@description('Client id of the app registration that signs admins in. It has the app roles GroupSync.Admin and GroupSync.Teacher. Empty: the admin API rejects every call.')
param adminClientId string = ''

@description('Entra ids of the users and groups whose app role applies to every school, separated by commas.')
param allSchoolsAccess string = ''

@description('Client id of the multi-tenant app that trusts the identity, for schools in other tenants. Empty: only schools in tenantId are synced.')
param graphClientId string = ''

@description('Names of the application settings that hold secrets of MIS servers and webhooks, separated by commas. Each is MIS_SECRET_ followed by capitals, digits or _. The secret in Key Vault has the same name, with - in place of _.')
param misSecrets string = ''

@description('When the night starts: six fields, UTC.')
param syncSchedule string = '0 0 2 * * *'

@description('The minutes over which the night is spread.')
@minValue(0)
@maxValue(600)
param syncWindowMinutes int = 60

@description('When the file drops are checked for new export sets: six fields, UTC. Azure bills at least one second for each check.')
param fileDropSchedule string = '0 * * * * *'

@description('Days after their last change when files in the file drop are deleted, synced or not. Choose more than a summer holiday: a school without files is rejected until its next export.')
@minValue(8)
@maxValue(365)
param fileDropDays int = 60

@description('Days for which the history of changes is kept. Older changes cannot be explained or undone.')
@minValue(1)
@maxValue(36500)
param historyDays int = 400

@description('Memory of an instance in MB. 2048 is enough for the largest school that was measured.')
@allowed([
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Maximum number of instances. Graph limits the app as a whole, so more instances do not make it faster.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that are always ready for webhooks. 0: the first webhook after a quiet hour waits for a cold start.')
@minValue(0)
@maxValue(5)
param alwaysReady int = 0

@description('Days for which Log Analytics keeps logs.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('E-mail addresses for alerts, separated by commas. Empty: alerts appear in the portal only.')
param alertEmails string = ''

@description('The page that alerts link to: docs/operations.md of the deployed version.')
param operationsUrl string = 'docs/operations.md'

@description('true: storage, Service Bus and Key Vault are reachable only from a virtual network. An MIS must then deliver its files from that network.')
param privateNetworking bool = false

@description('Tags of all resources.')
param tags object = {}

var allTags = union(tags, { 'azd-env-name': environmentName })
// Names contain neither _ nor a dot, and the name of a vault no two hyphens in a row.
var label = toLower(replace(replace(environmentName, '_', '-'), '.', '-'))
var letters = replace(label, '-', '')
var suffix = take(uniqueString(subscription().id, environmentName, location), 8)
var vaultName = 'kv-${take(letters, 11)}-${suffix}'
// Without empty names, which an extra comma makes: a union has each name once and begins with the empty one.
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
    // An object made from names. The usual function, toObject, takes lambdas, which the scanner cannot read.
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

@description('Address of the app: webhooks, the admin API and health.')
output APP_URL string = app.outputs.url

@description('Name of the function app, which azd deploy uses.')
output APP_NAME string = app.outputs.name

@description('Object id of the identity, to which the consent script grants Graph permissions.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId

@description('Client id of the identity, which a multi-tenant app trusts.')
output IDENTITY_CLIENT_ID string = identity.outputs.clientId

@description('The blob container where an MIS leaves its files.')
output FILE_DROP_CONTAINER_URL string = storage.outputs.fileDropUrl

@description('Key Vault for secrets of MIS servers and webhooks.')
output VAULT_NAME string = vault.outputs.name

@description('The workbook: is every school in step?')
output WORKBOOK_URL string = portal.outputs.workbookUrl
