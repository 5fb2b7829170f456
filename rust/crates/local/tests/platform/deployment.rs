use std::time::{Duration, Instant};

use e2bridge_core::{Backend, CancelToken, Code};
use serde_json::{Value, json};

use crate::support::{code, engine, eventually};

#[test]
fn instances_know_their_configuration_and_their_deployment() {
    let Some(fixture) = engine() else { return };
    let configuration = json!({
        "instances": 3, "env": {"MODE": "fast", "E2B_INSTANCE": "mine"}, "timeout": 600, "memory_mb": 64,
        "strategy": "momentum", "nested": {"a": [1, "zwei ✓"]},
    });
    let created = fixture.deploy("base", configuration.clone()).unwrap();
    assert_eq!(
        (created.status.as_str(), created.template.as_str(), created.instances),
        ("deployed", "base", 3)
    );
    assert!(created.deployment_id.starts_with("dep_") && created.agents.is_none());
    assert_eq!(Value::Object(created.configuration), configuration);
    for (number, id) in created.sandbox_ids.iter().enumerate() {
        let seen: Value =
            serde_json::from_str(&fixture.output(id, "printf %s \"$E2B_CONFIGURATION\"")).unwrap();
        assert_eq!(seen, configuration);
        let line = "echo $MODE $E2B_INSTANCE $E2B_DEPLOYMENT_ID";
        assert_eq!(fixture.output(id, line), format!("fast {number} {}\n", created.deployment_id));
    }
    let rows = fixture.running();
    assert_eq!(rows.len(), 3);
    for (row, number) in rows.iter().zip(0..) {
        assert_eq!(row.deployment_id.as_ref(), Some(&created.deployment_id));
        assert_eq!((row.name.as_str(), row.limits.memory_mb), (format!("base-{number}").as_str(), 64));
    }
    assert_eq!(fixture.deploy("base", json!({})).unwrap().instances, 1);
}

#[test]
fn a_start_command_runs_on_in_the_background() {
    let Some(fixture) = engine() else { return };
    // More output than any pipe holds must not stop it.
    let line = "head -c 10000000 /dev/zero; echo started > /tmp/started; exec sleep 1000";
    let created = fixture.deploy("base", json!({"instances": 2, "start_command": line})).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    for id in &created.sandbox_ids {
        assert_eq!(
            fixture.output(id, "cat /tmp/started; cat /proc/[0-9]*/comm | grep -c '^sleep$'"),
            "started\n1\n"
        );
    }
    // It is asked to end before it is killed.
    let line = "trap 'echo ended > /tmp/ended; exit' TERM; while :; do sleep 0.05; done";
    let created = fixture.deploy("base", json!({"start_command": line})).unwrap();
    let begun = Instant::now();
    assert_eq!(fixture.scale(&created.deployment_id, 0, false).unwrap().status, "ended");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_start_command_that_ends_well_is_not_waited_for() {
    let Some(fixture) = engine() else { return };
    let begun = Instant::now();
    fixture.deploy("base", json!({"instances": 2, "start_command": "echo ready > /opt/ready"})).unwrap();
    assert!(begun.elapsed() < Duration::from_millis(1_800), "{:?}", begun.elapsed());
}

#[test]
fn one_failed_instance_takes_all_of_them_back() {
    let Some(fixture) = engine() else { return };
    for (line, how) in [
        ("[ $E2B_INSTANCE != 1 ] || exit 3", "exited with status 3 within 2 s"),
        ("[ $E2B_INSTANCE != 1 ] || kill -9 $$", "was ended by SIGKILL within 2 s"),
        ("[ $E2B_INSTANCE != 1 ] || { sleep 1; exit 4; }", "exited with status 4 within 2 s"),
    ] {
        let error = fixture.deploy("base", json!({"instances": 3, "start_command": line})).unwrap_err();
        assert_eq!(
            (error.code(), error.argument()),
            (Code::InvalidArgument, Some("configuration.start_command"))
        );
        assert!(error.message().contains("instance 2 of 3") && error.message().contains(how), "{error}");
        assert_eq!((&error.context()["instance"], &error.context()["rolled_back"]), (&json!(1), &json!(2)));
        assert_eq!(fixture.backend.live_sandboxes(), 0, "{line}");
    }
    // After the two seconds it may end as it likes.
    let created = fixture.deploy("base", json!({"start_command": "sleep 2.3; exit 5"})).unwrap();
    assert_eq!(created.instances, 1);
}

#[test]
fn what_create_refuses_is_refused_by_its_name_in_the_configuration() {
    let Some(fixture) = engine() else { return };
    for (configuration, expected, argument) in [
        (json!({"cpu_count": 4_000}), "INVALID_ARGUMENT", "configuration.cpu_count"),
        (json!({"memory_mb": 16_000_000}), "INVALID_ARGUMENT", "configuration.memory_mb"),
        (json!({"filler": "x".repeat(131_050)}), "LIMIT_EXCEEDED", "configuration"),
        (
            json!({"env": {"A": "x".repeat(100_000)}, "more": "x".repeat(50_000)}),
            "LIMIT_EXCEEDED",
            "configuration",
        ),
    ] {
        let error = match e2bridge_core::request::DeployTemplate::new(
            "base",
            "c",
            crate::support::object(configuration),
        ) {
            Ok(request) => fixture.backend.deploy_template(&request, &CancelToken::new()).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!((code(&error), error.argument()), (expected, Some(argument)), "{error}");
    }
    let error = fixture.deploy("unknown", json!({})).unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::NotFound, Some("template_name")));
    assert_eq!(fixture.backend.live_sandboxes(), 0);
}

