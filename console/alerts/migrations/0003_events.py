from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('alerts', '0002_links_end'),
    ]

    operations = [
        migrations.AddField(
            model_name='channel',
            name='events',
            field=models.JSONField(null=True),
        ),
    ]
