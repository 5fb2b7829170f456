//! The system call policy: `policy/seccomp.json`, two filters, and a third where no cgroup bounds memory.

use std::collections::BTreeMap;

use e2bridge_init::weaken::{self, Defence};
use seccompiler::{BpfProgram, TargetArch};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::message::Step;

const POLICY: &str = include_str!("../../policy/seccomp.json");
const PROCESS_POLICY: &str = include_str!("../../policy/process.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(rename = "comment")]
    _comment: String,
    allow: Vec<Group>,
    deny: Vec<Group>,
    without_memory_group: Vec<Group>,
}

/// For programs of the tier without namespaces.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessPolicy {
    #[serde(rename = "comment")]
    _comment: String,
    deny: Vec<Group>,
    deny_own_id: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    reason: String,
    calls: Vec<String>,
    #[serde(default)]
    when: Vec<Value>,
}

/// The filters, in the order in which they are to be installed: of two that answer with an error, the later one's is seen.
pub(super) struct Filters(Vec<BpfProgram>);

impl Filters {
    /// Compiles the policy.
    ///
    /// # Errors
    /// A defect of the policy file.
    pub(super) fn new(per_process_memory: bool) -> Result<Self, Step> {
        let policy: Policy = serde_json::from_str(POLICY).map_err(|error| defect(&error))?;
        let Policy { mut allow, deny: mut denied, without_memory_group, .. } = policy;
        leave_out(&mut allow, &mut denied);
        let deny = |groups: &[Group]| compile(groups, &json!("allow"), &json!({"errno": libc::EPERM}));
        let mut filters =
            vec![compile(&allow, &json!({"errno": libc::ENOSYS}), &json!("allow"))?, deny(&denied)?];
        if per_process_memory && weaken::keeps(Defence::Memory) {
            filters.push(deny(&without_memory_group)?);
        }
        Ok(Self(filters))
    }

    /// Puts them in force for this process and all that it will start. It must have `no_new_privs`.
    ///
    /// # Errors
    /// As `seccomp(2)`.
    pub(super) fn install(&self) -> Result<(), Step> {
        for filter in &self.0 {
            seccompiler::apply_filter(filter).map_err(|error| match error {
                seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => Step {
                    stage: "seccomp".to_owned(),
                    detail: String::new(),
                    errno: error.raw_os_error().unwrap_or(0),
                },
                other => defect(&other),
            })?;
        }
        Ok(())
    }
}

/// Allows the calls that a test leaves out, together with the rest of their groups.
fn leave_out(allow: &mut Vec<Group>, deny: &mut Vec<Group>) {
    deny.retain(|group| {
        let keep = group.calls.iter().all(|call| weaken::keeps_call(call));
        if !keep && group.when.is_empty() {
            let (reason, calls) = (group.reason.clone(), group.calls.clone());
            allow.push(Group { reason, calls, when: Vec::new() });
        }
        keep
    });
}

/// The filters of programs in the tier without namespaces.
///
/// # Errors
/// A defect of the policy file.
pub(crate) fn process_filters(dedicated_id: bool) -> Result<Vec<Vec<libc::sock_filter>>, Step> {
    let policy: ProcessPolicy = serde_json::from_str(PROCESS_POLICY).map_err(|error| defect(&error))?;
    let mut groups = policy.deny;
    if !dedicated_id {
        groups.extend(policy.deny_own_id);
    }
    let program = compile(&groups, &json!("allow"), &json!({"errno": libc::EPERM}))?;
    let instruction =
        |it: &seccompiler::sock_filter| libc::sock_filter { code: it.code, jt: it.jt, jf: it.jf, k: it.k };
    Ok(vec![program.iter().map(instruction).collect()])
}

fn compile(groups: &[Group], otherwise: &Value, action: &Value) -> Result<BpfProgram, Step> {
    let mut rules = Vec::new();
    for group in groups {
        for call in &group.calls {
            if group.when.is_empty() {
                rules.push(json!({"syscall": call, "comment": group.reason}));
            }
            for conditions in &group.when {
                rules.push(json!({"syscall": call, "comment": group.reason, "args": conditions}));
            }
        }
    }
    let filter = json!({"filter": {"mismatch_action": otherwise, "match_action": action, "filter": rules}});
    let filters: BTreeMap<_, _> =
        seccompiler::compile_from_json(filter.to_string().as_bytes(), TargetArch::x86_64)
            .map_err(|error| defect(&error))?
            .into_iter()
            .collect();
    filters.into_values().next().ok_or_else(|| defect(&"no filter"))
}

fn defect(error: &dyn std::fmt::Display) -> Step {
    Step::refused("compile seccomp policy", error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn policy() -> Policy {
        serde_json::from_str(POLICY).unwrap()
    }

    #[test]
    fn the_policy_compiles_and_fits_into_the_kernel() {
        for filter in Filters::new(true).unwrap().0 {
            assert!(filter.len() > 10 && filter.len() < 4096, "{} instructions", filter.len());
        }
    }

    #[test]
    fn every_call_is_named_once_on_each_side_and_never_on_both_without_a_condition() {
        let policy = policy();
        let mut allowed = BTreeSet::new();
        for group in &policy.allow {
            assert!(group.when.is_empty() && group.reason.len() > 10);
            for call in &group.calls {
                assert!(allowed.insert(call.clone()), "{call} is allowed twice");
            }
        }
        let mut denied = BTreeSet::new();
        for group in &policy.deny {
            assert!(group.reason.len() > 10);
            for call in &group.calls {
                assert!(denied.insert(call.clone()), "{call} is denied twice");
                assert_eq!(allowed.contains(call), !group.when.is_empty(), "{call}");
            }
        }
        assert!(!allowed.contains("clone3"));
        for group in &policy.without_memory_group {
            assert!(group.reason.len() > 10);
            assert!(group.calls.iter().all(|call| allowed.contains(call)), "{:?}", group.calls);
        }
    }

    #[test]
    fn the_policy_of_programs_denies_only_what_the_other_one_allows() {
        let allowed: BTreeSet<_> = policy().allow.into_iter().flat_map(|group| group.calls).collect();
        let ProcessPolicy { deny, deny_own_id, .. } = serde_json::from_str(PROCESS_POLICY).unwrap();
        let mut denied = BTreeSet::new();
        for group in deny.iter().chain(&deny_own_id) {
            assert!(group.reason.len() > 10);
            for call in &group.calls {
                assert!(allowed.contains(call), "{call} is denied already");
                assert!(denied.insert(call.clone()), "{call} is denied twice");
            }
        }
        let [own, dedicated] = [false, true].map(|dedicated| process_filters(dedicated).unwrap());
        assert!(own[0].len() > dedicated[0].len() && own[0].len() < 4096);
    }

    #[test]
    fn the_exempt_clone_flags_are_those_that_the_zygote_uses() {
        let flags = u64::from(crate::launch::parent::NAMESPACES)
            | u64::try_from(libc::CLONE_PIDFD | libc::SIGCHLD).unwrap();
        let policy = policy();
        let clone = policy.deny.iter().find(|group| group.calls.contains(&"clone".to_owned())).unwrap();
        let exempt: BTreeSet<_> = clone
            .when
            .iter()
            .flat_map(|conditions| conditions.as_array().unwrap())
            .filter(|condition| condition["op"] == "ne")
            .map(|condition| condition["val"].as_u64().unwrap())
            .collect();
        assert_eq!(exempt, BTreeSet::from([flags]));
    }
}
