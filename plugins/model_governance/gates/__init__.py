"""The gates: one function for each kind of rule, all of them pure."""

# Each of these registers what it checks with `check`.
from model_governance.gates import figures, files, people, records
from model_governance.gates.judging import Case, GateResult, Verdict, check, judge

__all__ = ["Case", "GateResult", "Verdict", "check", "figures", "files", "judge", "people", "records"]
