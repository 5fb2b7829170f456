//! A gibibyte in and out, without having it in memory. A process of its own, because its peak of memory is measured. The server is a
//! scripted double on loopback.

#[cfg(test)]
mod large {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use e2bridge_cloud::{CloudBackend, Config, Secret};
    use e2bridge_core::CancelToken;

    const LENGTH: u64 = 1 << 30;
    /// What a process that has it in memory would be far above.
    const MOST: u64 = 64 << 20;

    fn read_head(stream: &mut TcpStream) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        String::from_utf8(head).ok()
    }

    fn serve(mut stream: TcpStream) {
        let mut piece = vec![7_u8; 256 * 1024];
        while let Some(head) = read_head(&mut stream) {
            let body = if head.starts_with("GET /sandboxes/iabc ") {
                r#"{"sandboxID":"iabc","startedAt":"2026-01-01T00:00:00Z","endAt":"2126-01-01T00:00:00Z","state":"running","envdVersion":"0.6.13"}"#
                    .to_owned()
            } else if head.starts_with("GET /files") {
                stream
                    .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes())
                    .unwrap();
                let mut left = LENGTH;
                while left > 0 {
                    let length = usize::try_from(left).unwrap().min(piece.len());
                    stream.write_all(&piece[..length]).unwrap();
                    left -= length as u64;
                }
                continue;
            } else {
                assert!(head.contains(&format!("Content-Length: {LENGTH}\r\n")), "{head}");
                let mut left = LENGTH;
                while left > 0 {
                    let length = usize::try_from(left).unwrap().min(piece.len());
                    stream.read_exact(&mut piece[..length]).unwrap();
                    left -= length as u64;
                }
                r#"[{"path":"/data/a","name":"a","type":"file"}]"#.to_owned()
            };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    }

    fn peak() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    #[test]
    fn a_gibibyte_goes_in_and_out_in_bounded_memory() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        let backend = CloudBackend::open(Config {
            api_key: Some(Secret::new("e2b_key")),
            api_url: Some(url.clone()),
            sandbox_url: Some(url),
            ..Config::default()
        })
        .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        std::fs::File::create(&source).unwrap().set_len(LENGTH).unwrap();
        let token = CancelToken::new();
        assert_eq!(backend.upload_file("sb_iabc", "/data/a", &source, &token).unwrap().size, LENGTH);
        let uploaded = peak();
        assert_eq!(backend.download_file("sb_iabc", "/data/a", &target, &token).unwrap(), LENGTH);
        assert_eq!(target.metadata().unwrap().len(), LENGTH);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "no partial file is left");
        let downloaded = peak();
        println!(
            "peak of memory: {} MiB after the upload, {} MiB after the download",
            uploaded >> 20,
            downloaded >> 20
        );
        assert!(downloaded < MOST, "{downloaded} bytes");
    }
}
