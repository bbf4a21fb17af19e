"""The environment: what each function must be given, and how it is told what is wrong."""

from datetime import timedelta

import pytest

from functions import settings
from functions.collections import OURS
from functions.settings import (
    FUNCTIONS,
    ApiSettings,
    DeliverSettings,
    FirebaseSettings,
    FunctionSettings,
    GatewaySettings,
    PushSettings,
    RingSettings,
    SettingsError,
    WebhookSettings,
    every_variable,
    webhook_name,
)
from functions.variables import Need

GATEWAY = {
    "GOOGLE_CLOUD_PROJECT": "unring-test",
    "GATEWAY_SECRET": "0123456789abcdef",
    "CONNECTIONS_URL": "https://abc.execute-api.us-east-1.amazonaws.com/dev/@connections",
}
HOOKS = {
    "GOOGLE_CLOUD_PROJECT": "unring-test",
    "WEBHOOK_URLS": "https://a.example/hook, https://b.example/hook?k=1%2F2",
    "WEBHOOK_SECRET": f"whsec_{'a' * 32}",
}
RING = {
    "TASKS_QUEUE": "projects/unring-test/locations/us-east1/queues/rings",
    "TASKS_URL": "https://ring.example",
    "TASKS_SERVICE_ACCOUNT": "caller@unring-test.iam.gserviceaccount.com",
}
IN_CLOUD = {"K_SERVICE": "gateway", "AWS_REGION": "us-east-1", "AWS_ROLE_ARN": "arn:aws:iam::1:r"}


def test_what_is_not_set_has_its_default() -> None:
    loaded = settings.load(GatewaySettings, GATEWAY)
    assert loaded.events_topic == "call-events"
    assert loaded.connection_ttl == timedelta(minutes=125)
    assert loaded.direct_post_timeout == timedelta(milliseconds=500)


def test_all_that_is_wrong_is_named_at_once() -> None:
    wrong = {
        "CONNECTIONS_URL": "ftp://x",
        "CONNECTION_TTL_SECONDS": "soon",
        "GATEWAY_SECRET": "short",
    }
    with pytest.raises(SettingsError) as refusal:
        settings.load(GatewaySettings, wrong)
    for name in ("GOOGLE_CLOUD_PROJECT", *wrong):
        assert name in str(refusal.value)


def test_a_secret_is_not_quoted_in_the_refusal() -> None:
    with pytest.raises(SettingsError) as refusal:
        settings.load(GatewaySettings, {**GATEWAY, "GATEWAY_SECRET": "hunter2"})
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("kind", FUNCTIONS.values(), ids=FUNCTIONS)
def test_each_function_starts_with_what_it_reads_alone(kind: type[FunctionSettings]) -> None:
    own = {
        name: value for name, value in {**HOOKS, **GATEWAY, **RING}.items() if name in _names(kind)
    }
    assert settings.load(kind, own).project == "unring-test"


