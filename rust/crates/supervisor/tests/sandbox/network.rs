//! The network: a loopback of its own and nothing else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use e2bridge_protocol::supervisor::Template;

use crate::support::Engine;

#[test]
fn there_is_a_loopback_and_it_works() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"), "lo");
    assert_eq!(sandbox.print("tail -n +2 /proc/net/route; cat /proc/net/arp | tail -n +2"), "");
    let talk = "import socket\n\
        for family, address in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):\n\
        \u{20}   s = socket.socket(family); s.bind((address, 0)); s.listen()\n\
        \u{20}   c = socket.create_connection(s.getsockname()[:2]); a = s.accept()[0]\n\
        \u{20}   c.sendall(b'hello'); print(a.recv(5).decode())\n\
        print(socket.gethostbyname('localhost'))";
    assert_eq!(sandbox.python(talk), "hello\nhello\n127.0.0.1");
}

#[test]
fn the_host_and_the_world_are_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    for (address, error) in
        [("127.0.0.1", 111), ("169.254.169.254", 101), ("192.0.2.1", 101), ("10.0.0.1", 101)]
    {
        let code = format!(
            "import socket\ns = socket.socket(); s.settimeout(3)\nprint(s.connect_ex(('{address}', {port})))"
        );
        assert_eq!(sandbox.python(&code), error.to_string(), "{address}");
    }
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    let name = format!("e2bridge-test-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let code = format!("import socket\ns = socket.socket(socket.AF_UNIX)\nprint(s.connect_ex('\\0{name}'))");
    assert_eq!(sandbox.python(&code), "111");
    // The same name works among the sandbox's own.
    let own = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX); s.bind('\\0{name}'); s.listen()\n\
         c = socket.socket(socket.AF_UNIX); c.connect('\\0{name}'); print('connected')"
    );
    assert_eq!(sandbox.python(&own), "connected");
    // The listener works, only not from there.
    let mut near = std::os::unix::net::UnixStream::connect_addr(&listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    near.write_all(b"x").unwrap();
    far.read_exact(&mut [0]).unwrap();
}

#[test]
fn the_network_belongs_to_nobody_inside() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let output = sandbox.shell("echo 1 >/proc/sys/net/ipv4/ip_forward");
    assert_ne!(output.exit.exit_code, Some(0));
    let code = "import socket, fcntl, struct\n\
        s = socket.socket()\n\
        try:\n    fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0)); print('changed')\n\
        except OSError as error: print(error.errno)";
    assert_eq!(sandbox.python(code), "1");
}

/// What tells networks apart, also when the kernel gives the number of one that is gone to another.
const COOKIE: &str =
    "import socket\ns = socket.socket()\nprint(int.from_bytes(s.getsockopt(1, 71, 8), 'little'))";

/// The networks of so many sandboxes that live one after the other, each after the one before has rested.
fn networks_of_next(engine: &Engine, count: usize) -> Vec<String> {
    let next = |_| {
        let sandbox = engine.create(Template::Base);
        let network = sandbox.python(COOKIE);
        let used =
            "cat /proc/net/dev /proc/net/sockstat | awk '/lo:/ {print $2, $3, $10, $11} /^sockets/ {print}'";
        assert_eq!(sandbox.print(used), "0 0 0 0\nsockets: used 0");
        engine.kill(sandbox.number);
        std::thread::sleep(std::time::Duration::from_millis(80));
        network
    };
    (0..count).map(next).collect()
}

#[test]
fn a_network_is_used_again_only_when_nothing_was_done_in_it() {
    let engine = Engine::start();
    let untouched = networks_of_next(&engine, 4);
    let distinct: std::collections::BTreeSet<_> = untouched.iter().collect();
    assert!(distinct.len() < untouched.len(), "none was used again: {untouched:?}");
    for touch in [
        // A packet.
        "socket.socket(type=2).sendto(b'x', ('127.0.0.1', 9))",
        // An attempt, which is only counted.
        "socket.socket(type=2).connect_ex(('192.0.2.1', 9))",
        "socket.socket(10, 2).connect_ex(('2001:db8::1', 9))",
        // A multicast group, of which the kernel makes something known later.
        "socket.socket(type=2).setsockopt(0, 35, socket.inet_aton('239.1.2.3') + socket.inet_aton('127.0.0.1'))",
        // A label of flows, which stays when its socket is gone.
        "socket.socket(10, 2).setsockopt(41, 32, socket.inet_pton(10, '::1') + bytes([0, 0, 0, 0, 0, 255, 1, 0, 60, 0, 60, 0, 0, 0, 0, 0]))",
    ] {
        let sandbox = engine.create(Template::Base);
        let touched = sandbox.python(&format!("{COOKIE}\n{touch}"));
        engine.kill(sandbox.number);
        std::thread::sleep(std::time::Duration::from_millis(80));
        assert!(!networks_of_next(&engine, 3).contains(&touched), "{touch}");
    }
}
