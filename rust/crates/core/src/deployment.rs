//! Deployments: what both backends do alike. The variables of an instance, the errors, and when the number of instances follows
//! the load.

use std::time::Duration;

use serde_json::Value;

use crate::document::{AgentResult, DeploymentCreated};
use crate::error::{Code, Error, Result};
use crate::request::{CreateSandbox, DeployTemplate, MAX_ARGUMENT_BYTES, MAX_ARGUMENTS_BYTES};
use crate::time::now;

/// Variable with the whole configuration, as JSON.
pub const CONFIGURATION: &str = "E2B_CONFIGURATION";
/// Variable with the id of the deployment.
pub const DEPLOYMENT: &str = "E2B_DEPLOYMENT_ID";
/// Variable with the number of the instance, from 0.
pub const INSTANCE: &str = "E2B_INSTANCE";
/// How long a start command must not fail.
pub const SETTLE: Duration = Duration::from_secs(2);

/// The variables of an instance beside the fixed ones and those of its number.
///
/// # Errors
/// `LIMIT_EXCEEDED` for a variable that is too long, or all together.
pub fn environment(request: &DeployTemplate) -> Result<Vec<(String, String)>> {
    let mut env = request.env.clone();
    let configuration = Value::Object(request.configuration.clone()).to_string();
    env.retain(|(name, _)| name != CONFIGURATION);
    env.push((CONFIGURATION.to_owned(), configuration));
    let mut total = 0;
    for (name, value) in &env {
        let length = name.len() + 1 + value.len();
        if length > MAX_ARGUMENT_BYTES {
            let argument = if name == CONFIGURATION {
                "configuration".to_owned()
            } else {
                format!("configuration.env.{name}")
            };
            let rule = format!(
                "the variable {name} must be at most {MAX_ARGUMENT_BYTES} bytes, name included, got {length}"
            );
            return Err(Error::new(Code::LimitExceeded, format!("{argument}: {rule}"))
                .about(&argument)
                .with("limit_bytes", MAX_ARGUMENT_BYTES));
        }
        total += length + 1;
    }
    if total > MAX_ARGUMENTS_BYTES {
        let rule = format!("all variables together must be at most {MAX_ARGUMENTS_BYTES} bytes, got {total}");
        return Err(
            Error::new(Code::LimitExceeded, format!("configuration.env: {rule}")).about("configuration.env")
        );
    }
    Ok(env)
}

/// The request for instance `number` of a template.
pub fn instance_request(request: &DeployTemplate, template_name: &str, number: usize) -> CreateSandbox {
    // Names have at most 64 bytes, all of them ASCII.
    let stem = &template_name[..template_name.len().min(56)];
    CreateSandbox {
        name: format!("{stem}-{number}"),
        template: request.template_name.clone(),
        timeout_seconds: request.timeout_seconds,
        memory_mb: request.memory_mb,
        cpu_count: request.cpu_count,
    }
}

/// The error of a deployment that was rolled back because one of its instances failed.
pub fn instance_error(error: &Error, number: usize, count: usize, rolled_back: usize) -> Error {
    let mut message = error.message().to_owned();
    let mut argument = error.argument().map(str::to_owned);
    // What create calls so stands in the configuration here.
    if let Some(key @ ("memory_mb" | "cpu_count" | "timeout")) = error.argument() {
        let renamed = format!("configuration.{key}");
        message = match message.strip_prefix(key) {
            Some(rest) => format!("{renamed}{rest}"),
            None => message,
        };
        argument = Some(renamed);
    } else if error.argument() == Some("template") {
        argument = Some("template_name".to_owned());
    }
    let mut renamed = Error::new(
        error.code(),
        format!("instance {} of {count}: {message}; the deployment was rolled back", number + 1),
    );
    for (key, value) in error.context() {
        renamed = renamed.with(key, value.clone());
    }
    if let Some(argument) = argument {
        renamed = renamed.about(&argument);
    }
    renamed.with("instance", number).with("instances", count).with("rolled_back", rolled_back)
}

/// The error for a deployment that was ended.
pub fn ended_error(id: &str) -> Error {
    Error::not_found("deployment_id", format!("deployment_id: {id} has ended"))
        .with("deployment_id", id)
        .with("status", "ended")
}

/// The error of an agent, its argument under the name that it has in a configuration.
pub fn about_agent(error: &Error) -> Error {
    let mut renamed = Error::new(error.code(), format!("configuration.agent: {}", error.message()));
    for (key, value) in error.context() {
        renamed = renamed.with(key, value.clone());
    }
    match error.argument() {
        Some(argument) => renamed.about(&format!("configuration.agent.{argument}")),
        None => renamed.about("configuration.agent"),
    }
}