@pytest.mark.parametrize("kind", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize(
    "name", [variable.name for variable in every_variable() if variable.need is Need.LOCAL]
)
def test_no_function_starts_in_the_cloud_with_an_emulator(
    kind: type[FunctionSettings], name: str
) -> None:
    with pytest.raises(SettingsError, match=f"{name} points at an emulator"):
        settings.load(kind, {**GATEWAY, **IN_CLOUD, name: "127.0.0.1:8080"})


def test_in_the_cloud_nothing_is_posted_unsigned() -> None:
    with pytest.raises(SettingsError, match="AWS_ROLE_ARN"):
        settings.load(GatewaySettings, {**GATEWAY, "K_SERVICE": "gateway"})
    assert settings.load(GatewaySettings, {**GATEWAY, **IN_CLOUD}).aws_region == "us-east-1"


@pytest.mark.parametrize("name", ["OIDC_ISSUER", "INTROSPECTION_URL"])
def test_in_the_cloud_tokens_and_keys_travel_over_https_alone(name: str) -> None:
    local = {**GATEWAY, name: "http://issuer.example"}
    settings.load(GatewaySettings, local)
    with pytest.raises(SettingsError, match=f"{name} must start with https://"):
        settings.load(GatewaySettings, {**local, **IN_CLOUD})
    settings.load(GatewaySettings, {**local, **IN_CLOUD, name: "https://issuer.example"})


def test_origins_are_as_browsers_send_them() -> None:
    said = "https://app.example, http://localhost:3000, capacitor://localhost"
    loaded = settings.load(ApiSettings, {**GATEWAY, "CORS_ORIGINS": said})
    assert loaded.cors_origins == tuple(said.split(", "))
    for wrong in (
        "https://App.example",
        "https://a.example:443",
        "http://a.example:80",
        "*",
        "https://a.example/",
        "https://a.example, ",
        "https://*.example",
        "null",
        "https://me@a.example",
        "a.example",
    ):
        with pytest.raises(SettingsError, match="CORS_ORIGINS must be origins as browsers"):
            settings.load(ApiSettings, {**GATEWAY, "CORS_ORIGINS": wrong})


@pytest.mark.parametrize(
    "name", ["API_KEY", "API_KEY_PREVIOUS", "INTERNAL_SECRET", "INTERNAL_SECRET_PREVIOUS"]
)
def test_in_the_cloud_what_a_backend_shows_is_no_short_one(name: str) -> None:
    settings.load(ApiSettings, {**GATEWAY, name: "local"})
    with pytest.raises(SettingsError, match=f"{name} must have at least 16 characters"):
        settings.load(ApiSettings, {**GATEWAY, **IN_CLOUD, name: "local"})
    settings.load(ApiSettings, {**GATEWAY, **IN_CLOUD, name: "k" * 16})


def test_webhooks_are_named_by_their_urls_as_they_are_written() -> None:
    loaded = settings.load(WebhookSettings, HOOKS)
    first, second = HOOKS["WEBHOOK_URLS"].split(", ")
    assert loaded.webhooks == {webhook_name(first): first, webhook_name(second): second}
    turned = settings.load(WebhookSettings, {**HOOKS, "WEBHOOK_URLS": f"{second},{first}"})
    assert turned.webhooks == loaded.webhooks
    assert webhook_name("https://a.example") == "38612c965a9c4c35"  # as Terraform has it


def test_webhooks_need_a_url_and_a_secret() -> None:
    with pytest.raises(SettingsError) as refusal:
        settings.load(WebhookSettings, {"GOOGLE_CLOUD_PROJECT": "unring-test"})
    for name in ("WEBHOOK_URLS", "WEBHOOK_SECRET"):
        assert f"{name} is missing" in str(refusal.value)


def test_webhooks_go_over_https_unless_they_may_stay_on_this_machine() -> None:
    plain = {**HOOKS, "WEBHOOK_URLS": "https://a.example, http://127.0.0.1:8000/hook"}
    with pytest.raises(SettingsError, match="WEBHOOK_URLS must be URLs that start with https://"):
        settings.load(WebhookSettings, plain)
    settings.load(WebhookSettings, {**plain, "WEBHOOK_PRIVATE_ADDRESSES": "allowed"})


@pytest.mark.parametrize("kind", [GatewaySettings, ApiSettings, WebhookSettings])
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "10.0.0.1"),
        *("[::1]", "[fd00::1]", "[fe80::1%25eth0]", "[::ffff:127.0.0.1]", "169.254.169.254"),
    ],
)
def test_webhooks_go_to_no_address_that_is_not_public(
    kind: type[FunctionSettings], host: str
) -> None:
    private = {**GATEWAY, **HOOKS, "WEBHOOK_URLS": f"https://a.example,https://{host}:8000/hook"}
    with pytest.raises(SettingsError, match="WEBHOOK_URLS must not have an address") as refusal:
        settings.load(kind, private)
    assert host not in str(refusal.value)
    settings.load(kind, {**private, "WEBHOOK_PRIVATE_ADDRESSES": "allowed"})


