//! Arguments as they come over the boundary: text and numbers, the text often JSON.

use e2bridge_core::request::{
    CreateSandbox, DeployTemplate, ExecuteProcess, ExportTemplate, Language, MAX_ARGUMENT_BYTES,
    MAX_ARGUMENTS_BYTES, MAX_TIMEOUT_SECONDS, RunAgent, RunCode, ScaleDeployment, StatusFilter, WriteFile,
    check_new_template_name, check_path, parse_flag, parse_object, parse_strings,
};
use e2bridge_core::{Code, Error, Result};

use crate::config::{self, BackendKind};

/// Between two texts.
const SEPARATOR: u8 = 0xff;
/// Most bytes of a message: rule, argument and a cut value.
const MAX_MESSAGE: usize = 1_500;

/// The first byte chooses the call, eight more are a number, the rest are texts with [`SEPARATOR`] between them; an empty one is
/// absent. Whatever they are, the call is valid within the rules or an error that names the argument and repeats little.
pub fn arguments(data: &[u8]) {
    let Some((&call, rest)) = data.split_first() else { return };
    let Some((number, rest)) = rest.split_first_chunk::<8>() else { return };
    let number = Some(i64::from_le_bytes(*number)).filter(|&number| number != i64::MIN);
    let texts: Vec<&str> =
        rest.split(|&byte| byte == SEPARATOR).map_while(|text| str::from_utf8(text).ok()).collect();
    let text = |index: usize| texts.get(index).copied().filter(|text| !text.is_empty());
    let must = |index: usize| text(index).unwrap_or_default();
    if let Err(error) = dispatch(call % 12, number, &text, &must) {
        check(&error);
    }
}

fn dispatch<'a>(
    call: u8,
    number: Option<i64>,
    text: &dyn Fn(usize) -> Option<&'a str>,
    must: &dyn Fn(usize) -> &'a str,
) -> Result<()> {
    match call {
        0 => {
            let request = CreateSandbox::new(must(0), text(1), number, number, number)?;
            name(&request.name);
            name(&request.template);
            seconds(request.timeout_seconds);
        }
        1 => {
            let args = parse_strings("args", text(2))?;
            let shell = args.is_none();
            let request =
                ExecuteProcess::new(must(0), must(1), args, number, parse_flag("capture_output", text(3))?)?;
            id(&request.sandbox_id);
            assert!(!request.argv.is_empty() && (!shell || request.argv.len() == 3));
            assert!(request.argv.iter().map(|arg| arg.len() + 1).sum::<usize>() <= MAX_ARGUMENTS_BYTES);
            request.argv.iter().for_each(|argument| exec_text(argument));
            seconds(request.timeout_seconds);
        }
        2 => {
            let request = RunCode::new(must(0), must(1), must(2), text(3), number)?;
            id(&request.sandbox_id);
            request.context.iter().for_each(|context| name(context));
            assert!(request.language != Language::Shell || !request.code.contains('\0'));
            seconds(request.timeout_seconds);
        }
        3 => {
            let symbols = parse_strings("symbols", text(2))?.unwrap_or_default();
            let params = parse_object("strategy_params", text(3))?;
            let request = RunAgent::new(must(0), must(1), symbols, params, parse_flag("use_gpu", text(4))?)?;
            name(&request.agent_type);
            request.symbols.iter().for_each(|symbol| symbol_file(symbol));
            seconds(request.timeout_seconds);
        }
        4 => {
            let configuration = parse_object("configuration", text(2))?.unwrap_or_default();
            let request = DeployTemplate::new(must(0), must(1), configuration)?;
            name(&request.template_name);
            assert!((1..=1_000).contains(&request.instances));
            for (key, value) in &request.env {
                assert!(!key.is_empty() && !key.contains(['=', '\0', '\n']), "{key:?}");
                exec_text(value);
            }
            request.start_command.iter().for_each(|line| exec_text(line));
            if let Some(agent) = &request.agent {
                name(&agent.agent_type);
                agent.symbols.iter().for_each(|symbol| symbol_file(symbol));
            }
            seconds(request.timeout_seconds);
        }
        5 => {
            let request = ScaleDeployment::new(must(0), number, parse_flag("auto_scale", text(1))?)?;
            id(&request.deployment_id);
            assert!(request.instance_count <= 1_000 && (request.instance_count > 0 || !request.auto_scale));
        }
        6 => {
            let request = ExportTemplate::new(must(0), must(1), parse_flag("include_data", text(2))?)?;
            id(&request.sandbox_id);
            template(&request.template_name);
        }
        7 => {
            let request = WriteFile::new(must(0), must(1), must(2).as_bytes())?;
            id(request.sandbox_id);
            path(request.path);
        }
        8 => {
            check_path("file", must(0))?;
            path(must(0));
        }
        9 => {
            check_new_template_name("template_name", must(0))?;
            template(must(0));
        }
        10 => {
            StatusFilter::parse(text(0))?;
            Language::parse(must(1))?;
        }
        _ => {
            let config = config::parse(text(0))?;
            assert!(["required", "best_effort"].contains(&config::isolation_word(config.local.isolation)));
            if config.backend == BackendKind::Cloud {
                return Err(config::no_host());
            }
            for file in
                [&config.local.data_directory, &config.local.python, &config.local.node].into_iter().flatten()
            {
                assert!(!file.as_os_str().is_empty() && !file.as_os_str().as_encoded_bytes().contains(&0));
            }
        }
    }
    Ok(())
}

fn check(error: &Error) {
    assert!(
        matches!(
            error.code(),
            Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::LimitExceeded
                | Code::Unsupported
        ),
        "{error}"
    );
    let argument = error.argument().unwrap_or_else(|| panic!("no argument: {error}"));
    assert!(!argument.is_empty() && !argument.contains(char::is_control), "{argument:?}");
    assert!(
        error.message().len() <= MAX_MESSAGE && argument.len() <= MAX_MESSAGE / 2,
        "{} bytes",
        error.message().len()
    );
    assert!(error.message().starts_with(argument) || error.code() == Code::Unsupported, "{error}");
    assert!(serde_json::to_string(error).is_ok());
}

fn name(name: &str) {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    assert!((1..=64).contains(&name.len()) && name.bytes().all(allowed), "{name:?}");
    assert!(!name.starts_with(['.', '_', '-']), "{name:?}");
}

fn template(text: &str) {
    name(text);
    assert!(!["base", "python", "node"].contains(&text) && !text.starts_with("tpl_"));
}

fn id(id: &str) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    assert!((1..=128).contains(&id.len()) && id.bytes().all(allowed), "{id:?}");
}

fn exec_text(text: &str) {
    assert!(text.len() <= MAX_ARGUMENT_BYTES && !text.contains('\0'));
}

fn symbol_file(symbol: &str) {
    assert!(
        (1..=32).contains(&symbol.len()) && !symbol.contains(['/', '\0']) && !symbol.starts_with('.'),
        "{symbol:?}"
    );
}

fn path(path: &str) {
    assert!((1..=4_095).contains(&path.len()) && !path.contains('\0') && !path.ends_with('/'), "{path:?}");
}

fn seconds(seconds: u32) {
    assert!((1..=MAX_TIMEOUT_SECONDS).contains(&seconds));
}
