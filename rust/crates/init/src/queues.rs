//! What waits in the sockets of the sandbox, as `/proc/net` shows it. No limit of a process counts that, and a memory group not all of
//! it: the kernel's answers in sockets of netlink belong to nobody.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// Most that is read of one table: some ten thousand sockets.
const MOST: u64 = 8 * 1024 * 1024;
/// What a socket may have on the way, unless the host says otherwise, bytes.
const BUFFER: u64 = 212_992;

/// Bytes of the kernel's answers that nobody has read.
pub(crate) fn answers() -> u64 {
    sum("netlink", |fields| fields.get(4)?.parse().ok())
}

/// Bytes in sockets of TCP and UDP.
pub(crate) fn packets() -> u64 {
    ["udp", "udp6", "tcp", "tcp6"].into_iter().map(|table| sum(table, packets_of)).sum()
}

/// Most bytes that may wait in local sockets: of these only the number is shown.
pub(crate) fn local() -> u64 {
    let default = std::fs::read_to_string("/proc/sys/net/core/wmem_default").ok();
    let buffer = default.and_then(|text| text.trim().parse().ok()).unwrap_or(BUFFER);
    sum("unix", |_| Some(1)).saturating_mul(buffer)
}

/// `tx_queue:rx_queue`, hexadecimal.
fn packets_of(fields: &[&str]) -> Option<u64> {
    let (sent, received) = fields.get(4)?.split_once(':')?;
    Some(u64::from_str_radix(sent, 16).ok()? + u64::from_str_radix(received, 16).ok()?)
}

fn sum(table: &str, of: impl Fn(&[&str]) -> Option<u64>) -> u64 {
    // A kernel without that protocol has no such table.
    let Ok(file) = File::open(format!("/proc/net/{table}")) else { return 0 };
    let mut lines = BufReader::with_capacity(32 * 1024, file.take(MOST));
    let mut line = Vec::new();
    let mut sum = 0_u64;
    // The first is a headline.
    let mut first = true;
    while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // Names of sockets are any bytes.
        let text = String::from_utf8_lossy(&line);
        let fields: Vec<&str> = text.split_ascii_whitespace().take(8).collect();
        if !first {
            sum = sum.saturating_add(of(&fields).unwrap_or(0));
        }
        first = false;
        line.clear();
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_waits_in_sockets_is_seen() {
        let (receiver, sender) = (
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let held: Vec<_> = (0..16).map(|_| UnixStream::pair().unwrap()).collect();
        sender.send_to(&[0; 32 * 1024], receiver.local_addr().unwrap()).unwrap();
        assert!(packets() >= 32 * 1024);
        assert!(local() >= 32 * 4096);
        drop(held);
    }

    #[test]
    fn lines_of_the_tables_are_understood() {
        let fields: Vec<_> = "0: 0100007F:0035 00000000:0000 07 00000010:00000A00 00:0".split(' ').collect();
        assert_eq!(packets_of(&fields), Some(0x10 + 0xA00));
        assert_eq!(packets_of(&fields[..3]), None);
    }
}
