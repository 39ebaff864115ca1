// The whole system in one resource group, without a secret: one identity, with a role on each resource.
targetScope = 'subscription'

@description('Name of the azd environment. It is part of every resource name, and the tag by which azd finds the resources.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Azure region of all resources. It needs Flex Consumption, and it should be in the country whose law applies to the school data.')
param location string

@description('Entra id of the tenant of the app and its first schools. Schools in other tenants need GRAPH_CLIENT_ID.')
param tenantId string = tenant().tenantId

@description('Client id of the app registration that signs admins in. It has the app roles GroupSync.Admin and GroupSync.Teacher. Empty: the admin API rejects every call.')
param adminClientId string = ''

@description('Entra ids of the users and groups whose app role applies to every school, separated by commas.')
param allSchoolsAccess string = ''

@description('true: when App Service signs people in, the identity is its credential at Entra ID, in place of a secret. false: it has no credential, and uses ID tokens alone.')
param signInWithIdentity bool = true

@description('Client id of the multi-tenant app that trusts the identity, for schools in other tenants. Empty: only schools in the tenant of the app are synced.')
param graphClientId string = ''

@description('Names of the application settings that hold secrets of MIS servers and webhooks, separated by commas. Each is MIS_SECRET_ followed by capitals, digits or _. The secret in Key Vault has the same name, with - in place of _.')
param misSecretNames string = ''

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

@description('Maximum number of instances of each group of functions: each queue, each timer, and the HTTP functions are one. Graph limits the app as a whole, and an instance that waits for Graph is billed, so more instances make it dearer and not faster.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 4

@description('Instances that are always ready for webhooks. 0: the first webhook after a quiet hour waits for a cold start.')
@minValue(0)
@maxValue(5)
param alwaysReady int = 0

@description('Oldest version of TLS for webhooks, the admin API and browsers. 1.3 has strong cipher suites only. 1.2 is for a sender of webhooks that has no 1.3, such as a program on Windows Server 2019.')
@allowed([
  '1.2'
  '1.3'
])
param minTlsVersion string = '1.3'

@description('Days for which Log Analytics keeps logs.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('GB of logs that Log Analytics takes in a day, so that a flood of requests has a highest price. Past it there are no events and no alerts until the next day. A trust of 300 schools needs 0.1. -1: no limit.')
@minValue(-1)
@maxValue(100)
param logDailyCapGB int = 2

@description('E-mail addresses for alerts, separated by commas. The word none: alerts appear in the portal only.')
@minLength(4)
param alertEmails string

@description('Address at which the people who receive alerts read docs/operations.md, such as https://github.com/OWNER/REPOSITORY/blob/main/docs/operations.md. Alerts link to its sections.')
@minLength(9)
param operationsUrl string

@description('true: storage, Service Bus and Key Vault are reachable only from a virtual network. An MIS must then deliver its files from that network.')
param privateNetworking bool = false

@description('Address space of the virtual network, a /23 or larger. Choose another if you connect this network to one that uses these addresses.')
param addressSpace string = '10.70.0.0/23'

@description('true: the Key Vault of an environment that was removed is recovered with its secrets. Azure keeps its name for 90 days, and refuses a new vault of that name. Only for the first provision after the removal; infra/scripts/recover_vault.py keeps it.')
param recoverVault bool = false

@description('Tags of all resources: name=value, separated by commas.')
param tags string = ''

// An object made from text, as further below: toObject takes lambdas, which the scanner cannot read.
var givenTags = empty(tags) ? {} : json('{"${replace(replace(tags, '=', '": "'), ',', '", "')}"}')
var allTags = union(givenTags, { 'azd-env-name': environmentName })
// azd allows . _ ( and ) in the name of an environment. Azure refuses them in names of resources, as it does two hyphens
// in a row (Service Bus, Key Vault) and two words that it reserves for itself.
var hyphened = replace(replace(replace(replace(environmentName, '.', '-'), '_', '-'), '(', '-'), ')', '-')
var words = split(toLower(hyphened), '-')
var letters = replace(replace(join(words, ''), 'microsoft', 'ms'), 'windows', 'win')
var label = replace(replace(join(skip(union([''], words), 1), '-'), 'microsoft', 'ms'), 'windows', 'win')
var suffix = take(uniqueString(subscription().id, environmentName, location), 8)
var identityName = 'id-${label}-${suffix}'
var packageIdentityName = 'id-${label}-package-${suffix}'
var workspaceName = 'log-${label}-${suffix}'
var insightsName = 'appi-${label}-${suffix}'
var storageName = 'st${suffix}${take(letters, 14)}'
var busName = 'sb-${label}-${suffix}'
var vaultName = 'kv-${take(letters, 11)}-${suffix}'
var networkName = 'vnet-${label}-${suffix}'
var appName = 'func-${label}-${suffix}'
var planName = 'plan-${label}-${suffix}'
// Without empty names, which an extra comma makes: a union has each name once and begins with the empty one.
var secretNames = skip(union([''], split(replace(misSecretNames, ' ', ''), ',')), 1)
var emails = toLower(alertEmails) == 'none' ? [] : skip(union([''], split(replace(alertEmails, ' ', ''), ',')), 1)
// A link in an e-mail has to be a whole address.
var operationsPage = contains(operationsUrl, '://') ? operationsUrl : 'https://${operationsUrl}'
var vaultReferences = [
  for name in secretNames: '"${name}": "@Microsoft.KeyVault(VaultName=${vaultName};SecretName=${replace(name, '_', '-')})"'
]

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: allTags
}

// Modules find each other's resources by name. What-if cannot look into a module whose parameter is an output of another.
module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: identityName
    location: location
    tags: allTags
  }
}

