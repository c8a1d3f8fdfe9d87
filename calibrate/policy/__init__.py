"""The routing policy: its records, reading and writing it, and `route(workflow, input_tokens=…)`.

A run produces it and a service reads it, so nothing of the harness is imported here.
"""

from calibrate.policy.loading import (
    DEFAULT_PATH,
    Policy,
    PolicyWatch,
    Routes,
    find_policy,
    load_policy,
    load_routes,
    parse_policy,
)
from calibrate.policy.price import PolicyPrice, PriceStep
from calibrate.policy.records import (
    Attempt,
    CascadeEvidence,
    Digests,
    Escalation,
    Evidence,
    FallbackEvidence,
    Inputs,
    InputScore,
    Override,
    PolicyModel,
    PolicyOrigin,
    Rejected,
    Route,
    RoutedWorkflow,
    Scale,
    ServingLimits,
    WorkflowPolicy,
)
from calibrate.policy.resolving import utc_today
from calibrate.policy.sealing import edits, sealed
from calibrate.policy.writing import dump_policy, dump_routes, update_policy, write_policy

__all__ = [
    "DEFAULT_PATH",
    "Attempt",
    "CascadeEvidence",
    "Digests",
    "Escalation",
    "Evidence",
    "FallbackEvidence",
    "InputScore",
    "Inputs",
    "Override",
    "Policy",
    "PolicyModel",
    "PolicyOrigin",
    "PolicyPrice",
    "PolicyWatch",
    "PriceStep",
    "Rejected",
    "Route",
    "RoutedWorkflow",
    "Routes",
    "Scale",
    "ServingLimits",
    "WorkflowPolicy",
    "dump_policy",
    "dump_routes",
    "edits",
    "find_policy",
    "load_policy",
    "load_routes",
    "parse_policy",
    "sealed",
    "update_policy",
    "utc_today",
    "write_policy",
]
