import django.db.models.deletion
from django.db import migrations, models

import console.accounts.encryption

class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('clusters', '0002_texts_fit_their_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='repository',
            name='cluster_name',
            field=models.CharField(default='', max_length=60),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='repository',
            name='prefix',
            field=models.CharField(default='', max_length=20),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='repository',
            name='organisation',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organisation'),
        ),
        migrations.AddField(
            model_name='repository',
            name='detached_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='repository',
            name='kit_taken_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='repository',
            name='secrets',
            field=console.accounts.encryption.EncryptedJSONField(default=dict),
        ),
        migrations.AlterField(
            model_name='repository',
            name='cluster',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='repositories', to='clusters.cluster'),
        ),
        migrations.AddField(
            model_name='stanza',
            name='timeline',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.CreateModel(
            name='KnownStanza',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('node', models.CharField(max_length=100)),
                ('name', models.CharField(max_length=100)),
                ('postgresql', models.CharField(blank=True, max_length=4)),
                ('data_directory', models.CharField(blank=True, max_length=200)),
                ('port', models.PositiveIntegerField(null=True)),
                ('region', models.CharField(blank=True, max_length=40)),
                ('system_id', models.CharField(blank=True, max_length=20)),
                ('backups', models.JSONField(default=dict)),
                ('lost', models.JSONField(default=list)),
                ('sizes', models.JSONField(default=list)),
                ('versions', models.JSONField(default=dict)),
                ('wal_at', models.DateTimeField(null=True)),
                ('seen_at', models.DateTimeField(null=True)),
                ('repository', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='known_stanzas', to='clusters.repository')),
            ],
            options={
                'ordering': ['node', 'name'],
                'constraints': [models.UniqueConstraint(fields=('repository', 'node', 'name'), name='one_known_stanza_per_node_and_name')],
            },
        ),
    ]
