// What `azd up` makes if nothing but the name and the region is set.
using '../../../infra/main.bicep'

param environmentName = 'oak'
param location = 'uksouth'
