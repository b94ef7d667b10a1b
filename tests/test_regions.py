"""A region is named by its code, its city or its country, as people write them, in every form that asks for one."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from clusters.forms import AddNodesForm
from clusters.models import Cluster
from console.cloud_accounts.models import CloudAccount
from console.clouds.regions import matching, regions, table
from stores.forms import StoreForm
from stores.models import Store
from tests import factories

CLOUDS = sorted({provider for provider, _ in table()})


def written(text):
    """The same as people type it."""
    return text, text.upper(), text.lower(), f"  {text}\t"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_found_by_its_code_whatever_else_has_that_name(cloud):
    for region in regions(cloud):
        for text in written(region.code):
            assert matching(text, regions(cloud)) == [region]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_found_by_its_city_and_its_place(cloud):
    for region in regions(cloud):
        same = [one for one in regions(cloud) if one.place == region.place]
        for text in (*written(region.city), *written(region.place)):
            assert matching(text, regions(cloud)) == same


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_found_by_its_country_with_all_others_of_it(cloud):
    for region in regions(cloud):
        same = [one for one in regions(cloud) if one.country == region.country]
        for text in written(region.country):
            assert matching(text, regions(cloud)) == same


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_among_those_of_its_own_name(cloud):
    for region in regions(cloud):
        for text in written(region.name):
            assert region in matching(text, regions(cloud))


@pytest.mark.parametrize("text", ["", " ", "-", "東京", "eu", "west", "irel", "Ireland, Dublin"])
def test_what_names_no_region_finds_none(text):
    assert matching(text, regions("aws")) == []


@pytest.mark.parametrize(
    ("cloud", "text", "code"),
    [
        ("aws", "Ireland", "eu-west-1"),
        ("aws", "LONDON", "eu-west-2"),
        ("aws", "dublin, ireland", "eu-west-1"),
        ("aws", "sao paulo", "sa-east-1"),
        ("aws", "Europe (Ireland)", "eu-west-1"),
        ("aws", "Ohio", "us-east-2"),
        ("azure", "West Europe", "westeurope"),
        ("azure", "Hong Kong", "eastasia"),
        ("google", "iowa", "us-central1"),
        ("google", "Montréal", "northamerica-northeast1"),
    ],
)
def test_places_that_people_type(cloud, text, code):
    assert [region.code for region in matching(text, regions(cloud))] == [code]


def reached(organisation, region):
    """An account that reaches the region."""
    if region.provider == "aws":
        found = CloudAccount.objects.filter(partition=region.partition).first()
        return found or factories.account(organisation, name=region.partition, partition=region.partition)
    make = {"azure": factories.azure, "google": factories.google, "s3": factories.server}[region.provider]
    return CloudAccount.objects.filter(provider_key=region.provider).first() or make(organisation)


def store_form(organisation, account, text):
    data = {"provider": account.provider_key, "name": "new", "cloud_account": str(account.pk), "region": text}
    return StoreForm(data, membership=organisation.memberships.get())


def nodes_form(account, *texts):
    data = QueryDict(mutable=True)
    data.setlist("regions", texts)
    return AddNodesForm(data, cluster=Cluster(cloud_account=account))


@pytest.mark.slow
@pytest.mark.parametrize("cloud", CLOUDS)
def test_both_forms_take_code_city_and_country_or_name_the_codes(cloud, alice, acme):
    for region in regions(cloud):
        account = reached(acme, region)
        offered = account.regions
        for text in (region.code, region.city, region.country, f" {region.city.upper()} ", region.country.lower()):
            found = [one.code for one in matching(text, offered)]
            forms = [(nodes_form(account, text), "regions")]
            if not account.cloud.storage.one_region:
                forms.append((store_form(acme, account, text), "region"))
            for form, field in forms:
                if len(found) == 1:
                    assert form.is_valid(), (text, form.errors)
                    assert form.cleaned_data[field] in (found[0], found)
                else:
                    assert not form.is_valid()
                    assert set(form.errors) == {field}
                    for code in found:
                        assert code in form.errors[field][0]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_store_is_created_at_a_place(client, alice, acme, headers):
    client.force_login(alice)
    account = factories.account(acme)
    given = {"provider": "aws", "name": "orders", "cloud_account": str(account.pk), "region": "  ireland "}
    assert client.post("/stores/create/", given, headers=headers).status_code < 400
    assert Store.objects.get().region == "eu-west-1"


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_what_names_several_regions_is_answered_with_their_codes_beside_the_field(client, alice, acme, headers):
    client.force_login(alice)
    account = factories.account(acme)
    given = {"provider": "aws", "name": "orders", "cloud_account": str(account.pk), "region": "japan"}
    answer = client.post("/stores/create/", given, headers=headers)
    assert answer.status_code == 422
    (said,) = answer.context["form"].errors["region"]
    assert (
        said
        == "There are 2 regions in japan: ap-northeast-1 (Tokyo), ap-northeast-3 (Osaka). Enter one of these codes."
    )
    assert said in answer.content.decode()
    assert 'value="japan"' in answer.content.decode()
    assert not Store.objects.exists()


@pytest.mark.parametrize("text", ["china", "Beijing", "cn-north-1"])
def test_a_place_that_the_account_does_not_reach_is_refused(alice, acme, text):
    form = store_form(acme, factories.account(acme), text)
    assert form.errors["region"] == [f"prod is an account of aws: {text} is not in it."]


def test_the_notice_about_a_region_knows_its_place_too(client, alice, acme):
    client.force_login(alice)
    account = factories.account(acme)
    answer = client.get(f"/stores/preflight/?cloud_account={account.pk}&region=Ireland")
    assert answer.context["region"] == "eu-west-1"
