// Storage, Service Bus and Key Vault on a private network.
using '../../../infra/main.bicep'

param environmentName = 'oak'
param location = 'uksouth'
param alertEmails = 'none'
param operationsUrl = 'example.com/docs/operations.md'
param privateNetworking = true
