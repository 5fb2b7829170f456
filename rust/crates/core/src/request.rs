//! Validated requests. A value of these types cannot hold what a backend would have to refuse: the constructors are the
//! only way in, and each refusal names the argument and the rule.

use serde_json::{Map, Value};

use crate::document::SandboxState;
use crate::error::{Code, Error, Result};

/// Longest life of a sandbox and longest time-out of an execution, seconds.
pub const MAX_TIMEOUT_SECONDS: u32 = 86_400;
/// Life of a sandbox when none is given, seconds.
pub const DEFAULT_SANDBOX_SECONDS: u32 = 3_600;
/// Time-out of an execution or a code run when none is given, seconds.
pub const DEFAULT_EXECUTION_SECONDS: u32 = 60;
/// Time-out of an agent when none is given, seconds.
pub const DEFAULT_AGENT_SECONDS: u32 = 300;
/// Memory of a sandbox when none is given, MiB.
pub const DEFAULT_MEMORY_MB: u32 = 512;
/// Longest single argument, command line or variable, bytes (Linux `MAX_ARG_STRLEN`, its NUL included).
pub const MAX_ARGUMENT_BYTES: usize = 128 * 1024 - 1;
/// Longest argument list, bytes over all arguments; the kernel allows a quarter of the stack limit for arguments and variables.
pub const MAX_ARGUMENTS_BYTES: usize = 1024 * 1024;
/// Longest code of one run, bytes.
pub const MAX_CODE_BYTES: usize = 16 * 1024 * 1024;
/// Largest file in one call, bytes.
pub const MAX_FILE_BYTES: usize = 256 * 1024 * 1024;
/// Longest path, bytes (Linux `PATH_MAX`, its NUL included).
pub const MAX_PATH_BYTES: usize = 4095;
/// Most instances of a deployment.
pub const MAX_INSTANCES: u32 = 1_000;
/// Most symbols of one agent run.
pub const MAX_SYMBOLS: usize = 1_000;
/// Names of templates, sandboxes, contexts and agents.
const NAME_RULE: &str = "must match [a-z0-9][a-z0-9._-]{0,63}";

/// Built-in templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuiltinTemplate {
    /// A shell and an embedded JavaScript engine.
    Base,
    /// CPython.
    Python,
    /// Node.js.
    Node,
}

impl BuiltinTemplate {
    /// Every built-in template.
    pub const ALL: [BuiltinTemplate; 3] =
        [BuiltinTemplate::Base, BuiltinTemplate::Python, BuiltinTemplate::Node];

    /// Name in requests and documents.
    pub const fn name(self) -> &'static str {
        match self {
            BuiltinTemplate::Base => "base",
            BuiltinTemplate::Python => "python",
            BuiltinTemplate::Node => "node",
        }
    }

    /// The template of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.name() == name)
    }

    /// Least `memory_mb` with which its interpreter starts.
    pub const fn min_memory_mb(self) -> u32 {
        match self {
            BuiltinTemplate::Base => 16,
            BuiltinTemplate::Python => 32,
            BuiltinTemplate::Node => 64,
        }
    }

    /// Languages of `run_e2b_code`.
    pub const fn languages(self) -> &'static [Language] {
        match self {
            BuiltinTemplate::Base | BuiltinTemplate::Node => &[Language::JavaScript, Language::Shell],
            BuiltinTemplate::Python => &[Language::Python, Language::Shell],
        }
    }
}

/// Languages of `run_e2b_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// JavaScript: an embedded engine in `base`, Node in `node`.
    JavaScript,
    /// CPython.
    Python,
    /// `/bin/sh`.
    Shell,
}

impl Language {
    /// Name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Language::JavaScript => "javascript",
            Language::Python => "python",
            Language::Shell => "shell",
        }
    }

    /// The language of that name or short name.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for any other word.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "javascript" | "js" => Ok(Language::JavaScript),
            "python" | "py" => Ok(Language::Python),
            "shell" | "sh" | "bash" => Ok(Language::Shell),
            _ => Err(Error::invalid(
                "language",
                format!("must be javascript (js), python (py) or shell (sh, bash), got {}", quote(text)),
            )),
        }
    }
}

/// Filter of `list_e2b_sandboxes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Sandboxes in one state.
    Only(SandboxState),
    /// All that are alive or remembered.
    All,
}

impl StatusFilter {
    /// Absent means running.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for any word but the five states and `all`.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        Ok(match text {
            None | Some("running") => StatusFilter::Only(SandboxState::Running),
            Some("paused") => StatusFilter::Only(SandboxState::Paused),
            Some("expired") => StatusFilter::Only(SandboxState::Expired),
            Some("terminated") => StatusFilter::Only(SandboxState::Terminated),
            Some("failed") => StatusFilter::Only(SandboxState::Failed),
            Some("all") => StatusFilter::All,
            Some(other) => {
                return Err(Error::invalid(
                    "status_filter",
                    format!(
                        "must be running, paused, expired, terminated, failed or all, got {}",
                        quote(other)
                    ),
                ));
            }
        })
    }

    /// True when a sandbox in `state` passes.
    pub fn accepts(self, state: SandboxState) -> bool {
        match self {
            StatusFilter::All => true,
            StatusFilter::Only(wanted) => wanted == state,
        }
    }
}

