"""Policy, evidence and gates for any MLflow model; registration, promotion and the way back.

The public face: everything in ``__all__``. Nothing here knows what a model does: metrics are names and numbers.
"""

from model_governance.assessment import Assessment, assess
from model_governance.by_hand import SyncResult, sync
from model_governance.errors import (
    EvidenceError,
    GateError,
    GovernanceError,
    PolicyError,
    TamperError,
    TransitionError,
    VersioningError,
)
from model_governance.evaluation import evaluation_of
from model_governance.evidence import Evidence
from model_governance.gates import GateResult, Verdict, judge
from model_governance.gathering import collect
from model_governance.policy import Policy, load_policy
from model_governance.promotion import check, promote, reject, reopen, rollback
from model_governance.registration import Registration, register
from model_governance.selection import Ranked, select
from model_governance.signatures import Signature, accept, accept_mitigation
from model_governance.standing import Standing

__all__ = [
    "Assessment",
    "Evidence",
    "EvidenceError",
    "GateError",
    "GateResult",
    "GovernanceError",
    "Policy",
    "PolicyError",
    "Ranked",
    "Registration",
    "Signature",
    "Standing",
    "SyncResult",
    "TamperError",
    "TransitionError",
    "Verdict",
    "VersioningError",
    "accept",
    "accept_mitigation",
    "assess",
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
    "select",
    "sync",
]
