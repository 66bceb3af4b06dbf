"""The kinds of rules that a policy can hold; `model_governance.gates` has one function for each."""

from model_governance.rules.base import Rule
from model_governance.rules.figures import ChampionRule, CostRule, CostTerm, PairedTest, SliceRule, Threshold
from model_governance.rules.files import AdvisoryException, AdvisoryRule, ArtifactRule, Materials, SecurityRule
from model_governance.rules.governance import GovernanceRules, Role
from model_governance.rules.optimisation import OptimisationRule
from model_governance.rules.people import AcceptanceRule, Mitigation, MitigationAcceptance, RiskRule
from model_governance.rules.records import (
    ComplianceRule,
    DatasetRule,
    DocumentRule,
    FreshnessRule,
    ParamRule,
    RecordRule,
    TagRule,
)
from model_governance.rules.selection import Preference, Selection

__all__ = [
    "AcceptanceRule",
    "AdvisoryException",
    "AdvisoryRule",
    "ArtifactRule",
    "ChampionRule",
    "ComplianceRule",
    "CostRule",
    "CostTerm",
    "DatasetRule",
    "DocumentRule",
    "FreshnessRule",
    "GovernanceRules",
    "Materials",
    "Mitigation",
    "MitigationAcceptance",
    "OptimisationRule",
    "PairedTest",
    "ParamRule",
    "Preference",
    "RecordRule",
    "RiskRule",
    "Role",
    "Rule",
    "SecurityRule",
    "Selection",
    "SliceRule",
    "TagRule",
    "Threshold",
]
