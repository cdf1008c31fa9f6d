"""The same security settings for Faust: librdkafka's properties, as the credentials and TLS context of aiokafka."""

from __future__ import annotations

import ssl

from faust.auth import SASLCredentials, SSLCredentials

from streams.settings import Settings
from streams.settings_load import SettingsError

_PASSED = ("security.protocol", "sasl.", "ssl.", "enable.ssl.certificate.verification")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_UNDERSTOOD = {
    "enable.ssl.certificate.verification",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
}


def faust_credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """What to give Faust as ``broker_credentials``.

    Returns
    -------
    None for an unprotected broker.

    Raises
    ------
    SettingsError : a security property that the worker's client cannot follow. Ignoring one could mean talking to a
        broker in a weaker way than was asked for.
    """
    security = {name: str(value) for name, value in settings.kafka.items() if name.startswith(_PASSED)}
    if unknown := sorted(security.keys() - _UNDERSTOOD):
        allowed = ", ".join(sorted(_UNDERSTOOD))
        raise SettingsError(f"kafka.{unknown[0]}: the worker's Kafka client has no such thing; allowed are {allowed}")
    protocol = security.get("security.protocol", "plaintext").upper()
    match protocol:
        case "PLAINTEXT":
            return None
        case "SSL":
            return SSLCredentials(context=_tls(security))
        case "SASL_PLAINTEXT" | "SASL_SSL":
            return _sasl(security, _tls(security) if protocol == "SASL_SSL" else None)
        case _:
            allowed = "plaintext, ssl, sasl_plaintext, sasl_ssl"
            raise SettingsError(f"kafka.security.protocol: found {protocol!r}; allowed are {allowed}")


def _sasl(security: dict[str, str], context: ssl.SSLContext | None) -> SASLCredentials:
    # librdkafka's own default is GSSAPI, which needs a Kerberos set-up: asking for the mechanism avoids a surprise.
    mechanism = security.get("sasl.mechanism", security.get("sasl.mechanisms", ""))
    if mechanism not in _MECHANISMS:
        raise SettingsError(f"kafka.sasl.mechanism: found {mechanism!r}; allowed are {', '.join(_MECHANISMS)}")
    for name in ("sasl.username", "sasl.password"):
        if not security.get(name):
            raise SettingsError(f"kafka.{name}: missing; {mechanism} needs it")
    return SASLCredentials(
        username=security["sasl.username"],
        password=security["sasl.password"],
        mechanism=mechanism,
        ssl_context=context,
    )


def _tls(security: dict[str, str]) -> ssl.SSLContext:
    authorities = security.get("ssl.ca.location")
    try:
        context = ssl.create_default_context(
            cafile=None if authorities == "probe" else authorities, cadata=security.get("ssl.ca.pem")
        )
        if certificate := security.get("ssl.certificate.location"):
            context.load_cert_chain(certificate, security.get("ssl.key.location"), security.get("ssl.key.password"))
        if ciphers := security.get("ssl.cipher.suites"):
            context.set_ciphers(ciphers)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"kafka.ssl.*: certificates or keys cannot be used: {error}") from error
    if security.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if security.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
