// What an admin sees in the portal: a workbook that asks whether every school is in step, and alerts for what cannot wait.
@description('Name of the environment.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('The Log Analytics workspace with the events.')
param workspaceId string

@description('The Service Bus namespace.')
param busId string

@description('E-mail addresses that alerts go to.')
param emails array

@description('Where the pages stand that alerts link to: docs/operations.md of the version that is deployed.')
param operationsUrl string

var alerts = [
  {
    name: 'A class or a school is held'
    query: loadTextContent('../queries/alert-hold-open.kql')
    page: 'a-class-or-a-school-is-held'
    severity: 2
    every: 'PT15M'
    within: 'PT15M'
  }
  {
    name: 'A feed was rejected'
    query: loadTextContent('../queries/alert-feed-rejected.kql')
    page: 'a-feed-was-rejected'
    severity: 2
    every: 'PT15M'
    within: 'PT15M'
  }
  {
    name: 'Graph refused a change'
    query: loadTextContent('../queries/alert-refused.kql')
    page: 'events-and-what-to-do'
    severity: 3
    every: 'PT15M'
    within: 'PT15M'
  }
  {
    name: 'A school was not synced for 26 hours'
    query: loadTextContent('../queries/alert-not-synced.kql')
    page: 'a-school-was-not-synced'
    severity: 2
    every: 'PT1H'
    within: 'P2D'
  }
  {
    name: 'Graph has throttled for 15 minutes'
    query: loadTextContent('../queries/alert-throttled.kql')
    page: 'graph-throttles'
    severity: 3
    every: 'PT15M'
    within: 'PT15M'
  }
  {
    name: 'Webhooks that nobody signed'
    query: loadTextContent('../queries/alert-webhook-refused.kql')
    page: 'a-webhook-is-refused'
    severity: 2
    every: 'PT15M'
    within: 'PT15M'
  }
  {
    name: 'A drop failed'
    query: loadTextContent('../queries/alert-drop-failed.kql')
    page: 'a-set-of-files-is-not-taken'
    severity: 3
    every: 'PT15M'
    within: 'PT15M'
  }
  {
    name: 'Access to an MIS changed'
    query: loadTextContent('../queries/alert-access-changed.kql')
    page: 'access-was-revoked'
    severity: 1
    every: 'PT5M'
    within: 'PT5M'
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'class sync'
    enabled: true
    emailReceivers: [
      for (email, place) in emails: {
        name: 'person ${place}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in alerts: {
    name: '${name} - ${alert.name}'
    location: location
    tags: tags
    properties: {
      displayName: alert.name
      description: 'What it means and what to do: ${operationsUrl}#${alert.page}'
      severity: alert.severity
      enabled: true
      evaluationFrequency: alert.every
      windowSize: alert.within
      scopes: [
        workspaceId
      ]
      criteria: {
        allOf: [
          {
            query: alert.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          people.id
        ]
      }
    }
  }
]

resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${name} - A message was given up'
  location: 'global'
  tags: tags
  properties: {
    description: 'What it means and what to do: ${operationsUrl}#a-message-was-given-up'
    severity: 2
    enabled: true
    scopes: [
      busId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead letters'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'DeadletteredMessages'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}

var tiles = [
  {
    title: 'Is every school in step?'
    query: loadTextContent('../queries/schools-in-step.kql')
    exported: 'school'
  }
  {
    title: 'Runs of {school}'
    query: loadTextContent('../queries/runs-of-a-school.kql')
    exported: ''
  }
  {
    title: 'What was done to classes of {school}'
    query: loadTextContent('../queries/history-of-a-class.kql')
    exported: ''
  }
  {
    title: 'Messages that failed'
    query: loadTextContent('../queries/failed-messages.kql')
    exported: ''
  }
  {
    title: 'What the MIS side announced'
    query: loadTextContent('../queries/webhooks.kql')
    exported: ''
  }
]

var heading = {
  type: 1
  name: 'heading'
  content: {
    json: '# MIS Class Sync\nChoose a school in the first table to see its runs and its classes. What each word means, and what to do: [operations](${operationsUrl}).'
  }
}

var tables = [
  for tile in tiles: {
    type: 3
    name: tile.title
    content: {
      version: 'KqlItem/1.0'
      title: tile.title
      query: tile.query
      size: 0
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      crossComponentResources: [
        workspaceId
      ]
      visualization: 'table'
      exportFieldName: tile.exported
      exportParameterName: tile.exported
      gridSettings: {
        filter: true
        sortBy: []
      }
    }
  }
]

var workbookData = {
  version: 'Notebook/1.0'
  items: concat([heading], tables)
  fallbackResourceIds: [
    workspaceId
  ]
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspaceId, 'mis-class-sync')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'MIS Class Sync: is every school in step?'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string(workbookData)
  }
}

output workbookUrl string = 'https://portal.azure.com/#resource${workbook.id}/workbook'
