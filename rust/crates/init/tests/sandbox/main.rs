//! The init of a sandbox for real: process 1 of a pid namespace, driven over its control socket.

#[cfg(test)]
mod badness;
#[cfg(test)]
mod executions;
#[cfg(test)]
mod files;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trees;

#[test]
#[ignore = "the sandbox of the other tests, started by them"]
fn inside() {
    support::inside();
}

#[test]
#[ignore = "programs that the other tests run in a sandbox"]
fn program() {
    support::act();
}
