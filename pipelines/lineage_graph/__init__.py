"""What came from what: data, runs, models, versions, approvals, prediction logs, drift reports, as one graph."""
