// What `azd up` makes with answers to its questions and nothing else.
using '../../../infra/main.bicep'

param environmentName = 'oak'
param location = 'uksouth'
param alertEmails = 'none'
param operationsUrl = 'https://example.com/docs/operations.md'
