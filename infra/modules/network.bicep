// With private networking only: a virtual network for the app, and private endpoints for the services that it uses.
@description('Name of the virtual network.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the storage account.')
param storageName string

@description('Name of the Service Bus namespace.')
param busName string

@description('Name of the Key Vault.')
param vaultName string

@description('See main.bicep.')
param addressSpace string

resource account 'Microsoft.Storage/storageAccounts@2026-06-01' existing = {
  name: storageName
}

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' existing = {
  name: busName
}

// The version that Microsoft's notice about the end of older ones names (27 February 2027).
#disable-next-line use-recent-api-versions
resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

// Its first two /24. The function for this, cidrSubnet, is one that the scanner cannot read.
var octets = split(addressSpace, '.')
var appAddresses = '${octets[0]}.${octets[1]}.${octets[2]}.0/24'
var endpointAddresses = '${octets[0]}.${octets[1]}.${int(octets[2]) + 1}.0/24'

var links = [
  {
    name: 'blob'
    zone: 'privatelink.blob.${environment().suffixes.storage}'
    target: account.id
  }
  {
    name: 'table'
    zone: 'privatelink.table.${environment().suffixes.storage}'
    target: account.id
  }
  {
    name: 'namespace'
    zone: 'privatelink.servicebus.windows.net'
    target: namespace.id
  }
  {
    name: 'vault'
    zone: 'privatelink.vaultcore.azure.net'
    target: vault.id
  }
]

resource guard 'Microsoft.Network/networkSecurityGroups@2026-03-01' = {
  name: 'nsg-${name}'
  location: location
  tags: tags
}

resource network 'Microsoft.Network/virtualNetworks@2026-03-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressSpace
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appAddresses
          networkSecurityGroup: {
            id: guard.id
          }
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointAddresses
          networkSecurityGroup: {
            id: guard.id
          }
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for link in links: {
    name: link.zone
    location: 'global'
    tags: tags
  }
]

resource zoneLinks 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (link, place) in links: {
    parent: zones[place]
    name: name
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2026-03-01' = [
  for link in links: {
    name: 'pe-${name}-${link.name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: '${network.id}/subnets/endpoints'
      }
      privateLinkServiceConnections: [
        {
          name: link.name
          properties: {
            // It is the id of one of the resources above, which the rule does not see through the loop.
            #disable-next-line use-resource-id-functions
            privateLinkServiceId: link.target
            groupIds: [
              link.name
            ]
          }
        }
      ]
    }
  }
]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2026-03-01' = [
  for (link, place) in links: {
    parent: endpoints[place]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: link.name
          properties: {
            privateDnsZoneId: zones[place].id
          }
        }
      ]
    }
  }
]
