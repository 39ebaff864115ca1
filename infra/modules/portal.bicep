// What admins see in the portal: a workbook that shows whether every school is in step, and alerts for urgent problems.
@description('Name of the environment.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the Log Analytics workspace with the events.')
param workspaceName string

@description('Name of the Service Bus namespace.')
param busName string

@description('E-mail addresses that alerts go to.')
param emails array

@description('Address of the page that alerts link to. It has a section with the name of each alert.')
param operationsUrl string

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: workspaceName
}

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' existing = {
  name: busName
}

// Each name is the heading of a section of docs/operations.md, and so the anchor of a link.
// An alert about an event is sent for each event. An alert about a state is sent when it begins and when it ends.
// Rows arrive minutes late, so an alert finds events by the time their row arrived (ingestion_time in its query). It looks
// back two minutes more than its interval: an evaluation may start late, and a row is readable some time after it arrived.
// An event of those two minutes is sent twice.
var alerts = [
  {
    name: 'A tenant lacks a Graph permission'
    query: loadTextContent('../queries/alert-permission-missing.kql')
    severity: 1
    every: 'PT15M'
    within: 'PT1H'
    resolves: false
  }
  {
    name: 'A class or a school is held'
    query: loadTextContent('../queries/alert-hold-open.kql')
    severity: 2
    every: 'PT15M'
    within: 'PT1H'
    resolves: false
  }
  {
    name: 'A feed was rejected'
    query: loadTextContent('../queries/alert-feed-rejected.kql')
    severity: 2
    every: 'PT15M'
    within: 'PT1H'
    resolves: false
  }
  {
    name: 'Graph refused a change'
    query: loadTextContent('../queries/alert-refused.kql')
    severity: 3
    every: 'PT15M'
    within: 'PT1H'
    resolves: false
  }
  {
    name: 'A school was not synced for 26 hours'
    query: loadTextContent('../queries/alert-not-synced.kql')
    severity: 2
    every: 'PT1H'
    within: 'P2D'
    resolves: true
  }
  {
    name: 'Graph has throttled for 15 minutes'
    query: loadTextContent('../queries/alert-throttled.kql')
    severity: 3
    every: 'PT15M'
    within: 'PT30M'
    resolves: true
  }
  {
    name: 'Webhooks without a valid signature'
    query: loadTextContent('../queries/alert-webhook-refused.kql')
    severity: 2
    every: 'PT15M'
    within: 'PT1H'
    resolves: false
  }
  {
    name: 'A file drop failed'
    query: loadTextContent('../queries/alert-file-drop-failed.kql')
    severity: 3
    every: 'PT15M'
    within: 'PT30M'
    resolves: true
  }
  {
    name: 'A function failed'
    query: loadTextContent('../queries/alert-function-failed.kql')
    severity: 1
    every: 'PT15M'
    within: 'PT1H'
    resolves: false
  }
  {
    name: 'A date of a school is tomorrow'
    query: loadTextContent('../queries/alert-calendar-ahead.kql')
    severity: 3
    every: 'PT15M'
    within: 'PT1H'
    resolves: false
  }
  {
    name: 'Access to an MIS changed'
    query: loadTextContent('../queries/alert-access-changed.kql')
    severity: 1
    every: 'PT5M'
    within: 'PT1H'
    resolves: false
  }
]

var deadLetterAlert = 'A message was dead-lettered'
var advice = 'What happened, and what to do: ${operationsUrl}#'

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

resource rules 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for alert in alerts: {
    name: '${name} - ${alert.name}'
    location: location
    tags: tags
    properties: {
      displayName: alert.name
      description: '${advice}${toLower(replace(alert.name, ' ', '-'))}'
      severity: alert.severity
      enabled: true
      autoMitigate: alert.resolves
      // The tables that the queries name are not in a new workspace yet.
      skipQueryValidation: true
      evaluationFrequency: alert.every
      windowSize: alert.within
      scopes: [
        workspace.id
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

resource deadLetters 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: '${name} - ${deadLetterAlert}'
  location: 'global'
  tags: tags
  properties: {
    description: '${advice}${toLower(replace(deadLetterAlert, ' ', '-'))}'
    severity: 2
    enabled: true
    scopes: [
      namespace.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead letters'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'DeadletteredMessages'
          // Each queue has an alert of its own: one that has begun for a queue would hide the messages of the others.
          dimensions: [
            {
              name: 'EntityName'
              operator: 'Include'
              values: [
                '*'
              ]
            }
          ]
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

var layout = loadJsonContent('../workbook/workbook.json')

var queries = {
  'schools-in-step': loadTextContent('../queries/schools-in-step.kql')
  'runs-of-a-school': loadTextContent('../queries/runs-of-a-school.kql')
  'classes-of-a-school': loadTextContent('../queries/classes-of-a-school.kql')
  'history-of-a-class': loadTextContent('../queries/history-of-a-class.kql')
  'failed-messages': loadTextContent('../queries/failed-messages.kql')
  webhooks: loadTextContent('../queries/webhooks.kql')
  latency: loadTextContent('../queries/latency.kql')
  graph: loadTextContent('../queries/graph.kql')
  'slowest-at-graph': loadTextContent('../queries/slowest-at-graph.kql')
}

var heading = {
  type: 1
  name: 'heading'
  content: {
    json: replace(layout.heading, '{operations}', operationsUrl)
  }
}

var tables = [
  for tile in layout.tiles: {
    type: 3
    name: tile.title
    content: {
      version: 'KqlItem/1.0'
      title: tile.title
      query: queries[tile.query]
      size: 0
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      crossComponentResources: [
        workspace.id
      ]
      visualization: 'table'
      exportFieldName: tile.exports
      exportParameterName: tile.exports
      gridSettings: {
        filter: true
        formatters: tile.formatters
        sortBy: []
      }
    }
  }
]

var workbookData = {
  version: 'Notebook/1.0'
  items: concat([heading], tables)
  fallbackResourceIds: [
    workspace.id
  ]
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspace.id, 'mis-class-sync')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'MIS Class Sync: is every school in step?'
    category: 'workbook'
    sourceId: workspace.id
    serializedData: string(workbookData)
  }
}

output workbookUrl string = 'https://portal.azure.com/#resource${workbook.id}/workbook'