#[test]
fn a_cancelled_deployment_leaves_nothing() {
    let Some(fixture) = engine() else { return };
    let token = CancelToken::new();
    let (error, took) = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            token.cancel();
        });
        let begun = Instant::now();
        let configuration = json!({"instances": 3, "start_command": "sleep 100"});
        (fixture.deploy_with("base", configuration, &token).unwrap_err(), begun.elapsed())
    });
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    assert_eq!(fixture.backend.live_sandboxes(), 0);
}

#[test]
fn the_agent_runs_in_every_instance_or_in_none() {
    let Some(fixture) = engine() else { return };
    let prices: Vec<f64> = (1..=60).map(f64::from).collect();
    let agent = json!({"agent_type": "buy_and_hold", "symbols": ["SPY"], "strategy_params": {"prices": {"SPY": prices}}});
    let created = fixture.deploy("base", json!({"instances": 3, "agent": agent})).unwrap();
    let agents = created.agents.unwrap();
    assert_eq!(
        agents.iter().map(|agent| &agent.sandbox_id).collect::<Vec<_>>(),
        created.sandbox_ids.iter().collect::<Vec<_>>()
    );
    for agent in &agents {
        assert_eq!(
            (agent.status.as_str(), agent.agent_type.as_str()),
            ("completed", "buy_and_hold"),
            "{agent:?}"
        );
        assert!(agent.result.is_some());
    }
    assert_eq!(fixture.scale(&created.deployment_id, 4, false).unwrap().status, "scaled");
    let live = fixture.backend.live_sandboxes();

    let agent = json!({"agent_type": "buy_and_hold", "symbols": ["SPY"]});
    let error = fixture.deploy("base", json!({"instances": 2, "agent": agent})).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(
        error.argument().is_some_and(|argument| argument.starts_with("configuration.agent")),
        "{error:?}"
    );
    assert!(error.message().contains("instance 1 of 2"), "{error}");
    assert_eq!(fixture.backend.live_sandboxes(), live);
}

#[test]
fn a_cancel_ends_the_agents_of_all_instances() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(&sandbox, "mkdir -p /opt/agents; echo 'for (;;) {}' > /opt/agents/endless.js");
    fixture.export(&sandbox, "endless", false).unwrap();
    fixture.terminate(&sandbox);
    let agent = json!({"agent_type": "endless", "symbols": ["SPY"], "strategy_params": {"prices": {"SPY": [1.0, 2.0]}}});
    let token = CancelToken::new();
    let begun = Instant::now();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            token.cancel();
        });
        fixture.deploy_with("endless", json!({"instances": 3, "agent": agent}), &token).unwrap_err()
    });
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(fixture.backend.live_sandboxes(), 0);
}

