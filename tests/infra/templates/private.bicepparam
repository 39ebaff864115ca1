// Storage, Service Bus and Key Vault on a private network, and a sign-in without a credential.
using '../../../infra/main.bicep'

param environmentName = 'oak'
param location = 'uksouth'
param adminClientId = '00000000-0000-0000-0000-000000000003'
param signInWithIdentity = false
param alertEmails = 'none'
param operationsUrl = 'example.com/docs/operations.md'
param privateNetworking = true