/// Request of `create_e2b_sandbox`.
#[derive(Clone, Debug)]
pub struct CreateSandbox {
    /// Name.
    pub name: String,
    /// Template name or `tpl_` id.
    pub template: String,
    /// Lifetime, seconds.
    pub timeout_seconds: u32,
    /// Memory, MiB; the template's least value is checked by the backend, which knows the template.
    pub memory_mb: u32,
    /// Processors; the host's number is checked by the backend.
    pub cpu_count: u32,
}

impl CreateSandbox {
    /// Checks every argument; absent ones get their defaults (`base`, 3,600 s, 512 MiB, 1).
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the argument.
    pub fn new(
        name: &str,
        template: Option<&str>,
        timeout: Option<i64>,
        memory_mb: Option<i64>,
        cpu_count: Option<i64>,
    ) -> Result<Self> {
        check_name("name", name)?;
        let template = template.unwrap_or("base");
        check_name("template", template)?;
        Ok(Self {
            name: name.to_owned(),
            template: template.to_owned(),
            timeout_seconds: seconds("timeout", timeout, DEFAULT_SANDBOX_SECONDS)?,
            memory_mb: number("memory_mb", memory_mb, DEFAULT_MEMORY_MB, 16, 16 * 1024 * 1024)?,
            cpu_count: number("cpu_count", cpu_count, 1, 1, 4_096)?,
        })
    }
}

/// Request of `execute_e2b_process`.
#[derive(Clone, Debug)]
pub struct ExecuteProcess {
    /// Where.
    pub sandbox_id: String,
    /// What is run: a program with its arguments, or `/bin/sh -c` with a line.
    pub argv: Vec<String>,
    /// Time-out, seconds.
    pub timeout_seconds: u32,
    /// False keeps no output.
    pub capture_output: bool,
}

impl ExecuteProcess {
    /// `args` absent: `command` is a line for `/bin/sh -c`; else `command` is the program and `args` its arguments, no shell.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `LIMIT_EXCEEDED` when one argument is over [`MAX_ARGUMENT_BYTES`].
    pub fn new(
        sandbox_id: &str,
        command: &str,
        args: Option<Vec<String>>,
        timeout: Option<i64>,
        capture_output: Option<bool>,
    ) -> Result<Self> {
        check_id("sandbox_id", sandbox_id)?;
        check_exec_text("command", command)?;
        if command.trim().is_empty() {
            return Err(Error::invalid("command", "must not be empty"));
        }
        let argv = match args {
            None => vec!["/bin/sh".to_owned(), "-c".to_owned(), command.to_owned()],
            Some(args) => {
                for (index, arg) in args.iter().enumerate() {
                    check_exec_text(&format!("args[{index}]"), arg)?;
                }
                std::iter::once(command.to_owned()).chain(args).collect()
            }
        };
        let total: usize = argv.iter().map(|arg| arg.len() + 1).sum();
        if total > MAX_ARGUMENTS_BYTES {
            return Err(Error::new(
                Code::LimitExceeded,
                format!("args: all arguments together must be at most {MAX_ARGUMENTS_BYTES} bytes, got {total}; write a file instead"),
            )
            .about("args"));
        }
        Ok(Self {
            sandbox_id: sandbox_id.to_owned(),
            argv,
            timeout_seconds: seconds("timeout", timeout, DEFAULT_EXECUTION_SECONDS)?,
            capture_output: capture_output.unwrap_or(true),
        })
    }
}

/// Request of `run_e2b_code`.
#[derive(Clone, Debug)]
pub struct RunCode {
    /// Where.
    pub sandbox_id: String,
    /// In what.
    pub language: Language,
    /// The code.
    pub code: String,
    /// Name of the context that keeps its state; `None` is stateless.
    pub context: Option<String>,
    /// Time-out, seconds.
    pub timeout_seconds: u32,
}

