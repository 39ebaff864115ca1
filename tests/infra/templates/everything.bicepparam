// Everything optional is on, in an environment with as awkward a name as azd allows.
using '../../../infra/main.bicep'

param environmentName = 'Microsoft_365.(oak)-'
param location = 'uksouth'
param tenantId = '0000000A-0000-0000-0000-000000000000'
param adminClientId = '00000000-0000-0000-0000-000000000003'
param allSchoolsAccess = '00000000-0000-0000-0000-000000000004'
param graphClientId = '00000000-0000-0000-0000-000000000005'
param misSecretNames = 'MIS_SECRET_OAK, MIS_SECRET_ELM,'
param alertEmails = 'it@oak.example, head@oak.example,'
param operationsUrl = 'https://example.com/docs/operations.md'
param alwaysReady = 2
param privateNetworking = true
param addressSpace = '10.200.4.0/22'
param recoverVault = true
param tags = 'owner=it@oak.example,cost centre=12'
