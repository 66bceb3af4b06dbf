"""MLflow's own webhooks: whoever makes one sends what happens to models elsewhere."""

from __future__ import annotations

from typing import Any

from mlflow.entities.webhook import Webhook

from model_governance.governed.deciding import Deciding, Open

__all__ = ["KeepingWebhooks"]


class KeepingWebhooks(Deciding):
    """The part of the store that keeps webhooks."""

    def create_webhook(self, *args: Any, **kwargs: Any) -> Webhook:
        """Create a webhook of MLflow's own; its secret is told to nobody."""

        def do(open_: Open) -> Webhook:
            made = super(KeepingWebhooks, self).create_webhook(*args, **kwargs)
            open_.tell(after=made.url, detail={"webhook": made.webhook_id, "name": made.name})
            return made

        return self._asked("webhook", "", do)

    def update_webhook(self, webhook_id: str, *args: Any, **kwargs: Any) -> Webhook:
        """Change a webhook of MLflow's own."""

        def do(open_: Open) -> Webhook:
            changed = super(KeepingWebhooks, self).update_webhook(webhook_id, *args, **kwargs)
            open_.tell(after=changed.url, detail={"webhook": webhook_id, "status": str(changed.status)})
            return changed

        return self._asked("webhook", "", do)

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook of MLflow's own."""

        def do(open_: Open) -> None:
            super(KeepingWebhooks, self).delete_webhook(webhook_id)
            open_.tell(detail={"webhook": webhook_id, "deleted": True})

        self._asked("webhook", "", do)
