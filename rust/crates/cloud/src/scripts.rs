//! Short scripts that this client runs in a sandbox on its own account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Client, Known, SHORT};
use crate::envd::{ProcessStep, Start};
use crate::execution::EXECUTION;
use crate::http::guard::Guard;

/// Kills every program that has the variable of one execution, until there is none: what a killed parent leaves behind is found by
/// what it inherited. `$1` is the variable with its value. This shell itself does not have it.
const KILL_ALL: &str = r#"
i=0
while [ "$i" -lt 20 ]; do
  i=$((i + 1)) found=
  for p in /proc/[0-9]*; do
    if tr '\0' '\n' 2>/dev/null <"$p/environ" | grep -qxF -- "$1"; then
      found=1
      kill -KILL "${p#/proc/}" 2>/dev/null
    fi
  done
  [ -n "$found" ] || exit 0
done
exit 1
"#;
/// Ends with 0 when the process `$1` has ended: its status not collected yet, and none of its threads left, or gone altogether, where
/// processes can be seen at all.
const HAS_ENDED: &str = r#"
[ -d /proc/1 ] || exit 2
[ -d "/proc/$1" ] || exit 0
state= threads=2
while read -r key value; do
  case $key in State:) state=$value ;; Threads:) threads=$value ;; esac
done <"/proc/$1/status"
case $state in [XZ]*) [ "$threads" -le 1 ] ;; *) exit 1 ;; esac
"#;

/// Ends everything of an execution: its program, and whatever that started and left. Not for long: the caller has been told, or
/// has gone.
pub(crate) fn kill_all(client: &Arc<Client>, known: &Arc<Known>, execution_id: &str) {
    let guard = client.last_guard();
    // What is left of it ends with the sandbox.
    let _ = run(client, known, KILL_ALL, &format!("{EXECUTION}={execution_id}"), &guard);
}

/// Whether a process of the sandbox is known to have ended.
pub(crate) fn has_ended(client: &Arc<Client>, known: &Arc<Known>, pid: u32, guard: &Guard<'_>) -> bool {
    run(client, known, HAS_ENDED, &pid.to_string(), guard) == Some(0)
}

/// Runs a script with one argument; its exit status, when it comes soon.
fn run(
    client: &Arc<Client>,
    known: &Arc<Known>,
    script: &str,
    argument: &str,
    guard: &Guard<'_>,
) -> Option<i32> {
    let argv: Vec<String> =
        ["/bin/sh", "-c", script, "sh", argument].into_iter().map(str::to_owned).collect();
    let start = Start {
        argv: &argv,
        envs: BTreeMap::new(),
        cwd: None,
        tag: None,
        timeout: Some(Duration::from_secs(5)),
    };
    let due = Instant::now() + SHORT;
    let envd = client.envd(known).ok()?;
    let mut stream = envd.start_within(&start, guard, SHORT).ok()?;
    loop {
        match stream.next(guard, Some(due)).ok()? {
            ProcessStep::Ended(end) => {
                stream.finish(guard);
                return end.signal().is_none().then_some(end.exit_code);
            }
            ProcessStep::DeadlinePassed => return None,
            _ => {}
        }
    }
}