#[test]
fn scaling_goes_up_and_down_and_ends() {
    let Some(fixture) = engine() else { return };
    let created = fixture.deploy("base", json!({"instances": 2})).unwrap();
    let id = &created.deployment_id;
    let up = fixture.scale(id, 4, false).unwrap();
    assert_eq!(
        (up.status.as_str(), up.instances, up.previous_instances, up.requested_instances),
        ("scaled", 4, 2, 4)
    );
    assert_eq!(up.sandbox_ids[..2], created.sandbox_ids[..]);
    assert!(up.failures.is_empty() && !up.auto_scale);
    assert_eq!(fixture.output(&up.sandbox_ids[3], "echo $E2B_INSTANCE"), "3\n");

    // The newest end first.
    let down = fixture.scale(id, 1, false).unwrap();
    assert_eq!(
        (down.instances, down.previous_instances, &down.sandbox_ids),
        (1, 4, &created.sandbox_ids[..1].to_vec())
    );
    assert_eq!(fixture.running().len(), 1);

    // One that somebody ended by hand is missed.
    fixture.terminate(&created.sandbox_ids[0]);
    let again = fixture.scale(id, 1, false).unwrap();
    assert_eq!((again.instances, again.previous_instances), (1, 0));
    assert_ne!(again.sandbox_ids, down.sandbox_ids);

    let ended = fixture.scale(id, 0, false).unwrap();
    assert_eq!((ended.status.as_str(), ended.instances), ("ended", 0));
    assert_eq!(fixture.backend.live_sandboxes(), 0);
    let error = fixture.scale(id, 1, false).unwrap_err();
    assert_eq!((error.code(), &error.context()["status"]), (Code::NotFound, &json!("ended")));
    let error = fixture.scale("dep_unknown", 1, false).unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::NotFound, Some("deployment_id")));
}

#[test]
fn a_shortfall_is_told_instance_by_instance() {
    let Some(fixture) = engine() else { return };
    let line = "[ $E2B_INSTANCE -lt 2 ] || exit 7";
    let created = fixture.deploy("base", json!({"start_command": line})).unwrap();
    let scaled = fixture.scale(&created.deployment_id, 4, false).unwrap();
    assert_eq!((scaled.status.as_str(), scaled.instances), ("partial", 2));
    let failures: Vec<_> =
        scaled.failures.iter().map(|failure| (failure.instance, failure.code.as_str())).collect();
    assert_eq!(failures, [(2, "INVALID_ARGUMENT"), (3, "INVALID_ARGUMENT")]);
    assert!(scaled.failures[0].message.contains("status 7"));
    assert_eq!(fixture.backend.live_sandboxes(), 2);
}

#[test]
fn all_instances_are_of_one_version_of_the_template() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(&sandbox, "echo old > /opt/version");
    fixture.export(&sandbox, "versioned", false).unwrap();
    let created = fixture.deploy("versioned", json!({})).unwrap();
    assert_eq!(created.template, "versioned");
    fixture.output(&sandbox, "echo new > /opt/version");
    fixture.export(&sandbox, "versioned", false).unwrap();
    let scaled = fixture.scale(&created.deployment_id, 2, false).unwrap();
    for id in &scaled.sandbox_ids {
        assert_eq!(fixture.output(id, "cat /opt/version"), "old\n");
    }
    fixture.backend.delete_template("versioned").unwrap();
    assert_eq!(fixture.scale(&created.deployment_id, 3, false).unwrap().status, "scaled");
}

#[test]
fn dead_instances_are_replaced_while_the_load_is_followed() {
    let Some(fixture) = engine() else { return };
    let created = fixture.deploy("base", json!({"instances": 1})).unwrap();
    let scaled = fixture.scale(&created.deployment_id, 2, true).unwrap();
    assert!(scaled.auto_scale);
    assert_eq!((scaled.status.as_str(), scaled.instances), ("scaled", 2));
    fixture.terminate(&scaled.sandbox_ids[1]);
    eventually("the dead one is replaced", Duration::from_secs(5), || fixture.running().len() == 2);
    assert!(!fixture.running().iter().any(|row| row.sandbox_id == scaled.sandbox_ids[1]));

    // By hand again: nothing is replaced any more.
    let by_hand = fixture.scale(&created.deployment_id, 2, false).unwrap();
    assert_eq!((by_hand.auto_scale, by_hand.instances), (false, 2));
    fixture.terminate(&by_hand.sandbox_ids[0]);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(fixture.running().len(), 1);

    fixture.scale(&created.deployment_id, 2, true).unwrap();
    assert_eq!(fixture.scale(&created.deployment_id, 0, false).unwrap().status, "ended");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(fixture.backend.live_sandboxes(), 0);
}

#[test]
fn calls_on_one_deployment_take_turns() {
    let Some(fixture) = engine() else { return };
    let created = fixture.deploy("base", json!({})).unwrap();
    std::thread::scope(|scope| {
        for count in 1..=6 {
            let (fixture, id) = (&fixture, &created.deployment_id);
            scope.spawn(move || {
                let scaled = fixture.scale(id, count, count % 2 == 0).unwrap();
                assert_eq!(scaled.instances, usize::try_from(count).unwrap());
            });
        }
    });
    let last = fixture.scale(&created.deployment_id, 3, false).unwrap();
    assert_eq!((last.instances, fixture.running().len()), (3, 3));
}
