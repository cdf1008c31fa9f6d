from __future__ import annotations

import ssl

import pytest
from faust.auth import SASLCredentials, SSLCredentials

from streams.settings import Settings
from streams.settings_faust import faust_credentials
from streams.settings_load import SettingsError

SCRAM: dict[str, str | int | float | bool] = {
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "ada",
    "sasl.password": "hunter2",
}


def test_an_unprotected_broker_needs_no_credentials() -> None:
    """Properties that are not about security are not Faust's business."""
    assert faust_credentials(Settings(kafka={"client.rack": "r1"})) is None


def test_scram_over_tls_reaches_faust() -> None:
    """User, password, mechanism and a verifying TLS context are those of the settings."""
    credentials = faust_credentials(Settings(kafka=SCRAM))
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.username, credentials.password) == ("ada", "hunter2")
    assert credentials.mechanism.value == "SCRAM-SHA-512"
    assert credentials.protocol.value == "SASL_SSL"
    assert credentials.ssl_context is not None
    assert credentials.ssl_context.verify_mode is ssl.CERT_REQUIRED and credentials.ssl_context.check_hostname
    assert "hunter2" not in repr(credentials)


def test_sasl_without_tls_has_no_context() -> None:
    """sasl_plaintext stays without TLS, and librdkafka's older name of the mechanism is understood."""
    plain = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "PLAIN"}
    credentials = faust_credentials(Settings(kafka={"sasl.username": "a", "sasl.password": "b", **plain}))
    assert isinstance(credentials, SASLCredentials)
    assert credentials.ssl_context is None


def test_verification_can_be_relaxed_only_as_asked() -> None:
    """Without the name check the certificate is still verified; without verification neither is."""
    unnamed: dict[str, str | int | float | bool] = {
        "security.protocol": "ssl",
        "ssl.endpoint.identification.algorithm": "none",
    }
    credentials = faust_credentials(Settings(kafka=unnamed))
    assert isinstance(credentials, SSLCredentials)
    assert (credentials.context.check_hostname, credentials.context.verify_mode) == (False, ssl.CERT_REQUIRED)
    credentials = faust_credentials(Settings(kafka=unnamed | {"enable.ssl.certificate.verification": "false"}))
    assert isinstance(credentials, SSLCredentials)
    assert credentials.context.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"security.protocol": "tls"}, "found 'TLS'; allowed are plaintext"),
        ({"sasl.mechanism": "GSSAPI"}, "found 'GSSAPI'; allowed are PLAIN"),
        ({"sasl.password": ""}, "kafka.sasl.password: missing"),
        ({"ssl.crl.location": "x"}, "kafka.ssl.crl.location: the worker's Kafka client has no such thing"),
        ({"ssl.ca.location": "/nowhere/ca.pem"}, "certificates or keys cannot be used"),
    ],
)
def test_what_faust_cannot_do_is_refused(change: dict[str, str | int | float | bool], said: str) -> None:
    """A security property is followed or refused, never ignored."""
    with pytest.raises(SettingsError) as refused:
        faust_credentials(Settings(kafka=SCRAM | change))
    assert said in str(refused.value)
