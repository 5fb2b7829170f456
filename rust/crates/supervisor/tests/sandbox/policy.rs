//! The system call policy against what the kernel does: every number, and every rule of `policy/seccomp.json`, is tried from inside
//! and must be answered as the file says. The calls never happen: see `sweep.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use e2bridge_protocol::supervisor::{Mechanism, Template};
use serde_json::{Value, json};

use crate::support::{Engine, Sandbox, skip};

const POLICY: &str = include_str!("../../policy/seccomp.json");
/// Set in the numbers of the x32 calling convention.
const X32: u64 = 0x4000_0000;

/// `uretprobe` and `uprobe`: newer kernels let them pass by all filters, because they themselves place these calls into programs that
/// are being traced, and end a program that makes them by itself (SIGILL).
const BY_THE_KERNEL: std::ops::RangeInclusive<u64> = 335..=336;

/// A call: its number and its arguments.
type Call = (u64, [u64; 6]);

/// What the filters say of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Allowed,
    Error(i32),
}

/// A rule that denies: its call, and one of its lists of conditions.
struct Rule {
    call: String,
    number: u64,
    reason: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy)]
struct Condition {
    index: usize,
    mask: u64,
    value: u64,
    equal: bool,
}

impl Condition {
    fn new(condition: &Value) -> Self {
        let long = condition["type"] == "qword";
        let whole = if long { u64::MAX } else { u64::from(u32::MAX) };
        let (mask, equal) = match &condition["op"] {
            Value::Object(op) => (op["masked_eq"].as_u64().unwrap(), true),
            op => (whole, op == "eq"),
        };
        assert!(equal || condition["op"] == "ne", "{condition}");
        let index = usize::try_from(condition["index"].as_u64().unwrap()).unwrap();
        Self { index, mask, value: condition["val"].as_u64().unwrap(), equal }
    }

    fn holds(self, arguments: &[u64; 6]) -> bool {
        (arguments[self.index] & self.mask == self.value) == self.equal
    }
}

impl Rule {
    fn hits(&self, (number, arguments): &Call) -> bool {
        *number == self.number && self.conditions.iter().all(|condition| condition.holds(arguments))
    }
}

/// The policy file, read anew and not by the code under test.
struct Policy {
    allowed: BTreeSet<u64>,
    rules: Vec<Rule>,
    /// Every call that is named.
    names: BTreeMap<String, u64>,
}

impl Policy {
    /// As it is for sandboxes with a memory group, or without.
    fn new(group: bool) -> Self {
        let policy: Value = serde_json::from_str(POLICY).unwrap();
        let mut names = BTreeMap::new();
        let mut number = |name: &str| *names.entry(name.to_owned()).or_insert_with(|| number_of(name));
        let calls = |group: &Value| -> Vec<String> {
            group["calls"].as_array().unwrap().iter().map(|call| call.as_str().unwrap().to_owned()).collect()
        };
        let allowed =
            policy["allow"].as_array().unwrap().iter().flat_map(calls).map(|call| number(&call)).collect();
        let denied = policy["deny"].as_array().unwrap().iter();
        let more = policy["without_memory_group"].as_array().unwrap().iter().filter(|_| !group);
        let mut rules = Vec::new();
        for group in denied.chain(more) {
            let always = [json!([])];
            let lists = group["when"].as_array().map_or(&always[..], Vec::as_slice);
            for call in calls(group) {
                for list in lists {
                    rules.push(Rule {
                        number: number(&call),
                        call: call.clone(),
                        reason: group["reason"].as_str().unwrap().to_owned(),
                        conditions: list.as_array().unwrap().iter().map(Condition::new).collect(),
                    });
                }
            }
        }
        Self { allowed, rules, names }
    }

    fn verdict(&self, call: &Call) -> Verdict {
        self.verdict_without(call, usize::MAX)
    }

    /// As if one rule were not there.
    fn verdict_without(&self, call: &Call, missing: usize) -> Verdict {
        if self.rules.iter().enumerate().any(|(index, rule)| index != missing && rule.hits(call)) {
            Verdict::Error(libc::EPERM)
        } else if self.allowed.contains(&call.0) {
            Verdict::Allowed
        } else {
            Verdict::Error(libc::ENOSYS)
        }
    }

    /// Arguments out of those that the conditions on a call speak of, for which something holds.
    fn find(&self, number: u64, wanted: impl Fn(&Call) -> bool) -> Option<Call> {
        let conditions: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.number == number)
            .flat_map(|rule| &rule.conditions)
            .collect();
        let values = |index: usize| {
            let mut values = BTreeSet::from([0]);
            for condition in conditions.iter().filter(|condition| condition.index == index) {
                values.extend([condition.value, condition.value + 1, condition.value ^ 0xff00]);
            }
            values
        };
        let mut calls = vec![(number, [0; 6])];
        for index in 0..6 {
            calls = calls
                .iter()
                .flat_map(|(number, arguments)| {
                    values(index).into_iter().map(|value| {
                        let mut arguments = *arguments;
                        arguments[index] = value;
                        (*number, arguments)
                    })
                })
                .collect();
        }
        calls.into_iter().find(|call| wanted(call))
    }
}

