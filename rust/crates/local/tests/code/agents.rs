//! Trading agents, built in and custom, in the sandbox.

use e2bridge_core::Code;
use serde_json::json;

use crate::support::Host;

/// Closes that rise, fall and rise.
fn prices() -> Vec<f64> {
    (0..60).map(|day| 100.0 + f64::from(day % 20) - f64::from(day / 20)).collect()
}

fn csv() -> String {
    let rows: Vec<String> = prices()
        .iter()
        .enumerate()
        .map(|(day, close)| format!("2024-{:02}-{:02},{close}", day / 28 + 1, day % 28 + 1))
        .collect();
    format!("date,close\n{}\n", rows.join("\n"))
}

#[test]
fn built_in_agents_trade_on_parameters_and_files() {
    let Some(host) = Host::new("base") else { return };
    host.write("/data/SPY.csv", &csv());
    for agent in ["momentum", "mean_reversion", "moving_average_crossover", "kelly", "buy_and_hold"] {
        let params = match agent {
            "moving_average_crossover" => json!({"fast": 3, "slow": 8}),
            "kelly" | "mean_reversion" => json!({"window": 10}),
            "momentum" => json!({"lookback": 5}),
            _ => json!({}),
        };
        let from_file =
            host.agent(agent, &["SPY"], params.clone()).unwrap_or_else(|error| panic!("{agent}: {error}"));
        assert_eq!(
            (from_file.status.as_str(), from_file.agent_type.as_str()),
            ("completed", agent),
            "{from_file:?}"
        );
        assert!(from_file.agent_id.starts_with("agt_"));
        let spy = &from_file.result.expect("a result")["SPY"];
        assert!(
            spy["total_return"].is_number()
                && spy["equity_curve"].as_array().is_some_and(|curve| curve.len() == 60),
            "{agent}: {spy}"
        );
        let mut given = params;
        given["prices"] = json!({"SPY": prices()});
        let from_parameters = host.agent(agent, &["SPY"], given).expect("a result").result.expect("a result");
        assert_eq!(from_parameters["SPY"]["total_return"], spy["total_return"], "{agent}");
    }
    let pair = json!({"window": 10, "prices": {"A": prices(), "B": prices().iter().map(|close| close.sqrt()).collect::<Vec<_>>()}});
    assert_eq!(host.agent("pairs", &["A", "B"], pair).expect("a result").status, "completed");
}

#[test]
fn what_is_wrong_is_named() {
    let Some(host) = Host::new("base") else { return };
    let error = host.agent("momentum", &["SPY"], json!({})).expect_err("no prices");
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("/data/SPY.csv") && error.message().contains("prices"), "{error}");
    let error = host
        .agent("momentum", &["SPY"], json!({"prices": {"SPY": prices()}, "lookback": -1}))
        .expect_err("a bad parameter");
    assert_eq!(
        (error.code(), error.argument()),
        (Code::InvalidArgument, Some("strategy_params.lookback")),
        "{error}"
    );
    let error = host.agent("nothing_such", &["SPY"], json!({})).expect_err("no such agent");
    assert_eq!(error.code(), Code::NotFound);
    for part in ["momentum", "/opt/agents/nothing_such.js", "/opt/agents/nothing_such.py"] {
        assert!(error.message().contains(part), "{error}");
    }
    let request = e2bridge_core::request::RunAgent::new(
        &host.sandbox,
        "momentum",
        vec!["SPY".to_owned()],
        None,
        Some(true),
    );
    let error = e2bridge_core::Backend::run_agent(
        &host.backend,
        &request.expect("a request"),
        &e2bridge_core::CancelToken::new(),
    )
    .expect_err("no GPU");
    assert_eq!((error.code(), error.argument()), (Code::Unsupported, Some("use_gpu")));
}

#[test]
fn custom_agents_run_in_the_template_s_own_engine() {
    let script = "function agent(input) { console.log('trading ' + input.symbols[0]); const p = input.prices.SPY.at(-1); return { last: p.close ?? p, n: input.params.n } }";
    for template in ["base", "node"] {
        let Some(host) = Host::new(template) else { continue };
        host.write("/opt/agents/mine.js", script);
        let done =
            host.agent("mine", &["SPY"], json!({"n": 7, "prices": {"SPY": prices()}})).expect("a result");
        assert_eq!(
            (done.status.as_str(), done.result, done.stdout.as_str()),
            ("completed", Some(json!({"last": 117, "n": 7})), "trading SPY\n"),
            "{template}"
        );
        host.write("/opt/agents/bad.js", "function agent() { throw new RangeError('why') }");
        let done = host.agent("bad", &["SPY"], json!({"prices": {"SPY": prices()}})).expect("a result");
        assert_eq!(
            done.error.map(|error| (error.name, error.value)),
            Some(("RangeError".to_owned(), "why".to_owned())),
            "{template}"
        );
        host.write("/opt/agents/slow.js", "function agent() { for (;;); }");
        let done = host
            .agent("slow", &["SPY"], json!({"timeout": 1, "prices": {"SPY": prices()}}))
            .expect("a result");
        assert_eq!((done.status.as_str(), done.result), ("timed_out", None), "{template}");
    }
    let Some(host) = Host::new("python") else { return };
    host.write(
        "/opt/agents/mine.py",
        "def agent(input):\n    print('trading')\n    return {'last': input['prices']['SPY'][-1]['close']}\n",
    );
    host.write("/data/SPY.csv", &csv());
    let done = host.agent("mine", &["SPY"], json!({})).expect("a result");
    assert_eq!(
        (done.status.as_str(), done.result, done.stdout.as_str()),
        ("completed", Some(json!({"last": 117})), "trading\n")
    );
}
