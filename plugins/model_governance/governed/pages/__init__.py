"""`/governance/`: where a reviewer reads, decides and looks back, inside MLflow's own server and log-in.

`add_pages(app)` is all that the app needs: it registers the blueprint and gives MLflow's UI its Stage menu. Who
may do what is decided behind it, by the store.
"""

from model_governance.governed.pages.mlflow_server import add_pages

__all__ = ["add_pages"]
