// Storage, Service Bus and Key Vault on a private network.
using '../../../infra/main.bicep'

param environmentName = 'oak'
param location = 'uksouth'
param privateNetworking = true
