//! Dialling: TCP, TLS from a profile's `tls` block, and what the failures of both mean.

#[cfg(any(feature = "rabbitmq", feature = "redis"))]
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Tls, TlsVersion};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
#[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription as Alert, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, InvalidMessage, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use std::io;
use std::path::Path;
use std::sync::Arc;
#[cfg(any(feature = "rabbitmq", feature = "redis"))]
use std::time::{Duration, Instant};
#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
use tokio::net::TcpStream;
#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
use tokio_rustls::{TlsConnector, client::TlsStream};

const OP: &str = "connect to";

/// Connects to a host by TCP.
#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
pub(crate) async fn tcp(host: &str, port: u16, peer: &SafeText) -> Result<TcpStream, Fault> {
    let resolved: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(|error| unresolved(host, &error, peer))?.collect();
    let stream = TcpStream::connect(&*resolved).await.map_err(|error| no_connection(&error, peer))?;
    // Small requests must not wait for each other.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The host and the port of an address; an IPv6 address without its brackets.
#[cfg(any(feature = "rabbitmq", feature = "redis"))]
pub(crate) fn host_and_port<'a>(address: &'a str, peer: &SafeText) -> Result<(&'a str, u16), Fault> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| Fault::new(Kind::Usage, OP, peer.clone(), "this is not host:port"))?;
    Ok((host.trim_start_matches('[').trim_end_matches(']'), port))
}

/// Opens a connection within `limit`, and notes in the log how that ended.
#[cfg(any(feature = "rabbitmq", feature = "redis"))]
pub(crate) async fn opened<T>(
    limit: Duration,
    peer: &SafeText,
    log: &WireLog,
    opening: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let began = Instant::now();
    let opened = tokio::time::timeout(limit, opening).await.unwrap_or_else(|_| {
        let cause = format!("no answer within {} s", limit.as_secs_f32());
        Err(Fault::new(Kind::Timeout, OP, peer.clone(), cause).next("check the address; a server that wants TLS may be silent to us"))
    });
    let outcome = opened.as_ref().err().map_or_else(|| "connected".to_owned(), |fault| fault.cause.to_string());
    log.record(peer, "connect", outcome, began.elapsed());
    opened
}

/// What it means that a name has no address.
pub(crate) fn unresolved(host: &str, error: &dyn std::error::Error, peer: &SafeText) -> Fault {
    Fault::new(Kind::Unreachable, OP, peer.clone(), format!("the name {host} cannot be resolved: {error}"))
        .next("check the spelling and the DNS")
}

/// What it means that TCP could not connect.
pub(crate) fn no_connection(error: &io::Error, peer: &SafeText) -> Fault {
    let fault = |cause: String, next: &str| Fault::new(Kind::Unreachable, OP, peer.clone(), cause).next(next);
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            fault("connection refused: nothing listens there".into(), "is the broker up, and the port right?")
        }
        _ => fault(error.to_string(), "check the address, the route and the firewall"),
    }
}

/// How to speak TLS with every broker of a cluster.
#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
pub(crate) struct TlsDial {
    connector: TlsConnector,
    /// The name to ask for and check instead of the address's host.
    name: Option<ServerName<'static>>,
}

#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
impl TlsDial {
    /// Reads the certificates that the profile names.
    pub(crate) fn new(tls: &Tls) -> Result<Self, Fault> {
        let name = tls.server_name.as_deref().map(server_name).transpose()?;
        Ok(Self { connector: Arc::new(config(tls)?).into(), name })
    }

    /// Speaks TLS on a connection to `host`.
    pub(crate) async fn handshake(&self, stream: TcpStream, host: &str, peer: &SafeText) -> Result<TlsStream<TcpStream>, Fault> {
        let name = self.name.clone().map_or_else(|| server_name(host), Ok)?;
        self.connector.connect(name, stream).await.map_err(|error| {
            meaning(&error, peer).unwrap_or_else(|| {
                if error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::ConnectionReset {
                    Fault::new(Kind::Unreachable, OP, peer.clone(), "the peer closed the connection when TLS was spoken to it")
                        .next("usually this port does not speak TLS: remove the tls block or use the broker's TLS port")
                } else {
                    Fault::new(Kind::Unreachable, OP, peer.clone(), format!("TLS failed: {error}"))
                }
            })
        })
    }
}

/// The settings for a client that speaks TLS itself. It asks for the address's host and cannot be told another name: the name of
/// the tls block is what the certificate is checked for, whatever the client asks for.
#[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, Fault> {
    let mut config = config(tls)?;
    if let (Some(name), true) = (&tls.server_name, tls.verify_server) {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(tls.ca_cert.as_deref())?), config.crypto_provider().clone())
            .build()
            .map_err(|error| Fault::new(Kind::Usage, "set up", "TLS", error.to_string()))?;
        let check = Check::Name(inner, server_name(name)?);
        let verifier = Verifier::new(config.crypto_provider(), check);
        config.dangerous().set_certificate_verifier(verifier);
    }
    Ok(config)
}

