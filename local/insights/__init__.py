"""Application Insights on this machine: what azure-monitor-opentelemetry sends, kept as rows."""