module packageIdentity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: packageIdentityName
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  dependsOn: [
    identity
  ]
  params: {
    workspaceName: workspaceName
    insightsName: insightsName
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    identityName: identityName
    dailyCapGB: logDailyCapGB
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  dependsOn: [
    identity
    packageIdentity
    monitoring
  ]
  params: {
    name: storageName
    location: location
    tags: allTags
    identityName: identityName
    packageIdentityName: packageIdentityName
    workspaceName: workspaceName
    publicAccess: !privateNetworking
    fileDropDays: fileDropDays
  }
}

module bus 'modules/bus.bicep' = {
  scope: group
  dependsOn: [
    identity
    monitoring
  ]
  params: {
    name: busName
    location: location
    tags: allTags
    identityName: identityName
    workspaceName: workspaceName
    privateNetworking: privateNetworking
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  dependsOn: [
    identity
    monitoring
  ]
  params: {
    name: vaultName
    location: location
    tags: allTags
    identityName: identityName
    workspaceName: workspaceName
    publicAccess: !privateNetworking
    recoverVault: recoverVault
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  scope: group
  dependsOn: [
    storage
    bus
    vault
  ]
  params: {
    name: networkName
    location: location
    tags: allTags
    storageName: storageName
    busName: busName
    vaultName: vaultName
    addressSpace: addressSpace
  }
}

module app 'modules/app.bicep' = {
  scope: group
  dependsOn: [
    storage
    bus
    vault
    network
  ]
  params: {
    name: appName
    planName: planName
    location: location
    tags: allTags
    identityName: identityName
    packageIdentityName: packageIdentityName
    storageName: storageName
    busName: busName
    vaultReferences: json('{${join(vaultReferences, ', ')}}')
    insightsName: insightsName
    networkName: privateNetworking ? networkName : ''
    tenantId: toLower(tenantId)
    adminClientId: adminClientId
    allSchoolsAccess: allSchoolsAccess
    signInWithIdentity: signInWithIdentity
    graphClientId: graphClientId
    syncSchedule: syncSchedule
    syncWindowMinutes: syncWindowMinutes
    fileDropSchedule: fileDropSchedule
    historyDays: historyDays
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReady: alwaysReady
    minTlsVersion: minTlsVersion
  }
}

module portal 'modules/portal.bicep' = {
  scope: group
  dependsOn: [
    monitoring
    bus
  ]
  params: {
    name: environmentName
    location: location
    tags: allTags
    workspaceName: workspaceName
    busName: busName
    emails: emails
    operationsUrl: operationsPage
  }
}

@description('Address of the app: webhooks, the admin API and health.')
output APP_URL string = app.outputs.url

@description('Name of the function app, which azd deploy uses.')
output APP_NAME string = appName

@description('Entra id of the tenant of the app.')
output AZURE_TENANT_ID string = toLower(tenantId)

@description('Object id of the identity, to which the consent script grants Graph permissions.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId

@description('Client id of the identity, which a multi-tenant app trusts.')
output IDENTITY_CLIENT_ID string = identity.outputs.clientId

@description('The blob container where an MIS leaves its files.')
output FILE_DROP_CONTAINER_URL string = storage.outputs.fileDropUrl

@description('Key Vault for secrets of MIS servers and webhooks.')
output VAULT_NAME string = vaultName

@description('The workbook: is every school in step?')
output WORKBOOK_URL string = portal.outputs.workbookUrl
