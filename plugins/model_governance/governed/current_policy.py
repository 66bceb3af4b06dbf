"""The policy that a server goes by, read once when it starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from model_governance.policy import Policy, load_policy
from model_governance.rules.governance import GovernanceRules

__all__ = ["POLICY_VARIABLE", "ServerPolicy", "server_policy"]

POLICY_VARIABLE = "MODEL_GOVERNANCE_POLICY"
"""Environment variable with the path of the policy's file."""


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """What the server enforces, and the gates that its versions are judged by where it knows them."""

    rules: GovernanceRules = field(default_factory=GovernanceRules)
    policy: Policy | None = None
    path: str = ""

    @property
    def digest(self) -> str | None:
        """Of the gates; None where the server knows none."""
        return None if self.policy is None else self.policy.digest


def server_policy() -> ServerPolicy:
    """The policy that MODEL_GOVERNANCE_POLICY names; the strict built-in one where it names none.

    Raises
    ------
    PolicyError
        Where the file cannot be read: a server without its policy does not start.
    """
    path = os.environ.get(POLICY_VARIABLE, "").strip()
    if not path:
        return ServerPolicy()
    policy = load_policy(path)
    return ServerPolicy(policy.governance or GovernanceRules(), policy, path)
