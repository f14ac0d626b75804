//! HTTP and HTTPS as an installed agent speaks them: proxies in the environment, certificates, endless replies.
#![allow(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only the functions marked as tests"
)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Call, Served, call, loopback, serve, wait};
use fencekit_sim::{Device, Spec};

fn plug() -> Served {
    serve(|| fencekit_sim::http_outlet::serve(Device::new(Spec::plug("pdu")), loopback()))
}

fn outlet(base: &str) -> Call {
    call("fence_http")
        .with("power_on_url", &format!("{base}/outlet/1/on"))
        .with("power_off_url", &format!("{base}/outlet/1/off"))
        .with("status_url", &format!("{base}/outlet/1"))
        .with("status_on_regex", "\"state\":\"on\"")
        .with("status_off_regex", "\"state\":\"off\"")
}

/// A server of raw bytes in a thread of its own; it ends with the test process.
fn raw_server(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.set_write_timeout(Some(Duration::from_secs(10)));
            answer(stream);
        }
    });
    address
}

#[test]
fn a_proxy_in_the_environment_is_ignored() {
    let plug = plug();
    let tasmota = serve(|| fencekit_sim::tasmota::serve(Device::new(Spec::plug("plug-b")), loopback()));
    for agent in [
        outlet(&format!("http://{}", plug.address)),
        call("fence_tasmota").at(tasmota.address),
    ] {
        // Nobody listens on port 1.
        let proxied = [
            "http_proxy",
            "HTTP_PROXY",
            "https_proxy",
            "HTTPS_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ]
        .iter()
        .fold(agent, |agent, variable| {
            agent.in_environment(variable, "http://127.0.0.1:1")
        });
        proxied.act("off").is(0, "Success: Powered OFF\n");
        proxied.act("status").is(2, "Status: OFF\n");
    }
    assert_eq!(
        (plug.device.relay(0), tasmota.device.relay(0)),
        (Some(false), Some(false))
    );
}

/// 1 GB is offered; the agent has 256 MiB of address space.
#[test]
fn an_endless_reply_costs_little_memory_and_time() {
    let address = raw_server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let block = vec![b' '; 1 << 16];
        for _ in 0..(1_000_000_000 / block.len()) {
            if stream.write_all(&block).is_err() {
                return;
            }
        }
    });
    let mut agent = Command::new("sh")
        .args([
            "-c",
            "ulimit -v 262144 && exec \"$0\" agent fence_http",
            env!("CARGO_BIN_EXE_fencekit"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = format!(
        "action=status\nstatus_url=http://{address}/s\nstatus_off_regex=off\npower_on_url=/x\npower_off_url=/x\nip={}\n",
        address.ip()
    );
    agent.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = wait(agent);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("larger than 256 KiB"), "{said}");
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"state\":\"on\"}";

    /// An authority of the test's own, whose certificate stands in a file.
    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        file: tempfile::NamedTempFile,
    }

    impl Authority {
        fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).unwrap();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(certificate.pem().as_bytes()).unwrap();
            Self {
                issuer: Issuer::new(params, key),
                file,
            }
        }

        fn path(&self) -> &str {
            self.file.path().to_str().unwrap()
        }

        /// An HTTPS server that is on, with a certificate for `names` that is valid between the two years.
        fn server(&self, names: &[&str], years: (i32, i32)) -> SocketAddr {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            let certificate: CertificateDer<'static> = params.signed_by(&key, &self.issuer).unwrap().into();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .unwrap();
            let config = Arc::new(config);
            raw_server(move |stream| {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                if stream.read(&mut [0; 4096]).is_ok() {
                    let _ = stream.write_all(PAGE.as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            })
        }
    }

    const NOW: (i32, i32) = (2020, 2100);

    fn status(host: &str, address: SocketAddr) -> Call {
        outlet(&format!("https://{host}:{}", address.port()))
    }

    #[test]
    fn a_certificate_of_a_known_authority_is_verified() {
        let authority = Authority::new();
        let server = authority.server(&["localhost", "127.0.0.1"], NOW);
        for host in ["localhost", "127.0.0.1"] {
            let known = status(host, server).in_environment("SSL_CERT_FILE", authority.path());
            known.act("status").is(0, "Status: ON\n");
        }
        let by_ip = call("fence_http")
            .at(server)
            .with("ssl", "1")
            .with("status_url", "/outlet/1")
            .with("power_on_url", "/on")
            .with("power_off_url", "/off")
            .with("status_on_regex", "on")
            .in_environment("SSL_CERT_FILE", authority.path());
        by_ip.act("status").is(0, "Status: ON\n");
    }

    #[test]
    fn every_doubtful_certificate_is_refused_unless_asked_otherwise() {
        let authority = Authority::new();
        let (stranger, good) = (Authority::new(), ["localhost"]);
        for (what, server) in [
            ("unknown authority", stranger.server(&good, NOW)),
            ("another name", authority.server(&["elsewhere.example"], NOW)),
            ("expired", authority.server(&good, (2019, 2020))),
            ("not valid yet", authority.server(&good, (2090, 2100))),
        ] {
            let verified = status("localhost", server).in_environment("SSL_CERT_FILE", authority.path());
            let ran = verified.act("status");
            ran.fails("the device's certificate is not trusted");
            assert!(ran.err.contains("ssl_insecure=1"), "{what}: {ran:?}");
            let both = verified.clone().with("ssl_secure", "1");
            both.act("status")
                .fails("the device's certificate is not trusted");
            verified
                .with("ssl_insecure", "1")
                .act("status")
                .is(0, "Status: ON\n");
        }
    }

    #[test]
    fn tls_and_plain_http_are_not_mixed_up() {
        let authority = Authority::new();
        let tls = authority.server(&["localhost"], NOW);
        let ran = outlet(&format!("http://localhost:{}", tls.port())).act("status");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let plain = plug();
        let ran = status("localhost", plain.address)
            .with("ssl_insecure", "1")
            .act("status");
        assert_eq!(ran.code, Some(1), "{ran:?}");
    }

    /// Plain HTTP does not even read the system's authorities.
    #[test]
    fn plain_http_pays_nothing_for_tls() {
        let plain = plug();
        outlet(&format!("http://{}", plain.address))
            .in_environment("SSL_CERT_FILE", "/nonexistent")
            .in_environment("SSL_CERT_DIR", "/nonexistent")
            .act("status")
            .is(0, "Status: ON\n");
    }
}