fn server_name(host: &str) -> Result<ServerName<'static>, Fault> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        Fault::new(Kind::Usage, OP, host, "this is no host name that a certificate can carry").next("set server_name in the tls block")
    })
}

fn config(tls: &Tls) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match tls.min_version {
        TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| Fault::new(Kind::Usage, "set up", "TLS", error.to_string()))?;
    let builder = if tls.verify_server {
        builder.with_root_certificates(roots(tls.ca_cert.as_deref())?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Verifier::new(&provider, Check::Nothing))
    };
    let Some((chain, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| file_fault(key, "private key", &error))?;
    builder
        .with_client_auth_cert(certificates(chain)?, key_der)
        .map_err(|error| Fault::new(Kind::Usage, "read", path(key), format!("the key does not fit the certificate: {error}")))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| {
                Fault::new(Kind::Usage, "read", path(file), format!("a certificate in it cannot be used as an authority: {error}"))
            })?;
        }
        return Ok(roots);
    }
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        return Err(Fault::new(Kind::Usage, "read", "the system's certificates", "this system has none that could be trusted")
            .next("install ca-certificates, or name a ca_cert in the tls block"));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let fault = |error: &rustls::pki_types::pem::Error| file_fault(file, "certificate", error);
    let read: Vec<_> = CertificateDer::pem_file_iter(file).map_err(|e| fault(&e))?.collect::<Result<_, _>>().map_err(|e| fault(&e))?;
    if read.is_empty() {
        return Err(fault(&rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(read)
}

fn file_fault(file: &Path, what: &str, error: &rustls::pki_types::pem::Error) -> Fault {
    use rustls::pki_types::pem::Error as E;
    let cause = match error {
        E::Io(error) => error.to_string(),
        E::NoItemsFound => format!("there is no {what} in it"),
        error => format!("it is not PEM: {error:?}"),
    };
    Fault::new(Kind::Usage, "read", path(file), cause).next(format!("the tls block names this file as {what}; it must be PEM"))
}

fn path(file: &Path) -> SafeText {
    SafeText::new(&file.to_string_lossy())
}

/// What a TLS failure means; `None` if it is not TLS that failed.
pub(crate) fn meaning(error: &io::Error, peer: &SafeText) -> Option<Fault> {
    let error = error.get_ref()?.downcast_ref::<TlsError>()?;
    Some(match error {
        TlsError::InvalidCertificate(error) => certificate(error, peer),
        TlsError::AlertReceived(alert) => alerted(*alert, peer),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
        | TlsError::PeerSentOversizedRecord => {
            Fault::new(Kind::Protocol, OP, peer.clone(), "the peer answered TLS with something that is not TLS")
                .next("this port does not speak TLS: remove the tls block or use the broker's TLS port")
        }
        TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Fault::new(Kind::Rejected, OP, peer.clone(), "the broker speaks only TLS versions that we do not accept")
            .next("lower min_version in the tls block if it is 1.3; TLS 1.1 and older are never spoken"),
        error => Fault::new(Kind::Protocol, OP, peer.clone(), format!("TLS failed: {error}")),
    })
}

fn certificate(error: &CertificateError, peer: &SafeText) -> Fault {
    let fault = |cause: String, next: &str| Fault::new(Kind::Unauthorized, OP, peer.clone(), cause).next(next);
    match error {
        CertificateError::ExpiredContext { not_after, .. } => fault(
            format!("the broker's certificate expired on {}", day(*not_after)),
            "the broker needs a new certificate; check this machine's clock if it should still be valid",
        ),
        CertificateError::Expired => fault("the broker's certificate is expired".into(), "the broker needs a new certificate"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            fault(format!("the broker's certificate is not valid before {}", day(*not_before)), "check this machine's clock")
        }
        CertificateError::NotValidForNameContext { expected, presented } => fault(
            format!("the broker's certificate is not for {}: it is for {}", expected.to_str(), names(presented)),
            "connect by a name that the certificate carries, or set server_name in the tls block",
        ),
        CertificateError::NotValidForName => {
            fault("the broker's certificate is for another name".into(), "connect by its name, or set server_name in the tls block")
        }
        CertificateError::UnknownIssuer => fault(
            "the broker's certificate was issued by an authority that is not trusted".into(),
            "set ca_cert in the tls block to the PEM of the authority that issued it",
        ),
        CertificateError::Revoked => fault("the broker's certificate was revoked".into(), "the broker needs a new certificate"),
        error => fault(format!("the broker's certificate cannot be accepted: {error}"), ""),
    }
}

fn alerted(alert: Alert, peer: &SafeText) -> Fault {
    let (cause, next) = match alert {
        Alert::BadCertificate | Alert::CertificateRequired | Alert::NoCertificate => {
            ("the broker demands a certificate from us that it can accept", "name client_cert and client_key in the tls block (mTLS)")
        }
        Alert::CertificateUnknown | Alert::UnknownCA | Alert::UnsupportedCertificate => (
            "the broker does not accept our certificate: it does not trust the authority that issued it",
            "use a client_cert issued by an authority that the broker trusts",
        ),
        Alert::CertificateExpired => {
            ("the broker says that our certificate is expired", "the client_cert in the tls block must be renewed")
        }
        Alert::CertificateRevoked => {
            ("the broker says that our certificate was revoked", "the client_cert in the tls block must be renewed")
        }
        Alert::ProtocolVersion => {
            return Fault::new(Kind::Rejected, OP, peer.clone(), "the broker does not speak the TLS versions that we accept")
                .next("lower min_version in the tls block if it is 1.3");
        }
        Alert::HandshakeFailure => (
            "the broker broke off the TLS handshake",
            "usually it demands a client certificate (client_cert and client_key in the tls block), or no cipher suite is shared",
        ),
        alert => {
            return Fault::new(Kind::Protocol, OP, peer.clone(), format!("the broker ended TLS with the alert {alert:?}"));
        }
    };
    Fault::new(Kind::Unauthorized, OP, peer.clone(), cause).next(next)
}

fn day(time: UnixTime) -> String {
    let time = Timestamp(i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1000).saturating_mul(1000));
    time.to_string().chars().take("2021-01-01".len()).collect()
}

/// The names in a certificate; rustls writes them as `DnsName("broker.example")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".into();
    }
    let plain = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    presented.iter().map(plain).collect::<Vec<_>>().join(", ")
}