@pytest.mark.parametrize("host", ["a.example", "1.a.example", "8.8.8.8", "[2606:4700::1]"])
def test_webhooks_go_to_names_and_to_public_addresses(host: str) -> None:
    settings.load(WebhookSettings, {**HOOKS, "WEBHOOK_URLS": f"https://{host}/hook"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_URLS", "https://me:password@a.example"),
        ("WEBHOOK_URLS", "https://a.example,https://a.example"),
        ("WEBHOOK_URLS", "https://a.example,"),
        ("WEBHOOK_URLS", "ftp://a.example"),
        ("WEBHOOK_URLS", "https://a.example/#part"),
        ("WEBHOOK_URLS", "https://a.example/a b"),
        ("WEBHOOK_URLS", "https://ä.example"),
        ("WEBHOOK_SECRET", "a" * 32),
        ("WEBHOOK_SECRET", "whsec_"),
        ("WEBHOOK_SECRET", f"whsec_{'a' * 28}"),  # 21 bytes
        ("WEBHOOK_SECRET", f"whsec_{'a' * 88}"),  # 66 bytes
        ("WEBHOOK_SECRET", f"whsec_{'a' * 31}-"),
        ("WEBHOOK_SECRET_PREVIOUS", "whsec_short"),
        ("WEBHOOK_PRIVATE_ADDRESSES", "yes"),
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refusal:
        settings.load(WebhookSettings, {**HOOKS, name: value})
    assert value == "whsec_" or value not in str(refusal.value)


@pytest.mark.parametrize("kind", [GatewaySettings, ApiSettings, RingSettings])
@pytest.mark.parametrize("name", ["PUSH_INCOMING", "PUSH_CANCELLED", "PUSH_REJECTED"])
def test_a_backend_that_is_to_push_must_be_told(kind: type[FunctionSettings], name: str) -> None:
    given = {**GATEWAY, **RING}
    for by in ("unring", "off"):
        settings.load(kind, {**given, name: by})
    with pytest.raises(SettingsError, match=f"WEBHOOK_URLS is missing, which {name}=backend needs"):
        settings.load(kind, {**given, name: "backend"})
    settings.load(kind, {**given, name: "backend", "WEBHOOK_URLS": "https://a.example"})
    with pytest.raises(SettingsError, match=f"{name} must be one of unring, backend, off"):
        settings.load(kind, {**given, name: "both"})


def test_ring_needs_no_identity() -> None:
    assert {"IDENTITY", "FIREBASE_PROJECT", "REQUESTS_AT_ONCE"}.isdisjoint(_names(RingSettings))


def test_ring_needs_a_queue_its_own_url_and_an_account() -> None:
    with pytest.raises(SettingsError) as refusal:
        settings.load(RingSettings, GATEWAY)
    for name in RING:
        assert f"{name} is missing" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TASKS_QUEUE", "rings"),
        ("TASKS_QUEUE", "projects/p/locations/us-east1/queues/"),
        ("TASKS_QUEUE", "projects/p/locations/us-east1/queues/a_b"),
        ("TASKS_QUEUE", "projects/p/locations/us-east1/queues/rings/tasks/1"),
        ("TASKS_QUEUE", f"projects/p/locations/us-east1/queues/{'a' * 101}"),
        ("TASKS_URL", "ring.example"),
        ("CLOUD_TASKS_EMULATOR_HOST", "localhost"),
    ],
)
def test_where_tasks_cannot_go_they_are_not_sent(name: str, value: str) -> None:
    settings.load(RingSettings, {**GATEWAY, **RING})
    with pytest.raises(SettingsError, match=name):
        settings.load(RingSettings, {**GATEWAY, **RING, name: value})


def test_in_the_cloud_tasks_travel_over_https_alone() -> None:
    plain = {**GATEWAY, **RING, "TASKS_URL": "http://ring.example"}
    settings.load(RingSettings, plain)
    with pytest.raises(SettingsError, match="TASKS_URL must start with https://"):
        settings.load(RingSettings, {**plain, **IN_CLOUD})


def test_firebase_may_be_another_projects() -> None:
    kinds: tuple[type[FirebaseSettings], ...] = (GatewaySettings, PushSettings)
    for kind in kinds:
        assert settings.load(kind, GATEWAY).firebase == "unring-test"
        assert settings.load(kind, {**GATEWAY, "FIREBASE_PROJECT": "the-app"}).firebase == "the-app"


