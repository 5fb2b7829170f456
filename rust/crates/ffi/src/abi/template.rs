//! Templates: export, list, delete, archive files.

use e2bridge_core::request::{
    ExportTemplate, check_name, check_new_template_name, check_path, parse_flag, required,
};

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, text};
use crate::client::Function;

/// Makes a template of what a sandbox changed; an exported template of that name is replaced atomically.
///
/// Parameters: `sandbox_id` required. `template_name` required, `[a-z0-9][a-z0-9._-]{0,63}`, not a built-in name nor starting
/// with tpl_. `include_data` "true" takes /home/user and /data too; "false" or absent does not.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS (a reserved name), LIMIT_EXCEEDED, CANCELLED, CLOSED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn export_e2b_template(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    template_name: *const u8,
    template_name_length: u64,
    include_data: *const u8,
    include_data_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ExportTemplate, client, call, out, |client, cancel| {
            let request = ExportTemplate::new(
                required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?,
                required("template_name", text("template_name", template_name, template_name_length)?)?,
                parse_flag("include_data", text("include_data", include_data, include_data_length)?)?,
            )?;
            client.backend().export_template(&request, cancel)
        })
    }
}

/// Lists the built-in templates, then the exported ones by name.
///
/// Parameters: none of its own.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; does not wait for the sandbox.
/// Errors: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn list_e2b_templates(client: E2bClient, call: u64, out: *mut E2bBuffer) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ListTemplates, client, call, out, |client, _| {
            client.backend().list_templates()
        })
    }
}

/// Deletes an exported template; sandboxes made of it live on.
///
/// Parameters: `template_name` required, a name or tpl_ id.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; does not wait for the sandbox.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED (a built-in template).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn delete_e2b_template(
    client: E2bClient,
    call: u64,
    template_name: *const u8,
    template_name_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::DeleteTemplate, client, call, out, |client, _| {
            let template_name =
                required("template_name", text("template_name", template_name, template_name_length)?)?;
            check_name("template_name", template_name)?;
            client.backend().delete_template(template_name)
        })
    }
}

/// Writes an exported template to an archive file on the host.
///
/// Parameters: `template_name` required, a name or tpl_ id. `file` required, the host's path of the file to write.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits for the file; not cancellable.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, UNSUPPORTED (the cloud).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn export_e2b_template_file(
    client: E2bClient,
    call: u64,
    template_name: *const u8,
    template_name_length: u64,
    file: *const u8,
    file_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ExportTemplateFile, client, call, out, |client, _| {
            let template_name =
                required("template_name", text("template_name", template_name, template_name_length)?)?;
            check_name("template_name", template_name)?;
            let file = required("file", text("file", file, file_length)?)?;
            check_path("file", file)?;
            client.backend().export_template_file(template_name, file)
        })
    }
}

/// Reads a template archive from the host into a template, and refuses an archive that could harm.
///
/// Parameters: `file` required, the host's path of the archive. `template_name` as in export_e2b_template; absent = the name in
/// the archive.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits for the file; not cancellable.
/// Errors: INVALID_ARGUMENT, NOT_FOUND (file), ALREADY_EXISTS, LIMIT_EXCEEDED, PERMISSION_DENIED, UNAVAILABLE, UNSUPPORTED (the
/// cloud).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn import_e2b_template_file(
    client: E2bClient,
    call: u64,
    file: *const u8,
    file_length: u64,
    template_name: *const u8,
    template_name_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ImportTemplateFile, client, call, out, |client, _| {
            let file = required("file", text("file", file, file_length)?)?;
            check_path("file", file)?;
            let template_name = text("template_name", template_name, template_name_length)?;
            if let Some(name) = template_name {
                check_new_template_name("template_name", name)?;
            }
            client.backend().import_template_file(file, template_name)
        })
    }
}
