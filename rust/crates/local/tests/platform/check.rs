use e2bridge_core::Backend;
use e2bridge_core::Code;
use e2bridge_local::Config;

use crate::support::engine;

#[test]
fn a_ready_host_gives_sandboxes_what_the_check_says() {
    let Some(fixture) = engine() else { return };
    let report = e2bridge_local::check(&Config::default()).unwrap();
    assert!(report.ready);
    assert!(!report.facilities.is_empty());
    for facility in &report.facilities {
        assert!(!facility.name.is_empty() && !facility.detail.is_empty(), "{facility:?}");
    }
    let base = &report.templates[0];
    assert!(base.available && base.reason.is_none(), "{base:?}");

    let sandbox = fixture.create("base").unwrap();
    let status = fixture.backend.sandbox_status(&sandbox).unwrap();
    assert_eq!(report.isolation.as_ref(), Some(&*status.isolation));
    let rows = fixture.backend.list_templates().unwrap().templates;
    let said: Vec<_> =
        report.templates.iter().map(|row| (&row.template_name, row.available, &row.reason)).collect();
    let listed: Vec<_> = rows.iter().map(|row| (&row.template_name, row.available, &row.reason)).collect();
    assert_eq!(said, listed);
}

#[test]
fn an_interpreter_that_is_not_there_is_named_and_create_agrees() {
    if engine().is_none() {
        return;
    }
    let config = Config { python: Some("/no/such/python".into()), ..Config::default() };
    let report = e2bridge_local::check(&config).unwrap();
    let python = &report.templates[1];
    assert!(!python.available);
    assert!(python.reason.as_ref().is_some_and(|reason| reason.contains("/no/such/python")), "{python:?}");
    assert!(report.ready, "the host isolates all the same");
}

#[test]
fn a_bad_configuration_is_an_error_and_no_report() {
    let error =
        e2bridge_local::check(&Config { node: Some("node".into()), ..Config::default() }).unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::InvalidArgument, Some("config.node")));
}
