from django.db import migrations


def rename(apps, schema_editor):
    """Keep whether a server's certificate is verified as the form asks it."""
    for account in apps.get_model('accounts', 'CloudAccount').objects.filter(provider_key='s3'):
        if account.settings.pop('verify_tls', '') == 'no':
            account.settings['skip_tls_verify'] = 'yes'
        account.save(update_fields=['settings'])


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_sign_in'),
    ]

    operations = [migrations.RunPython(rename, migrations.RunPython.noop)]
