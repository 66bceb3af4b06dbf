"""Policy, evidence and gates for any MLflow model; registration, promotion and the way back.

The public face: everything in ``__all__``. Nothing here knows what a model does: metrics are names and numbers.
"""

from model_governance.by_hand import SyncResult, sync
from model_governance.errors import (
    EvidenceError,
    GateError,
    GovernanceError,
    PolicyError,
    TamperError,
    TransitionError,
)
from model_governance.evaluation import evaluation_of
from model_governance.evidence import Evidence, collect
from model_governance.gates import GateResult, Verdict, judge
from model_governance.policy import Policy, load_policy
from model_governance.promotion import check, promote, reject, reopen, rollback
from model_governance.registration import Registration, register
from model_governance.standing import Standing

__all__ = [
    "Evidence",
    "EvidenceError",
    "GateError",
    "GateResult",
    "GovernanceError",
    "Policy",
    "PolicyError",
    "Registration",
    "Standing",
    "SyncResult",
    "TamperError",
    "TransitionError",
    "Verdict",
    "check",
    "collect",
    "evaluation_of",
    "judge",
    "load_policy",
    "promote",
    "register",
    "reject",
    "reopen",
    "rollback",
    "sync",
]