/// The answer of `deploy_e2b_template`.
pub fn created(
    deployment_id: String,
    template: String,
    request: &DeployTemplate,
    sandbox_ids: Vec<String>,
    agents: Vec<AgentResult>,
) -> DeploymentCreated {
    DeploymentCreated {
        deployment_id,
        status: "deployed".to_owned(),
        template,
        category: request.category.clone(),
        instances: sandbox_ids.len(),
        sandbox_ids,
        configuration: request.configuration.clone(),
        agents: request.agent.as_ref().map(|_| agents),
        timestamp: now(),
    }
}

/// The error of a start command that failed: `how` it ended.
pub fn start_command_error(how: &str) -> Error {
    Error::new(Code::InvalidArgument, format!("configuration.start_command: {how}"))
        .about("configuration.start_command")
}

/// The rules of auto-scaling. The load is the mean, over the live instances, of the processor time used since the sample before, in
/// percent of what the instance's limit allows.
#[derive(Clone, Copy, Debug)]
pub struct ScalePolicy {
    /// Time between two samples. A dead instance is replaced within it.
    pub interval: Duration,
    /// A load above this…
    pub high_percent: f64,
    /// …in so many samples in a row adds an instance.
    pub high_samples: u32,
    /// A load below this…
    pub low_percent: f64,
    /// …in so many samples in a row ends the newest. More than for growing: a pause between two requests is no lack of load.
    pub low_samples: u32,
}

/// The policy in force; a backend whose figures come at other intervals changes that.
pub const POLICY: ScalePolicy = ScalePolicy {
    interval: Duration::from_secs(1),
    high_percent: 75.0,
    high_samples: 3,
    low_percent: 25.0,
    low_samples: 30,
};

/// How many instances a deployment that follows its load should have.
#[derive(Clone, Debug)]
pub struct Follower {
    policy: ScalePolicy,
    most: usize,
    target: usize,
    high: u32,
    low: u32,
}

impl Follower {
    /// Between 1 and `most` instances, at first `target`.
    pub fn new(policy: ScalePolicy, most: usize, target: usize) -> Self {
        let most = most.max(1);
        Self { policy, most, target: target.clamp(1, most), high: 0, low: 0 }
    }

    /// Takes one sample; `None` when nothing could be measured, which changes nothing. Answers the number there should be.
    pub fn sample(&mut self, percent: Option<f64>) -> usize {
        let Some(percent) = percent else { return self.target };
        (self.high, self.low) = if percent > self.policy.high_percent {
            (self.high + 1, 0)
        } else if percent < self.policy.low_percent {
            (0, self.low + 1)
        } else {
            (0, 0)
        };
        if self.high >= self.policy.high_samples {
            self.high = 0;
            self.target = (self.target + 1).min(self.most);
        } else if self.low >= self.policy.low_samples {
            self.low = 0;
            self.target = (self.target - 1).max(1);
        }
        self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower(most: usize, target: usize) -> Follower {
        Follower::new(ScalePolicy { low_samples: 4, ..POLICY }, most, target)
    }

    #[test]
    fn three_samples_of_high_load_add_one_instance() {
        let mut follower = follower(3, 1);
        let targets: Vec<usize> = (0..10).map(|_| follower.sample(Some(90.0))).collect();
        assert_eq!(targets, [1, 1, 2, 2, 2, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn low_load_ends_one_at_a_time_and_never_the_last() {
        let mut follower = follower(3, 3);
        let targets: Vec<usize> = (0..13).map(|_| follower.sample(Some(3.0))).collect();
        assert_eq!(targets, [3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_sample_between_the_bounds_starts_the_count_again() {
        let mut follower = follower(3, 2);
        for percent in
            [90.0, 90.0, 50.0, 90.0, 90.0, 75.0, 90.0, 90.0, 25.0, 3.0, 3.0, 3.0, 90.0, 3.0, 3.0, 3.0]
        {
            assert_eq!(follower.sample(Some(percent)), 2, "{percent}");
        }
        assert_eq!(follower.sample(Some(3.0)), 1);
    }

    #[test]
    fn what_cannot_be_measured_changes_nothing() {
        let mut follower = follower(3, 2);
        for percent in [Some(90.0), Some(90.0), None, None, None, None] {
            assert_eq!(follower.sample(percent), 2);
        }
        assert_eq!(follower.sample(Some(90.0)), 3);
    }

    #[test]
    fn the_target_stays_within_its_bounds() {
        assert_eq!(follower(0, 0).target, 1);
        assert_eq!(follower(2, 9).target, 2);
    }
}