impl RunCode {
    /// Checks every argument.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `LIMIT_EXCEEDED` when the code is over [`MAX_CODE_BYTES`].
    pub fn new(
        sandbox_id: &str,
        language: &str,
        code: &str,
        context: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<Self> {
        check_id("sandbox_id", sandbox_id)?;
        let language = Language::parse(language)?;
        if code.len() > MAX_CODE_BYTES {
            return Err(too_long("code", code.len(), MAX_CODE_BYTES));
        }
        if let Some(context) = context {
            check_name("context", context)?;
        }
        if language == Language::Shell && code.contains('\0') {
            return Err(Error::invalid("code", "must not contain NUL in a shell"));
        }
        Ok(Self {
            sandbox_id: sandbox_id.to_owned(),
            language,
            code: code.to_owned(),
            context: context.map(str::to_owned),
            timeout_seconds: seconds("timeout", timeout, DEFAULT_EXECUTION_SECONDS)?,
        })
    }
}

/// Request of `run_e2b_agent`.
#[derive(Clone, Debug)]
pub struct RunAgent {
    /// Where.
    pub sandbox_id: String,
    /// Built-in name, or that of `/opt/agents/<name>.{js,py}` in the sandbox.
    pub agent_type: String,
    /// What to trade; each also names `/data/<SYMBOL>.csv`.
    pub symbols: Vec<String>,
    /// The strategy's own parameters, `prices` and `timeout` included.
    pub strategy_params: Map<String, Value>,
    /// Time-out, seconds, from `strategy_params.timeout`.
    pub timeout_seconds: u32,
    /// True asks for a GPU.
    pub use_gpu: bool,
}

impl RunAgent {
    /// Checks every argument.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the argument.
    pub fn new(
        sandbox_id: &str,
        agent_type: &str,
        symbols: Vec<String>,
        strategy_params: Option<Map<String, Value>>,
        use_gpu: Option<bool>,
    ) -> Result<Self> {
        check_id("sandbox_id", sandbox_id)?;
        check_name("agent_type", agent_type)?;
        if symbols.is_empty() || symbols.len() > MAX_SYMBOLS {
            return Err(Error::invalid(
                "symbols",
                format!("must have between 1 and {MAX_SYMBOLS} symbols, got {}", symbols.len()),
            ));
        }
        for (index, symbol) in symbols.iter().enumerate() {
            let argument = format!("symbols[{index}]");
            let fine = !symbol.is_empty()
                && symbol.len() <= 32
                && !symbol.starts_with(['.', '-'])
                && symbol.bytes().all(|b| b.is_ascii_alphanumeric() || b"._^=-".contains(&b));
            if !fine {
                return Err(Error::invalid(
                    &argument,
                    format!("must match [A-Za-z0-9_^=][A-Za-z0-9._^=-]{{0,31}}, got {}", quote(symbol)),
                ));
            }
            if symbols[..index].contains(symbol) {
                return Err(Error::invalid(&argument, format!("{} is there twice", quote(symbol))));
            }
        }
        let strategy_params = strategy_params.unwrap_or_default();
        let timeout_seconds = match strategy_params.get("timeout") {
            None | Some(Value::Null) => DEFAULT_AGENT_SECONDS,
            Some(value) => {
                let seconds_given = value.as_i64().ok_or_else(|| {
                    Error::invalid(
                        "strategy_params.timeout",
                        format!("must be a whole number of seconds, got {}", kind(value)),
                    )
                })?;
                seconds("strategy_params.timeout", Some(seconds_given), DEFAULT_AGENT_SECONDS)?
            }
        };
        Ok(Self {
            sandbox_id: sandbox_id.to_owned(),
            agent_type: agent_type.to_owned(),
            symbols,
            strategy_params,
            timeout_seconds,
            use_gpu: use_gpu.unwrap_or(false),
        })
    }
}

/// Request of `deploy_e2b_template`.
#[derive(Clone, Debug)]
pub struct DeployTemplate {
    /// Template name or `tpl_` id.
    pub template_name: String,
    /// Free text.
    pub category: String,
    /// The whole object, as given.
    pub configuration: Map<String, Value>,
    /// Number of instances.
    pub instances: u32,
    /// Variables of every execution in an instance.
    pub env: Vec<(String, String)>,
    /// Line for `/bin/sh -c`, started in each instance.
    pub start_command: Option<String>,
    /// Lifetime, memory and processors of each instance.
    pub timeout_seconds: u32,
    /// Memory, MiB.
    pub memory_mb: u32,
    /// Processors.
    pub cpu_count: u32,
    /// The caller's own facts about the deployment.
    pub metadata: Map<String, Value>,
    /// Agent that each instance runs once it is up.
    pub agent: Option<DeployedAgent>,
}

/// `configuration.agent`: what [`RunAgent`] needs beside the sandbox.
#[derive(Clone, Debug)]
pub struct DeployedAgent {
    /// As `agent_type` of `run_e2b_agent`.
    pub agent_type: String,
    /// As there.
    pub symbols: Vec<String>,
    /// As there.
    pub strategy_params: Map<String, Value>,
}

impl DeployTemplate {
    /// Checks every argument and every known key of `configuration`; unknown keys are the caller's own and allowed.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the argument, for example `configuration.instances`.
    pub fn new(template_name: &str, category: &str, configuration: Map<String, Value>) -> Result<Self> {
        check_name("template_name", template_name)?;
        check_label("category", category)?;
        let whole = |key: &str| -> Result<Option<i64>> {
            match configuration.get(key) {
                None | Some(Value::Null) => Ok(None),
                Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                    Error::invalid(
                        &format!("configuration.{key}"),
                        format!("must be a whole number, got {}", kind(value)),
                    )
                }),
            }
        };
        let env = match object_at(&configuration, "configuration", "env")? {
            None => Vec::new(),
            Some(env) => env
                .iter()
                .map(|(key, value)| {
                    let argument = member("configuration.env", key);
                    check_variable_name(&argument, key)?;
                    let text = value.as_str().ok_or_else(|| {
                        Error::invalid(&argument, format!("must be a string, got {}", kind(value)))
                    })?;
                    check_exec_text(&argument, text)?;
                    Ok((key.clone(), text.to_owned()))
                })
                .collect::<Result<Vec<_>>>()?,
        };
        let start_command = match configuration.get("start_command") {
            None | Some(Value::Null) => None,
            Some(Value::String(line)) if !line.trim().is_empty() => {
                check_exec_text("configuration.start_command", line)?;
                Some(line.clone())
            }
            Some(value) => {
                return Err(Error::invalid(
                    "configuration.start_command",
                    format!("must be a non-empty string, got {}", kind(value)),
                ));
            }
        };
        let agent = match object_at(&configuration, "configuration", "agent")? {
            None => None,
            Some(agent) => Some(deployed_agent(agent)?),
        };
        let metadata = object_at(&configuration, "configuration", "metadata")?.cloned().unwrap_or_default();
        check_exec_text("configuration", &Value::Object(configuration.clone()).to_string())?;
        Ok(Self {
            template_name: template_name.to_owned(),
            category: category.to_owned(),
            instances: number("configuration.instances", whole("instances")?, 1, 1, MAX_INSTANCES)?,
            env,
            start_command,
            timeout_seconds: seconds("configuration.timeout", whole("timeout")?, DEFAULT_SANDBOX_SECONDS)?,
            memory_mb: number(
                "configuration.memory_mb",
                whole("memory_mb")?,
                DEFAULT_MEMORY_MB,
                16,
                16 * 1024 * 1024,
            )?,
            cpu_count: number("configuration.cpu_count", whole("cpu_count")?, 1, 1, 4_096)?,
            metadata,
            agent,
            configuration,
        })
    }
}

