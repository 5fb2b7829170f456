//! Deployments: several sandboxes of a template under one id.

use e2bridge_core::request::{DeployTemplate, ScaleDeployment, parse_flag, parse_object, required};

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, integer, text};
use crate::client::Function;

/// Starts a deployment: all its instances, or none and an error.
///
/// Parameters: `template_name` required, a template's name or tpl_ id. `category` required, 1 to 128 bytes of free text.
/// `configuration` required, a JSON object; known keys instances, env, start_command, timeout, memory_mb, cpu_count, metadata,
/// agent; the whole object reaches each instance as the variable E2B_CONFIGURATION.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND (template), LIMIT_EXCEEDED, ISOLATION_UNAVAILABLE, CANCELLED, CLOSED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deploy_e2b_template(
    client: E2bClient,
    call: u64,
    template_name: *const u8,
    template_name_length: u64,
    category: *const u8,
    category_length: u64,
    configuration: *const u8,
    configuration_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::DeployTemplate, client, call, out, |client, cancel| {
            let request = DeployTemplate::new(
                required("template_name", text("template_name", template_name, template_name_length)?)?,
                required("category", text("category", category, category_length)?)?,
                required(
                    "configuration",
                    parse_object(
                        "configuration",
                        text("configuration", configuration, configuration_length)?,
                    )?,
                )?,
            )?;
            client.backend().deploy_template(&request, cancel)
        })
    }
}

/// Brings a deployment to a number of instances; a shortfall is `status` partial with `failures`, not an error.
///
/// Parameters: `deployment_id` required. `instance_count` required, 0 to 1000; 0 ends the deployment. `auto_scale` "true": dead
/// instances are replaced and the count follows the load between 1 and `instance_count`; "false" or absent: it does not.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, CANCELLED, CLOSED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scale_e2b_deployment(
    client: E2bClient,
    call: u64,
    deployment_id: *const u8,
    deployment_id_length: u64,
    instance_count: i64,
    auto_scale: *const u8,
    auto_scale_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ScaleDeployment, client, call, out, |client, cancel| {
            let request = ScaleDeployment::new(
                required("deployment_id", text("deployment_id", deployment_id, deployment_id_length)?)?,
                integer(instance_count),
                parse_flag("auto_scale", text("auto_scale", auto_scale, auto_scale_length)?)?,
            )?;
            client.backend().scale_deployment(&request, cancel)
        })
    }
}