def test_a_role_is_of_no_use_without_its_region() -> None:
    with pytest.raises(SettingsError, match="AWS_REGION"):
        settings.load(DeliverSettings, {**GATEWAY, "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONNECTIONS_URL", "https://abc.execute-api.us-east-1.amazonaws.com/dev"),
        ("CONNECTIONS_URL", "https:///@connections"),
        ("CONNECTIONS_URL", "abc.execute-api.us-east-1.amazonaws.com/dev/@connections"),
        ("CONNECTION_TTL_SECONDS", "soon"),
        ("DEVICE_TTL_DAYS", "0.5"),
        ("FIRESTORE_EMULATOR_HOST", "localhost"),
        ("CONNECTION_TTL_SECONDS", "0"),
        ("CONNECTION_TTL_SECONDS", "0.001"),
        ("CONNECTION_TTL_SECONDS", "86401"),
        ("DEVICE_TTL_DAYS", "99999"),
        ("CONNECTION_TTL_SECONDS", "-1"),
        ("CONNECTION_TTL_SECONDS", "nan"),
        ("DEVICES_PER_USER", "0"),
        ("DEVICES_PER_USER", "1.5"),
        ("DEVICES_PER_USER", "1001"),
        ("DEVICES_PER_USER", "many"),
        ("FIRESTORE_DATABASE", "Mine"),
        ("FIRESTORE_DATABASE", "db"),
        ("CALLS_COLLECTION", "users/calls"),
        ("CALLS_COLLECTION", "__calls__"),
        ("CALLS_COLLECTION", "unring_outbox"),
        ("COLLECTION_PREFIX", "app/"),
        ("FRAMES_PER_SECOND", "0.5"),
        ("FRAMES_PER_SECOND", "100001"),
        ("DIRECT_POST_TIMEOUT_MS", "1e99"),
        ("DIRECT_POST_TIMEOUT_MS", "1001"),
        ("GATEWAY_SECRET", "it's 0123456789abcdef"),
        ("GATEWAY_SECRET", "0123456789\tabcdef"),
        ("GATEWAY_SECRET", "0123456789,abcdef"),
        ("GATEWAY_SECRET_PREVIOUS", "kurz"),
        ("OIDC_ISSUER", "issuer.example"),
        ("OIDC_ISSUER", "https://me:password@issuer.example"),
        ("INTROSPECTION_URL", "https://app.example:99999/me"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.load(GatewaySettings, {**GATEWAY, name: value})


@pytest.mark.parametrize("value", ["1", "99", "20001"])
def test_a_hold_that_is_too_short_or_too_long_is_refused_with_the_reason(value: str) -> None:
    reason = "POLL_HOLD_MS must be from 100 to 20000: clients poll as often as this is short"
    with pytest.raises(SettingsError, match=reason):
        settings.load(ApiSettings, {**GATEWAY, "POLL_HOLD_MS": value})


@pytest.mark.parametrize("value", [100, 20_000])
def test_a_hold_may_be_as_short_or_as_long_as_it_says(value: int) -> None:
    loaded = settings.load(ApiSettings, {**GATEWAY, "POLL_HOLD_MS": str(value)})
    assert loaded.poll_hold == timedelta(milliseconds=value)


def test_addresses_of_what_runs_on_this_machine_are_read() -> None:
    local = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8080", "AWS_ENDPOINT_URL_STS": "http://a:1/"}
    loaded = settings.load(GatewaySettings, {**GATEWAY, **local, "DEVICE_TTL_DAYS": "7"})
    assert (loaded.firestore_emulator, loaded.sts_url) == ("127.0.0.1:8080", "http://a:1")
    assert loaded.device_ttl == timedelta(days=7)


def test_the_prefix_of_our_collections_may_be_empty() -> None:
    assert settings.load(GatewaySettings, GATEWAY).collection_prefix == "unring_"
    without = settings.load(GatewaySettings, {**GATEWAY, "COLLECTION_PREFIX": ""})
    assert without.collection_prefix == ""


@pytest.mark.parametrize("collection", OURS)
def test_the_calls_are_not_in_a_collection_of_ours(collection: str) -> None:
    named = {"COLLECTION_PREFIX": "", "CALLS_COLLECTION": collection}
    with pytest.raises(SettingsError, match=f"CALLS_COLLECTION is {collection}"):
        settings.load(GatewaySettings, {**GATEWAY, **named})


def _names(kind: type[FunctionSettings]) -> set[str]:
    return {variable.name for variable in settings.variables_of(kind).values()}


def test_a_socketio_client_renews_its_connection_before_api_gateway_closes_it() -> None:
    defaults = settings.load(DeliverSettings, GATEWAY)
    idle = timedelta(minutes=10)
    assert defaults.eio4_ping_interval + defaults.eio4_ping_timeout < idle
    assert defaults.eio3_ping_interval < idle


def test_settings_do_not_change() -> None:
    loaded = settings.load(GatewaySettings, GATEWAY)
    with pytest.raises(AttributeError):
        setattr(loaded, "project", "another")  # noqa: B010 - as no type checker lets it pass
    assert loaded.project == "unring-test"