fn deployed_agent(agent: &Map<String, Value>) -> Result<DeployedAgent> {
    let agent_type = agent.get("agent_type").and_then(Value::as_str).ok_or_else(|| {
        Error::invalid("configuration.agent.agent_type", "must be a string: the name of the agent")
    })?;
    let symbols = match agent.get("symbols") {
        Some(Value::Array(items)) => strings("configuration.agent.symbols", items)?,
        _ => return Err(Error::invalid("configuration.agent.symbols", "must be an array of strings")),
    };
    let strategy_params =
        object_at(agent, "configuration.agent", "strategy_params")?.cloned().unwrap_or_default();
    // The rules of run_e2b_agent hold here too; any well-formed id serves for the check.
    RunAgent::new("sb_check", agent_type, symbols.clone(), Some(strategy_params.clone()), None).map_err(
        |error| {
            let inner = error.argument().unwrap_or("agent").to_owned();
            let rule =
                error.message().strip_prefix(&format!("{inner}: ")).unwrap_or(error.message()).to_owned();
            Error::invalid(&format!("configuration.agent.{inner}"), rule)
        },
    )?;
    Ok(DeployedAgent { agent_type: agent_type.to_owned(), symbols, strategy_params })
}

/// Request of `scale_e2b_deployment`.
#[derive(Clone, Debug)]
pub struct ScaleDeployment {
    /// Which.
    pub deployment_id: String,
    /// How many; 0 ends it.
    pub instance_count: u32,
    /// True: dead instances are replaced and the count follows the load between 1 and `instance_count`.
    pub auto_scale: bool,
}

impl ScaleDeployment {
    /// Checks every argument.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the argument.
    pub fn new(deployment_id: &str, instance_count: Option<i64>, auto_scale: Option<bool>) -> Result<Self> {
        check_id("deployment_id", deployment_id)?;
        let instance_count =
            instance_count.ok_or_else(|| Error::invalid("instance_count", "must be given"))?;
        let instance_count = number("instance_count", Some(instance_count), 0, 0, MAX_INSTANCES)?;
        let auto_scale = auto_scale.unwrap_or(false);
        if auto_scale && instance_count == 0 {
            return Err(Error::invalid(
                "auto_scale",
                "must be false when instance_count is 0, which ends the deployment",
            ));
        }
        Ok(Self { deployment_id: deployment_id.to_owned(), instance_count, auto_scale })
    }
}

/// Request of `export_e2b_template`.
#[derive(Clone, Debug)]
pub struct ExportTemplate {
    /// Of what.
    pub sandbox_id: String,
    /// Name of the template; an exported one of that name is replaced.
    pub template_name: String,
    /// True takes `/home/user` and `/data` too.
    pub include_data: bool,
}

impl ExportTemplate {
    /// Checks every argument.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `ALREADY_EXISTS` for a reserved name.
    pub fn new(sandbox_id: &str, template_name: &str, include_data: Option<bool>) -> Result<Self> {
        check_id("sandbox_id", sandbox_id)?;
        check_new_template_name("template_name", template_name)?;
        Ok(Self {
            sandbox_id: sandbox_id.to_owned(),
            template_name: template_name.to_owned(),
            include_data: include_data.unwrap_or(false),
        })
    }
}

