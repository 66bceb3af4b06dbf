"""A policy for a plain model: one rule of each kind that there was from the beginning."""

from __future__ import annotations

from typing import Any

POLICY: dict[str, Any] = {
    "format_version": 1,
    "quality": [{"metric": "score", "min": 0.5, "reason": "worse is of no use"}],
    "performance": [{"metric": "latency_ms", "max": 100, "reason": "cameras do not wait"}],
    "champion": [
        {
            "metric": "score",
            "better": "higher",
            "worse_by_at_most": 0.05,
            "same_data": False,
            "reason": "no step back",
        }
    ],
    "security": [
        {
            "allowed_files": ["MLmodel", "*.yaml", "*.txt", "*.py"],
            "max_size_mb": 1,
            "reason": "data, not programs",
        }
    ],
    "records": [{"tag": "team", "reason": "somebody answers for it"}],
    "freshness": [{"max_age_days": 30, "reason": "old figures tell nothing"}],
}