/// Checks signatures as always, and certificates in another way than rustls does.
#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    check: Check,
}

#[derive(Debug)]
enum Check {
    /// Takes any certificate: for `verify_server = false` alone.
    Nothing,
    /// For one name instead of the one asked for.
    #[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
    Name(Arc<WebPkiServerVerifier>, ServerName<'static>),
}

impl Verifier {
    fn new(provider: &CryptoProvider, check: Check) -> Arc<Self> {
        Arc::new(Self { algorithms: provider.signature_verification_algorithms, check })
    }
}

impl ServerCertVerifier for Verifier {
    #[cfg_attr(not(any(feature = "mqtt", feature = "rabbitmq")), expect(unused_variables, reason = "nothing is checked"))]
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match &self.check {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            #[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
            Check::Name(inner, name) => inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn fault_of(error: TlsError) -> Fault {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        meaning(&error, &"broker:9093".into()).expect("TLS failed")
    }

    #[test]
    fn each_failure_has_its_own_cause() {
        let not_after = UnixTime::since_unix_epoch(Duration::from_secs(1_609_459_200));
        let wrong_name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("127.0.0.1").expect("a name"),
            presented: vec!["DnsName(\"broker.example\")".into(), "DnsName(\"b2.example\")".into()],
        };
        for (error, kind, cause) in [
            (
                TlsError::InvalidCertificate(CertificateError::ExpiredContext { time: not_after, not_after }),
                Kind::Unauthorized,
                "expired on 2021-01-01",
            ),
            (TlsError::InvalidCertificate(wrong_name), Kind::Unauthorized, "not for 127.0.0.1: it is for broker.example, b2.example"),
            (TlsError::InvalidCertificate(CertificateError::UnknownIssuer), Kind::Unauthorized, "authority that is not trusted"),
            (TlsError::AlertReceived(Alert::BadCertificate), Kind::Unauthorized, "demands a certificate from us"),
            (TlsError::AlertReceived(Alert::ProtocolVersion), Kind::Rejected, "TLS versions"),
            (TlsError::InvalidMessage(InvalidMessage::InvalidContentType), Kind::Protocol, "not TLS"),
        ] {
            let fault = fault_of(error);
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.cause.as_str().contains(cause), "{fault}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let tls = Tls {
            verify_server: true,
            ca_cert: Some(file.path().to_owned()),
            client: None,
            server_name: None,
            min_version: TlsVersion::V1_2,
        };
        let fault = config(&tls).expect_err("no certificate");
        assert_eq!(fault.kind, Kind::Usage);
        assert!(fault.to_string().contains("there is no certificate in it"), "{fault}");
    }
}
