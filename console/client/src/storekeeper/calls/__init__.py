"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from .alert_channels import AlertChannelsCalls
from .alert_deliveries import AlertDeliveriesCalls
from .alert_rules import AlertRulesCalls
from .alert_settings import AlertSettingsCalls
from .alerts import AlertsCalls
from .audit import AuditCalls
from .backups import BackupsCalls
from .cloud_account_attempts import CloudAccountAttemptsCalls
from .cloud_account_types import CloudAccountTypesCalls
from .cloud_accounts import CloudAccountsCalls
from .clusters import ClustersCalls
from .drill_runs import DrillRunsCalls
from .enrolments import EnrolmentsCalls
from .evidence import EvidenceCalls
from .invitations import InvitationsCalls
from .maintenance_windows import MaintenanceWindowsCalls
from .me import MeCalls
from .members import MembersCalls
from .organisation import OrganisationCalls
from .overview import OverviewCalls
from .proximity import ProximityCalls
from .repositories import RepositoriesCalls
from .restoration import RestorationCalls
from .service_accounts import ServiceAccountsCalls
from .stores import StoresCalls
from .tasks import TasksCalls
from .tokens import TokensCalls
from .unmanaged_buckets import UnmanagedBucketsCalls
from .verdicts import VerdictsCalls


class Calls(
    AlertChannelsCalls,
    AlertDeliveriesCalls,
    AlertRulesCalls,
    AlertSettingsCalls,
    AlertsCalls,
    AuditCalls,
    BackupsCalls,
    CloudAccountAttemptsCalls,
    CloudAccountTypesCalls,
    CloudAccountsCalls,
    ClustersCalls,
    DrillRunsCalls,
    EnrolmentsCalls,
    EvidenceCalls,
    InvitationsCalls,
    MaintenanceWindowsCalls,
    MeCalls,
    MembersCalls,
    OrganisationCalls,
    OverviewCalls,
    ProximityCalls,
    RepositoriesCalls,
    RestorationCalls,
    ServiceAccountsCalls,
    StoresCalls,
    TasksCalls,
    TokensCalls,
    UnmanagedBucketsCalls,
    VerdictsCalls,
):
    """Every call of the API."""