/// Request of `write_e2b_file`.
#[derive(Clone, Copy, Debug)]
pub struct WriteFile<'a> {
    /// Where.
    pub sandbox_id: &'a str,
    /// Absolute, or relative to `/home/user`.
    pub path: &'a str,
    /// The bytes.
    pub content: &'a [u8],
}

impl<'a> WriteFile<'a> {
    /// Checks every argument.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `LIMIT_EXCEEDED` when the content is over [`MAX_FILE_BYTES`].
    pub fn new(sandbox_id: &'a str, path: &'a str, content: &'a [u8]) -> Result<Self> {
        check_id("sandbox_id", sandbox_id)?;
        check_path("path", path)?;
        if content.len() > MAX_FILE_BYTES {
            return Err(too_long("content", content.len(), MAX_FILE_BYTES));
        }
        Ok(Self { sandbox_id, path, content })
    }
}

/// A name of a template, sandbox, context or agent.
///
/// # Errors
/// `INVALID_ARGUMENT` when it does not match `[a-z0-9][a-z0-9._-]{0,63}`.
pub fn check_name(argument: &str, name: &str) -> Result<()> {
    let bytes = name.as_bytes();
    let fine = matches!(bytes.first(), Some(b) if b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.len() <= 64
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b));
    if fine { Ok(()) } else { Err(Error::invalid(argument, format!("{NAME_RULE}, got {}", quote(name)))) }
}

/// A name under which a template is to be stored.
///
/// # Errors
/// `INVALID_ARGUMENT`; `ALREADY_EXISTS` for the built-in names and those that look like an id.
pub fn check_new_template_name(argument: &str, name: &str) -> Result<()> {
    check_name(argument, name)?;
    if BuiltinTemplate::from_name(name).is_some() || name.starts_with("tpl_") {
        return Err(Error::new(
            Code::AlreadyExists,
            format!(
                "{argument}: {} is reserved: base, python, node and names starting with tpl_ are taken",
                quote(name)
            ),
        )
        .about(argument));
    }
    Ok(())
}

/// An identifier given by the caller. Whether it exists is the backend's to say, so only what no lookup should see is refused.
///
/// # Errors
/// `INVALID_ARGUMENT` when it is empty; `NOT_FOUND` when it cannot be one of ours.
pub fn check_id(argument: &str, id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::invalid(argument, "must not be empty"));
    }
    if id.len() > 128 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(Error::not_found(argument, format!("{argument}: there is no {}", quote(id))));
    }
    Ok(())
}

/// A path inside the sandbox.
///
/// # Errors
/// `INVALID_ARGUMENT` when it is empty, too long, or has a NUL.
pub fn check_path(argument: &str, path: &str) -> Result<()> {
    if path.is_empty() || path.len() > MAX_PATH_BYTES || path.contains('\0') {
        return Err(Error::invalid(
            argument,
            format!("must be 1 to {MAX_PATH_BYTES} bytes without NUL, got {} bytes", path.len()),
        ));
    }
    if path.ends_with('/') {
        return Err(Error::invalid(argument, "must name a file, so it must not end with a slash"));
    }
    Ok(())
}

/// A flag that crossed the boundary as text.
///
/// # Errors
/// `INVALID_ARGUMENT` for anything but `true` and `false`.
pub fn parse_flag(argument: &str, text: Option<&str>) -> Result<Option<bool>> {
    match text {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => {
            Err(Error::invalid(argument, format!("must be the text true or false, got {}", quote(other))))
        }
    }
}

/// An object that crossed the boundary as JSON text.
///
/// # Errors
/// `INVALID_ARGUMENT` when it is not one JSON object.
pub fn parse_object(argument: &str, text: Option<&str>) -> Result<Option<Map<String, Value>>> {
    match text.map(|text| parse_json(argument, text)).transpose()? {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(Error::invalid(argument, format!("must be a JSON object, got {}", kind(&other)))),
    }
}

/// A list of strings that crossed the boundary as JSON text.
///
/// # Errors
/// `INVALID_ARGUMENT` when it is not one JSON array of strings.
pub fn parse_strings(argument: &str, text: Option<&str>) -> Result<Option<Vec<String>>> {
    match text.map(|text| parse_json(argument, text)).transpose()? {
        None => Ok(None),
        Some(Value::Array(items)) => strings(argument, &items).map(Some),
        Some(other) => {
            Err(Error::invalid(argument, format!("must be a JSON array of strings, got {}", kind(&other))))
        }
    }
}

/// The value of an argument that must be there.
///
/// # Errors
/// `INVALID_ARGUMENT` when it is absent.
pub fn required<T>(argument: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid(argument, "must be given"))
}

/// The kind of a JSON value in words, for messages that must not repeat the value.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The argument name of a member of an object; its key may be anything, so it is escaped and cut after 64 characters.
pub fn member(parent: &str, key: &str) -> String {
    let cut = if key.chars().nth(64).is_some() { "…" } else { "" };
    format!("{parent}.{}{cut}", key.chars().take(64).flat_map(char::escape_debug).collect::<String>())
}