/// The number of a call, as the compiler of the filters has it: out of a filter for it alone. One that this architecture does not have
/// has none.
fn number_of(name: &str) -> u64 {
    const JUMP_IF_EQUAL: u16 = 0x15;
    const X86_64: u32 = 0xc000_003e;
    let filter =
        json!({"f": {"mismatch_action": "allow", "match_action": "trap", "filter": [{"syscall": name}]}});
    let compiled =
        seccompiler::compile_from_json(filter.to_string().as_bytes(), seccompiler::TargetArch::x86_64);
    let compiled =
        compiled.unwrap_or_else(|error| panic!("the policy names {name}, which does not exist: {error}"));
    let compared: BTreeSet<_> = compiled["f"]
        .iter()
        .filter(|instruction| instruction.code == JUMP_IF_EQUAL && instruction.k != X86_64)
        .map(|instruction| instruction.k)
        .collect();
    assert_eq!(compared.len(), 1, "{name}: {compared:?}");
    u64::from(*compared.first().unwrap())
}

/// The name of a call that the policy names.
pub(crate) fn name_of(number: i32) -> String {
    static NAMES: OnceLock<BTreeMap<String, u64>> = OnceLock::new();
    let names = NAMES.get_or_init(|| Policy::new(false).names);
    let known = names.iter().find(|(_, known)| i64::try_from(**known) == Ok(i64::from(number)));
    known.map_or_else(|| number.to_string(), |(name, _)| name.clone())
}

/// The program that tries calls, in a sandbox. None when it cannot be built here.
fn sweeper(sandbox: &Sandbox) -> Option<()> {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("sweep.c"), directory.path().join("sweep"));
    std::fs::write(&source, include_str!("sweep.c")).unwrap();
    let built =
        Command::new("cc").args(["-O1", "-static", "-pthread", "-o"]).arg(&program).arg(&source).output();
    match built {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => {
            skip("there is no C compiler");
            return None;
        }
    }
    sandbox.put_file("/tmp/sweep", &std::fs::read(program).unwrap());
    sandbox.print("chmod 755 /tmp/sweep");
    Some(())
}

/// Compares what the filters in a sandbox say of calls with what the policy says.
fn compare(sandbox: &Sandbox, policy: &Policy, calls: &[Call]) {
    let lines: String = calls
        .iter()
        .map(|(number, arguments)| {
            let arguments: String = arguments.iter().map(|argument| format!(" {argument:x}")).collect();
            format!("{number:x}{arguments}\n")
        })
        .collect();
    sandbox.put_file("/tmp/calls", lines.as_bytes());
    let output = sandbox.print("/tmp/sweep /tmp/calls");
    let found: Vec<_> = output
        .lines()
        .map(|line| match line {
            "allowed" => Verdict::Allowed,
            errno => Verdict::Error(errno.parse().unwrap()),
        })
        .collect();
    assert_eq!(found.len(), calls.len());
    let name =
        |number: u64| policy.names.iter().find(|(_, it)| **it == number).map_or("unnamed", |(name, _)| name);
    let differences: Vec<_> = calls
        .iter()
        .zip(found)
        .filter(|(call, found)| policy.verdict(call) != *found)
        .map(|(call, found)| format!("{} {call:x?}: {found:?}, not {:?}", name(call.0), policy.verdict(call)))
        .collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn policy_of(sandbox: &Sandbox) -> Policy {
    Policy::new(sandbox.created.posture.memory != Mechanism::Fallback)
}

#[test]
fn every_number_is_answered_as_the_policy_says() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let Some(()) = sweeper(&sandbox) else { return };
    let policy = policy_of(&sandbox);
    let numbers = (0..=600).chain(X32..=X32 + 600).chain([1 << 20, u64::from(u32::MAX)]);
    let numbers = numbers.filter(|number| !BY_THE_KERNEL.contains(number));
    let calls: Vec<_> = numbers.flat_map(|number| [(number, [0; 6]), (number, [u64::MAX; 6])]).collect();
    compare(&sandbox, &policy, &calls);
    let verdicts: BTreeSet<_> = calls.iter().map(|call| policy.verdict(call)).collect();
    assert_eq!(verdicts.len(), 3);
}

#[test]
fn every_rule_denies_something_that_nothing_else_denies() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let Some(()) = sweeper(&sandbox) else { return };
    let policy = policy_of(&sandbox);
    let mut calls = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        // Dead is also a rule whose calls another one denies, or that a call which does not exist would need.
        let bad = policy.find(rule.number, |call| {
            rule.hits(call) && policy.verdict_without(call, index) != Verdict::Error(libc::EPERM)
        });
        calls.push(
            bad.unwrap_or_else(|| panic!("{}: no call comes to this rule: {}", rule.call, rule.reason)),
        );
        if !rule.conditions.is_empty() {
            let good = policy.find(rule.number, |call| policy.verdict(call) == Verdict::Allowed);
            calls.push(good.unwrap_or_else(|| panic!("{}: nothing is left of this call", rule.call)));
            // Upper halves of 32 bit arguments are no way around.
            let (number, arguments) = calls[calls.len() - 2];
            if rule.conditions.iter().all(|condition| condition.mask <= u64::from(u32::MAX)) {
                calls.push((number, arguments.map(|argument| argument | 0xdead_beef << 32)));
            }
        }
    }
    compare(&sandbox, &policy, &calls);
}
