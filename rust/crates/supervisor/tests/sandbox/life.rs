//! Creation and end; nothing is left.

use e2bridge_protocol::supervisor::{SupervisorReply, Template};

use crate::support::Engine;

#[test]
fn a_sandbox_is_made_runs_and_ends() {
    let mut engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("id -u; hostname; echo $HOME"), "1000\nsb-1\n/home/user");
    assert!(sandbox.alive());
    assert!(matches!(engine.kill(sandbox.number), SupervisorReply::Killed));
    assert!(!sandbox.alive());
    assert_eq!(engine.close(), Some(0));
    assert!(engine.cgroups().is_empty());
    assert!(engine.records().is_empty());
}