/// `text` in quotes, escaped, cut after 64 characters.
pub fn quote(text: &str) -> String {
    let mut cut: String = text.chars().take(64).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

fn parse_json(argument: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::invalid(argument, format!("must be JSON: {error}")))
}

fn strings(argument: &str, items: &[Value]) -> Result<Vec<String>> {
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            item.as_str().map(str::to_owned).ok_or_else(|| {
                Error::invalid(
                    &format!("{argument}[{index}]"),
                    format!("must be a string, got {}", kind(item)),
                )
            })
        })
        .collect()
}

fn object_at<'a>(
    map: &'a Map<String, Value>,
    parent: &str,
    key: &str,
) -> Result<Option<&'a Map<String, Value>>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(inner)) => Ok(Some(inner)),
        Some(other) => Err(Error::invalid(
            &format!("{parent}.{key}"),
            format!("must be a JSON object, got {}", kind(other)),
        )),
    }
}

fn number(argument: &str, value: Option<i64>, default: u32, least: u32, most: u32) -> Result<u32> {
    match value {
        None => Ok(default),
        Some(value) => {
            u32::try_from(value).ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                Error::invalid(argument, format!("must be between {least} and {most}, got {value}"))
                    .with("value", value)
            })
        }
    }
}

/// A time-out in seconds.
///
/// # Errors
/// `INVALID_ARGUMENT` outside 1 to [`MAX_TIMEOUT_SECONDS`].
pub fn seconds(argument: &str, value: Option<i64>, default: u32) -> Result<u32> {
    number(argument, value, default, 1, MAX_TIMEOUT_SECONDS).map_err(|error| match value {
        Some(value) => Error::invalid(
            argument,
            format!("must be between 1 and {MAX_TIMEOUT_SECONDS} seconds, got {value}"),
        )
        .with("value", value),
        None => error,
    })
}

fn check_label(argument: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        return Err(Error::invalid(argument, "must be 1 to 128 bytes without control characters"));
    }
    Ok(())
}

fn check_variable_name(argument: &str, name: &str) -> Result<()> {
    let fine = !name.is_empty()
        && name.len() <= 128
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fine {
        Ok(())
    } else {
        Err(Error::invalid(argument, "a variable's name must match [A-Za-z_][A-Za-z0-9_]{0,127}"))
    }
}

fn check_exec_text(argument: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(
            argument,
            "must not contain NUL, where the operating system would cut it",
        ));
    }
    if text.len() > MAX_ARGUMENT_BYTES {
        return Err(too_long(argument, text.len(), MAX_ARGUMENT_BYTES));
    }
    Ok(())
}

