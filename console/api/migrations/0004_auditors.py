"""A service account may be an auditor."""

from django.conf import settings
from django.db import migrations, models


SURVIVES = {
    "Create constraint a_service_account_has_a_role on model serviceaccount": "it takes one role more than before"
}


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_auditors'),
        ('api', '0003_kept_answers_are_sealed'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='serviceaccount',
            name='a_service_account_has_a_role',
        ),
        migrations.AlterField(
            model_name='serviceaccount',
            name='role',
            field=models.CharField(choices=[('owner', 'Owner'), ('admin', 'Admin'), ('auditor', 'Auditor'), ('viewer', 'Viewer')], default='viewer', max_length=20),
        ),
        migrations.AddConstraint(
            model_name='serviceaccount',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ('owner', 'admin', 'auditor', 'viewer'))), name='a_service_account_has_a_role'),
        ),
    ]
