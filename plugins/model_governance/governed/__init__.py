"""The server that governs: `mlflow server --app-name governed` over a registry store that enforces.

The store holds every write to the registry against the policy, and writes the audit entry in the same transaction;
the app says who asks and turns a refusal into a sentence that MLflow's UI shows. No route, old or new, goes round
the store.
"""