fn too_long(argument: &str, length: usize, most: usize) -> Error {
    Error::new(Code::LimitExceeded, format!("{argument}: must be at most {most} bytes, got {length}"))
        .about(argument)
        .with("limit_bytes", most)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn argument_of<T: std::fmt::Debug>(result: Result<T>) -> (Code, String) {
        let error = result.unwrap_err();
        let argument = error.argument().unwrap().to_owned();
        assert!(error.message().contains(&argument), "{error} does not name {argument}");
        (error.code(), argument)
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn create_has_the_references_defaults() {
        let request = CreateSandbox::new("n", None, None, None, None).unwrap();
        assert_eq!(
            (request.template.as_str(), request.timeout_seconds, request.memory_mb, request.cpu_count),
            ("base", 3_600, 512, 1)
        );
    }

    #[test]
    fn create_refuses_what_breaks_a_rule_and_names_the_argument() {
        let long = "a".repeat(65);
        for name in ["", "A", "../x", "a/b", "a\0b", "-a", ".a", "a b", "ä", long.as_str()] {
            assert_eq!(
                argument_of(CreateSandbox::new(name, None, None, None, None)),
                (Code::InvalidArgument, "name".into()),
                "{name:?}"
            );
            assert_eq!(
                argument_of(CreateSandbox::new("n", Some(name), None, None, None)).1,
                "template",
                "{name:?}"
            );
        }
        for timeout in [0, -1, 86_401, i64::MAX] {
            assert_eq!(argument_of(CreateSandbox::new("n", None, Some(timeout), None, None)).1, "timeout");
        }
        for memory in [0, 15, -512, i64::MAX] {
            assert_eq!(argument_of(CreateSandbox::new("n", None, None, Some(memory), None)).1, "memory_mb");
        }
        for cpus in [0, -1, 5_000] {
            assert_eq!(argument_of(CreateSandbox::new("n", None, None, None, Some(cpus))).1, "cpu_count");
        }
    }

    #[test]
    fn a_command_without_a_list_is_a_shell_line_and_with_one_it_is_a_program() {
        let line = ExecuteProcess::new("sb_x", "echo $HOME", None, None, None).unwrap();
        assert_eq!(line.argv, ["/bin/sh", "-c", "echo $HOME"]);
        assert_eq!((line.timeout_seconds, line.capture_output), (60, true));
        let program = ExecuteProcess::new("sb_x", "echo", Some(vec![]), Some(1), Some(false)).unwrap();
        assert_eq!(program.argv, ["echo"]);
        assert!(!program.capture_output);
    }

    #[test]
    fn execute_refuses_nul_emptiness_and_what_exec_would_refuse() {
        assert_eq!(argument_of(ExecuteProcess::new("sb_x", " ", None, None, None)).1, "command");
        assert_eq!(argument_of(ExecuteProcess::new("sb_x", "a\0b", None, None, None)).1, "command");
        let nul = ExecuteProcess::new("sb_x", "a", Some(vec!["b".into(), "\0".into()]), None, None);
        assert_eq!(argument_of(nul).1, "args[1]");
        let long = "x".repeat(MAX_ARGUMENT_BYTES + 1);
        let over = ExecuteProcess::new("sb_x", "a", Some(vec![long]), None, None);
        assert_eq!(argument_of(over), (Code::LimitExceeded, "args[0]".into()));
        let many = vec!["x".repeat(1_000); 1_100];
        assert_eq!(
            argument_of(ExecuteProcess::new("sb_x", "a", Some(many), None, None)),
            (Code::LimitExceeded, "args".into())
        );
        assert_eq!(
            argument_of(ExecuteProcess::new("", "a", None, None, None)),
            (Code::InvalidArgument, "sandbox_id".into())
        );
        assert_eq!(
            argument_of(ExecuteProcess::new("../x", "a", None, None, None)),
            (Code::NotFound, "sandbox_id".into())
        );
    }

    #[test]
    fn only_the_words_of_the_contract_filter_and_name_languages() {
        assert_eq!(StatusFilter::parse(None).unwrap(), StatusFilter::Only(SandboxState::Running));
        assert!(StatusFilter::parse(Some("all")).unwrap().accepts(SandboxState::Failed));
        assert_eq!(argument_of(StatusFilter::parse(Some("RUNNING"))).1, "status_filter");
        assert_eq!(Language::parse("bash").unwrap(), Language::Shell);
        assert_eq!(argument_of(Language::parse("ruby")).1, "language");
    }

    #[test]
    fn flags_objects_and_lists_cross_as_text_and_are_checked_strictly() {
        assert_eq!(parse_flag("force", Some("true")).unwrap(), Some(true));
        assert_eq!(parse_flag("force", None).unwrap(), None);
        for text in ["True", "1", "", " true", "null"] {
            assert_eq!(argument_of(parse_flag("force", Some(text))).1, "force", "{text:?}");
        }
        for text in ["[1]", "null", "\"x\"", "{", "{} {}", "NaN", ""] {
            assert_eq!(argument_of(parse_object("configuration", Some(text))).1, "configuration", "{text:?}");
        }
        assert_eq!(parse_strings("args", Some("[\"a\"]")).unwrap(), Some(vec!["a".to_owned()]));
        assert_eq!(argument_of(parse_strings("args", Some("[\"a\", 1]"))).1, "args[1]");
        assert_eq!(argument_of(parse_strings("args", Some("{}"))).1, "args");
        // serde_json bounds its recursion: depth is an error, not a stack overflow.
        assert_eq!(argument_of(parse_object("x", Some(&format!("{{\"a\":{}", "[".repeat(100_000))))).1, "x");
    }

    #[test]
    fn an_agent_takes_its_time_out_from_its_parameters() {
        let symbols = vec!["SPY".to_owned()];
        let params = object(json!({"timeout": 5}));
        assert_eq!(
            RunAgent::new("sb_x", "momentum", symbols.clone(), Some(params), None).unwrap().timeout_seconds,
            5
        );
        assert_eq!(
            RunAgent::new("sb_x", "momentum", symbols.clone(), None, None).unwrap().timeout_seconds,
            300
        );
        for timeout in [json!(0), json!("5"), json!(1.5)] {
            let params = object(json!({"timeout": timeout}));
            assert_eq!(
                argument_of(RunAgent::new("sb_x", "momentum", symbols.clone(), Some(params), None)).1,
                "strategy_params.timeout"
            );
        }
        for bad in ["", "../etc", "A/B", ".hidden", "-x"] {
            assert_eq!(
                argument_of(RunAgent::new("sb_x", "momentum", vec![bad.into()], None, None)).1,
                "symbols[0]"
            );
        }
        assert_eq!(argument_of(RunAgent::new("sb_x", "momentum", vec![], None, None)).1, "symbols");
        let twice = vec!["SPY".to_owned(), "SPY".to_owned()];
        assert_eq!(argument_of(RunAgent::new("sb_x", "momentum", twice, None, None)).1, "symbols[1]");
    }

    #[test]
    fn a_deployment_checks_its_known_keys_and_leaves_the_callers_own_alone() {
        let request = DeployTemplate::new(
            "t",
            "c",
            object(json!({"strategy": "momentum", "instances": 2, "env": {"A": "b"}, "agent": {"agent_type": "kelly", "symbols": ["SPY"]}})),
        )
        .unwrap();
        assert_eq!(request.instances, 2);
        assert_eq!(request.env, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(request.configuration["strategy"], json!("momentum"));
        assert_eq!(request.agent.unwrap().agent_type, "kelly");
        for (configuration, argument) in [
            (json!({"instances": 0}), "configuration.instances"),
            (json!({"instances": "2"}), "configuration.instances"),
            (json!({"env": []}), "configuration.env"),
            (json!({"env": {"A": 1}}), "configuration.env.A"),
            (json!({"env": {"1A": "x"}}), "configuration.env.1A"),
            (json!({"env": {"": "x"}}), "configuration.env."),
            (json!({"env": {"A=B": "x"}}), "configuration.env.A=B"),
            (json!({"env": {"A\0B": "x"}}), "configuration.env.A\\0B"),
            (json!({"env": {"A\n": "x"}}), "configuration.env.A\\n"),
            (json!({"env": {"Ä": "x"}}), "configuration.env.Ä"),
            (json!({"env": {"A-B": "x"}}), "configuration.env.A-B"),
            (json!({"env": {"BASH_FUNC_x%%": "() { :; }"}}), "configuration.env.BASH_FUNC_x%%"),
            (json!({"env": {"A": "x\0y"}}), "configuration.env.A"),
            (json!({"env": {"A": null}}), "configuration.env.A"),
            (json!({"start_command": "a\0b"}), "configuration.start_command"),
            (json!({"start_command": ""}), "configuration.start_command"),
            (json!({"timeout": 0}), "configuration.timeout"),
            (json!({"metadata": 1}), "configuration.metadata"),
            (json!({"agent": {"agent_type": "X Y", "symbols": ["SPY"]}}), "configuration.agent.agent_type"),
            (json!({"agent": {"agent_type": "kelly"}}), "configuration.agent.symbols"),
        ] {
            assert_eq!(argument_of(DeployTemplate::new("t", "c", object(configuration))).1, argument);
        }
    }

    #[test]
    fn errors_repeat_little_of_what_was_given() {
        let long = "x".repeat(1 << 20);
        let mut errors = vec![
            check_id("sandbox_id", &long).unwrap_err(),
            check_name("template", &long).unwrap_err(),
            check_path("path", &long).unwrap_err(),
            parse_flag("force", Some(&long)).unwrap_err(),
            parse_object("configuration", Some(&long)).unwrap_err(),
            StatusFilter::parse(Some(&long)).unwrap_err(),
            Language::parse(&long).unwrap_err(),
        ];
        let env = object(json!({"env": {long.as_str(): "x"}}));
        errors.push(DeployTemplate::new("t", "c", env).unwrap_err());
        errors.push(DeployTemplate::new("t", &long, Map::new()).unwrap_err());
        for error in errors {
            let document = serde_json::to_string(&error).unwrap();
            assert!(document.len() < 1_000, "{} bytes: {error}", document.len());
            assert!(error.argument().is_some_and(|argument| argument.len() < 100), "{error}");
        }
    }

    #[test]
    fn a_variable_of_128_kib_is_a_limit_by_its_name() {
        let of =
            |length: usize| DeployTemplate::new("t", "c", object(json!({"env": {"A": "x".repeat(length)}})));
        assert_eq!(
            argument_of(of(MAX_ARGUMENT_BYTES + 1)),
            (Code::LimitExceeded, "configuration.env.A".into())
        );
        // The configuration reaches the instance as a variable, too, and is longer.
        assert_eq!(argument_of(of(MAX_ARGUMENT_BYTES)), (Code::LimitExceeded, "configuration".into()));
        assert!(of(MAX_ARGUMENT_BYTES - 20).is_ok());
    }

    #[test]
    fn what_looks_like_an_id_or_a_name_is_none() {
        for id in [
            "sb_../x", "sb_a/b", "sb_a\0", "\0", "sb_a ", "sb_a\n", "ѕb_abc", "sb_ａ", "sb_a%00", "sb:a",
            "..", ".",
        ] {
            let (code, argument) = argument_of(check_id("sandbox_id", id));
            assert_eq!((code, argument.as_str()), (Code::NotFound, "sandbox_id"), "{id:?}");
        }
        for name in
            ["..", ".", "a/..", "a\n", "a ", "ａ", "а", "a\u{200b}", "tpl_/x", "_a", "a\\b", "a:b", "a%2fb"]
        {
            for result in [check_name("name", name), check_new_template_name("name", name)] {
                assert_eq!(argument_of(result), (Code::InvalidArgument, "name".into()), "{name:?}");
            }
        }
    }

    #[test]
    fn scaling_and_exporting_keep_their_rules() {
        assert_eq!(argument_of(ScaleDeployment::new("dep_x", None, None)).1, "instance_count");
        assert_eq!(argument_of(ScaleDeployment::new("dep_x", Some(-1), None)).1, "instance_count");
        assert_eq!(argument_of(ScaleDeployment::new("dep_x", Some(0), Some(true))).1, "auto_scale");
        assert_eq!(ScaleDeployment::new("dep_x", Some(0), None).unwrap().instance_count, 0);
        for reserved in ["base", "python", "node", "tpl_abc"] {
            assert_eq!(
                argument_of(ExportTemplate::new("sb_x", reserved, None)),
                (Code::AlreadyExists, "template_name".into())
            );
        }
    }
}
