//! TLS and proxies, against a server with a certificate of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use e2bridge_core::request::StatusFilter;
use e2bridge_core::{Backend, Code};
use rustls::{ServerConfig, ServerConnection};

use super::{KEY, config};
use crate::client::Client;
use crate::{CloudBackend, Config};

/// A server with TLS that answers every request with an empty list; and its certificate.
fn server() -> (u16, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = certified.cert.pem();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let settings = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let settings = Arc::new(settings);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let settings = Arc::clone(&settings);
            std::thread::spawn(move || serve(socket, settings));
        }
    });
    (port, pem)
}

fn serve(socket: TcpStream, settings: Arc<ServerConfig>) {
    let mut stream = rustls::StreamOwned::new(ServerConnection::new(settings).unwrap(), socket);
    let mut piece = [0; 4096];
    while matches!(stream.read(&mut piece), Ok(length) if length > 0) {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").is_err() {
            return;
        }
    }
}

/// A proxy that opens tunnels to loopback for who has the password.
fn proxy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && near.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                if !head.contains("Proxy-Authorization: Basic dTpw\r\n") {
                    let _ = near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
                    return;
                }
                // The name that is asked for is one that only this proxy knows.
                let port = head.split([':', ' ']).nth(2).unwrap().parse::<u16>().unwrap();
                let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
                near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut from, mut to) = (far, near);
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    port
}

fn open(config: Config, proxy: Option<String>) -> CloudBackend {
    let variable = move |name: &str| (name == "HTTPS_PROXY").then(|| proxy.clone()).flatten();
    CloudBackend { client: Client::open(config, &variable).unwrap() }
}

#[test]
fn a_certificate_is_believed_when_its_authority_is_configured_and_only_then() {
    let (port, pem) = server();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let url = format!("https://localhost:{port}");
    let with = Config { ca_file: Some(file.path().to_owned()), ..config(&url) };
    let backend = open(with.clone(), None);
    for _ in 0..3 {
        assert_eq!(backend.list_sandboxes(StatusFilter::All).unwrap().total_count, 0);
    }
    assert_eq!(backend.client.transport.pool.figures().opened, 1, "a connection with TLS is used again");
    // Another name than that in the certificate, and without the authority.
    let other = Config { api_url: Some(format!("https://127.0.0.1:{port}")), ..with };
    // Without a root certificate at all a client cannot be opened, where the platform has none.
    let unknown = Client::open(config(&url), &|_| None).map(|client| CloudBackend { client });
    for backend in [Ok(open(other, None)), unknown] {
        let error = backend.and_then(|backend| backend.list_sandboxes(StatusFilter::All)).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(!error.to_string().contains(KEY));
    }
}

#[test]
fn a_file_without_certificates_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), content).unwrap();
        let config = Config { ca_file: Some(file.path().to_owned()), ..config("https://localhost:1") };
        let error = Client::open(config, &|_| None).map(drop).unwrap_err();
        assert_eq!(
            (error.code(), error.argument()),
            (Code::InvalidArgument, Some("config.ca_file")),
            "{content:?}"
        );
    }
    let config = Config { ca_file: Some("/nonexistent".into()), ..config("https://localhost:1") };
    assert_eq!(Client::open(config, &|_| None).map(drop).unwrap_err().argument(), Some("config.ca_file"));
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_with_its_password_and_its_refusal_is_said() {
    let (port, pem) = server();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    // Not a loopback name, which would have no proxy; the certificate is for another, so that only the tunnel is seen to work.
    let url = format!("https://cluster.invalid:{port}");
    let config = Config { ca_file: Some(file.path().to_owned()), ..config(&url) };
    let proxy = proxy();
    let error = open(config.clone(), Some(format!("http://u:p@127.0.0.1:{proxy}")))
        .list_sandboxes(StatusFilter::All)
        .unwrap_err();
    assert!(error.message().contains("TLS"), "{error}");
    let error = open(config, Some(format!("http://u:hunter2@127.0.0.1:{proxy}")))
        .list_sandboxes(StatusFilter::All)
        .unwrap_err();
    assert!(error.message().contains("407") && !error.message().contains("hunter2"), "{error}");
}
