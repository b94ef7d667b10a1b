from django.apps import AppConfig


class CloudAccountsConfig(AppConfig):
    name = "console.cloud_accounts"
    label = "cloud_accounts"
    verbose_name = "Cloud accounts"
