package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Events;
import io.e2bridge.internal.Marshaller;
import io.e2bridge.internal.NativeCalls;
import io.e2bridge.internal.NativeLibraryLoader;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * A client: the sandboxes it creates live until they are terminated, their time is over, or the client is closed or its process
 * ends in any way. On the cloud ({@link Backend#CLOUD}) those that it created end when it is closed, those of deployments live on until
 * their time is over, and neither ends with the process; {@code docs/cloud.md} says what else is different there.
 *
 * <pre>{@code
 * try (E2B e2b = E2B.open()) {
 *     String sandbox = e2b.createE2BSandbox("hello", "base").sandboxId();
 *     CodeResult answer = e2b.runE2BCode(sandbox, "javascript", "[1, 2, 3].map(x => x * x).join()");
 *     System.out.println(answer.result()); // 1,4,9
 * }
 * }</pre>
 *
 * <p><b>Arguments.</b> {@code null} means absent and gets the default that the method names, unless it says that the argument is
 * required. Time-outs are whole seconds, 1 to 86,400. Names of sandboxes, templates, contexts and agents match
 * {@code [a-z0-9][a-z0-9._-]{0,63}}. Texts are at most 64 MiB of UTF-8. Parameters of type {@code Object} take a Map, a record, a
 * bean, a {@link JsonNode}, or a String that already is the text of a JSON object.
 *
 * <p><b>Errors.</b> Every method throws {@link E2BException} and nothing else: INVALID_ARGUMENT for an argument that breaks a
 * rule, with {@link E2BException#argument()} naming it and nothing done; LIMIT_EXCEEDED for what is too large or too many; CLOSED
 * after {@link #close()}; UNAVAILABLE when the engine ended and cannot be restarted; TIMEOUT when a file or a context stayed out of
 * reach for too long. On the cloud also UNAUTHENTICATED, PERMISSION_DENIED and RATE_LIMITED, UNAVAILABLE when the cluster does not
 * do what it should, and TIMEOUT when it does not answer in time. What a method adds to these it names itself.
 *
 * <p><b>Threads.</b> A client may be used by any number of threads at once, virtual ones included, whose carriers are not
 * blocked. Interrupting a thread that waits in a call which creates, executes, runs, deploys, scales, exports, reads or writes
 * cancels that call: it ends with CANCELLED, and the thread's interrupt flag is still set. Such a call in a thread that is
 * interrupted already fails with CANCELLED and does nothing. Short calls and those that end something do their work whatever the
 * flag says, so that cleaning up works in an interrupted thread.
 */
public final class E2B implements AutoCloseable {
    private final NativeCalls calls;
    private final AtomicBoolean closed = new AtomicBoolean();

    private E2B(NativeCalls calls) {
        this.calls = calls;
    }

    /**
     * Opens a client with the default settings.
     *
     * @return the client
     * @throws E2BException as {@link #open(E2BConfig)}
     */
    public static E2B open() {
        return open(E2BConfig.defaults());
    }

    /**
     * Opens a client. Loads the native library at the first use in a JVM.
     *
     * @param config the settings; null: none set
     * @return the client
     * @throws E2BException INVALID_ARGUMENT naming a setting; ISOLATION_UNAVAILABLE when the host cannot isolate as asked;
     *     UNAUTHENTICATED for {@link Backend#CLOUD} without a key; UNSUPPORTED or PERMISSION_DENIED when the native library cannot
     *     be loaded here
     */
    public static E2B open(E2BConfig config) {
        return answered(() -> {
            String library = NativeLibraryLoader.ensureLoaded();
            NativeCalls.Opened opened = NativeCalls.open(configuration(config));
            Events.opened(opened.document(), library);
            return new E2B(opened.calls());
        });
    }

    /**
     * What this host can isolate, what not, and the command or setting that mends it, with the default settings.
     *
     * @return the report
     * @throws E2BException as {@link #check(E2BConfig)}
     */
    public static HostReport check() {
        return check(E2BConfig.defaults());
    }

    /**
     * What this host can isolate, what not, and the command or setting that mends it. Found by trying; needs no client and
     * leaves nothing behind.
     *
     * @param config the settings; null: none set
     * @return the report
     * @throws E2BException INVALID_ARGUMENT naming a setting; UNSUPPORTED for {@link Backend#CLOUD}, which has no host to check;
     *     UNSUPPORTED or PERMISSION_DENIED when the native library cannot be loaded here
     */
    public static HostReport check(E2BConfig config) {
        return answered(() -> new HostReport(NativeCalls.check(configuration(config))));
    }

    /**
     * Creates an isolated sandbox from {@code base} with the default limits.
     *
     * @param name its name, required; names need not be unique
     * @return the sandbox
     * @throws E2BException as {@link #createE2BSandbox(String, String, Integer, Integer, Integer)}
     */
    public SandboxCreated createE2BSandbox(String name) {
        return createE2BSandbox(name, null, null, null, null);
    }

    /**
     * Creates an isolated sandbox with the default limits.
     *
     * @param name its name, required; names need not be unique
     * @param template {@code base}, {@code python}, {@code node}, or name or id of an exported template; null: {@code base}
     * @return the sandbox
     * @throws E2BException as {@link #createE2BSandbox(String, String, Integer, Integer, Integer)}
     */
    public SandboxCreated createE2BSandbox(String name, String template) {
        return createE2BSandbox(name, template, null, null, null);
    }

    /**
     * Creates an isolated sandbox. The limits are enforced; all sandboxes together may have more than the host.
     *
     * @param name its name, required; names need not be unique
     * @param template {@code base} (shell and embedded JavaScript), {@code python}, {@code node}, or name or {@code tpl_} id of
     *     an exported template; null: {@code base}
     * @param timeout its life in seconds, 1 to 86,400, after which it is ended and remembered as {@code expired}; null: 3,600
     * @param memoryMb memory of its processes and files in MiB, at least 16 / 32 / 64 for base / python / node; null: 512
     * @param cpuCount processors' worth of time, 1 to the host's number; null: 1
     * @return the sandbox
     * @throws E2BException NOT_FOUND for an unknown template, naming the known ones; UNSUPPORTED when the template's interpreter
     *     is missing on this host; ISOLATION_UNAVAILABLE when the host cannot isolate as asked; CANCELLED
     */
    public SandboxCreated createE2BSandbox(
            String name, String template, Integer timeout, Integer memoryMb, Integer cpuCount) {
        return answered(() -> {
            SandboxCreated sandbox = new SandboxCreated(calls.createSandbox(
                    Marshaller.text("name", name),
                    Marshaller.optionalText("template", template),
                    Marshaller.integer(timeout),
                    Marshaller.integer(memoryMb),
                    Marshaller.integer(cpuCount)));
            Events.created(sandbox.json());
            return sandbox;
        });
    }

    /**
     * This client's running sandboxes.
     *
     * @return the sandboxes, oldest first
     * @throws E2BException as {@link #listE2BSandboxes(String)}
     */
    public SandboxList listE2BSandboxes() {
        return listE2BSandboxes(null);
    }

    /**
     * This client's sandboxes. Of ended ones the newest 1,000 are remembered for at most an hour.
     *
     * @param statusFilter {@code running}, {@code paused} (none on the local engine), {@code expired}, {@code terminated}, {@code failed} or
     *     {@code all}; null: {@code running}
     * @return the sandboxes that match, oldest first
     * @throws E2BException INVALID_ARGUMENT for any other filter
     */
    public SandboxList listE2BSandboxes(String statusFilter) {
        return answered(() ->
                new SandboxList(calls.listSandboxes(Marshaller.optionalText("status_filter", statusFilter))));
    }

    /**
     * State and live figures of a sandbox, at most 100 ms old.
     *
     * @param sandboxId the sandbox, required; a remembered one answers the state in which it ended
     * @return the status
     * @throws E2BException NOT_FOUND
     */
    public SandboxStatus getE2BSandboxStatus(String sandboxId) {
        return answered(() -> new SandboxStatus(calls.sandboxStatus(Marshaller.text("sandbox_id", sandboxId))));
    }

    /**
     * Runs a shell line with the default time-out and keeps its output.
     *
     * @param sandboxId the sandbox, required
     * @param command a line for {@code /bin/sh -c}, required
     * @return what came of it
     * @throws E2BException as {@link #executeE2BProcess(String, String, List, Integer, Boolean)}
     */
    public ProcessResult executeE2BProcess(String sandboxId, String command) {
        return executeE2BProcess(sandboxId, command, null, null, null);
    }

    /**
     * Runs a program or a shell line with the default time-out and keeps its output.
     *
     * @param sandboxId the sandbox, required
     * @param command a shell line or a program, required
     * @param args null: {@code command} is a shell line; else the program's arguments
     * @return what came of it
     * @throws E2BException as {@link #executeE2BProcess(String, String, List, Integer, Boolean)}
     */
    public ProcessResult executeE2BProcess(String sandboxId, String command, List<String> args) {
        return executeE2BProcess(sandboxId, command, args, null, null);
    }

    /**
     * Runs a program in a sandbox and waits for it, as user {@code user} in {@code /home/user}. A non-zero exit and a time-out
     * are results. What the program leaves in the background lives until the sandbox ends; a time-out or a cancel takes
     * everything of this execution.
     *
     * @param sandboxId the sandbox, required
     * @param command the program, or a line for {@code /bin/sh -c} when {@code args} is null; required
     * @param args the program's arguments without a shell, each at most 128 KiB; an empty list is "no arguments", null: {@code
     *     command} is a shell line
     * @param timeout seconds, 1 to 86,400; null: 60
     * @param captureOutput false keeps no output; null: true. Of each stream the first 8 MiB are kept
     * @return what came of it
     * @throws E2BException NOT_FOUND; CANCELLED; LIMIT_EXCEEDED for arguments that the operating system cannot take
     */
    public ProcessResult executeE2BProcess(
            String sandboxId, String command, List<String> args, Integer timeout, Boolean captureOutput) {
        return answered(() -> {
            ProcessResult result = new ProcessResult(calls.executeProcess(
                    Marshaller.text("sandbox_id", sandboxId),
                    Marshaller.text("command", command),
                    Marshaller.optionalTexts("args", args),
                    Marshaller.integer(timeout),
                    Marshaller.flag(captureOutput)));
            Events.executed(result.json());
            return result;
        });
    }

    /**
     * Runs a trading agent with its default parameters, without a GPU.
     *
     * @param sandboxId the sandbox, required
     * @param agentType the agent, required
     * @param symbols what to trade, required
     * @return what came of it
     * @throws E2BException as {@link #runE2BAgent(String, String, List, Object, Boolean)}
     */
    public AgentResult runE2BAgent(String sandboxId, String agentType, List<String> symbols) {
        return runE2BAgent(sandboxId, agentType, symbols, null, null);
    }

    /**
     * Runs a trading agent with its default parameters, on prices in the sandbox.
     *
     * @param sandboxId the sandbox, required
     * @param agentType the agent, required
     * @param symbols what to trade, required
     * @param useGpu true asks for a GPU
     * @return what came of it
     * @throws E2BException as {@link #runE2BAgent(String, String, List, Object, Boolean)}
     */
    public AgentResult runE2BAgent(String sandboxId, String agentType, List<String> symbols, boolean useGpu) {
        return runE2BAgent(sandboxId, agentType, symbols, null, useGpu);
    }

    /**
     * Runs a trading agent inside a sandbox and waits for it. A failure of the agent and a time-out are results.
     *
     * @param sandboxId the sandbox, required
     * @param agentType {@code momentum}, {@code mean_reversion}, {@code moving_average_crossover}, {@code pairs}, {@code kelly},
     *     {@code buy_and_hold}, or the name of a program {@code /opt/agents/<name>.js} or {@code .py} in the sandbox; required
     * @param symbols 1 to 1,000 symbols, required
     * @param strategyParams an object with the agent's own parameters; {@code prices} (by symbol an array of numbers or of
     *     {@code {date, close}}) unless the sandbox has {@code /data/<SYMBOL>.csv}; {@code timeout} in seconds, 300 when absent;
     *     null: none
     * @param useGpu true asks for a GPU; null: false
     * @return what came of it
     * @throws E2BException NOT_FOUND for sandbox or agent; INVALID_ARGUMENT when there are no prices; UNSUPPORTED when a GPU is
     *     asked for and the sandbox cannot reach one; CANCELLED
     */
    public AgentResult runE2BAgent(
            String sandboxId, String agentType, List<String> symbols, Object strategyParams, Boolean useGpu) {
        return answered(() -> {
            AgentResult result = new AgentResult(calls.runAgent(
                    Marshaller.text("sandbox_id", sandboxId),
                    Marshaller.text("agent_type", agentType),
                    Marshaller.texts("symbols", symbols),
                    Marshaller.optionalObject("strategy_params", strategyParams),
                    Marshaller.flag(useGpu)));
            Events.executed(result.json());
            return result;
        });
    }

    /**
     * Probes the engine.
     *
     * @return the report, without single sandboxes
     * @throws E2BException as {@link #monitorE2BHealth(Boolean)}
     */
    public HealthReport monitorE2BHealth() {
        return monitorE2BHealth(null);
    }

    /**
     * Probes the engine and, on request, every sandbox: {@code healthy} when at least 90 % answer, {@code degraded} from 70 %,
     * else {@code unhealthy}.
     *
     * @param includeAllSandboxes true probes every live sandbox; null: false
     * @return the report
     * @throws E2BException only what every method throws
     */
    public HealthReport monitorE2BHealth(Boolean includeAllSandboxes) {
        return answered(() -> new HealthReport(calls.monitorHealth(Marshaller.flag(includeAllSandboxes))));
    }

    /**
     * Starts a deployment: several sandboxes of a template under one id, all or none.
     *
     * @param templateName name or id of a template, required
     * @param category 1 to 128 bytes of free text, required
     * @param configuration an object, required. Known keys: {@code instances} (1 to 1,000, default 1), {@code env},
     *     {@code start_command} (the deployment fails if it exits non-zero within 2 s), {@code timeout}, {@code memory_mb},
     *     {@code cpu_count}, {@code metadata}, {@code agent}. The whole object reaches each instance as the environment variable
     *     {@code E2B_CONFIGURATION}
     * @return the deployment
     * @throws E2BException NOT_FOUND for the template; whatever the start of an instance failed with; CANCELLED. Nothing is left
     *     running
     */
    public DeploymentCreated deployE2BTemplate(String templateName, String category, Object configuration) {
        return answered(() -> new DeploymentCreated(calls.deployTemplate(
                Marshaller.text("template_name", templateName),
                Marshaller.text("category", category),
                Marshaller.object("configuration", configuration))));
    }

    /**
     * Brings a deployment to a number of instances, without automatic scaling.
     *
     * @param deploymentId the deployment, required
     * @param instanceCount 0 to 1,000; 0 ends it
     * @return what came of it
     * @throws E2BException as {@link #scaleE2BDeployment(String, int, Boolean)}
     */
    public DeploymentScaled scaleE2BDeployment(String deploymentId, int instanceCount) {
        return scaleE2BDeployment(deploymentId, instanceCount, null);
    }

    /**
     * Brings a deployment to a number of instances. A shortfall is a result with status {@code partial} and its failures.
     *
     * @param deploymentId the deployment, required
     * @param instanceCount 0 to 1,000; 0 ends it
     * @param autoScale true: dead instances are replaced and the count follows the load between 1 and {@code instanceCount}, as
     *     long as this process lives; not with 0; null: false
     * @return what came of it
     * @throws E2BException NOT_FOUND; INVALID_ARGUMENT for {@code autoScale} with 0; CANCELLED
     */
    public DeploymentScaled scaleE2BDeployment(String deploymentId, int instanceCount, Boolean autoScale) {
        return answered(() -> new DeploymentScaled(calls.scaleDeployment(
                Marshaller.text("deployment_id", deploymentId), instanceCount, Marshaller.flag(autoScale))));
    }

    /**
     * Makes a template of what a sandbox changed, without its data.
     *
     * @param sandboxId the sandbox, required
     * @param templateName name of the template, required
     * @return the template
     * @throws E2BException as {@link #exportE2BTemplate(String, String, Boolean)}
     */
    public TemplateExported exportE2BTemplate(String sandboxId, String templateName) {
        return exportE2BTemplate(sandboxId, templateName, null);
    }

    /**
     * Makes a template of what a sandbox changed in {@code /opt}, {@code /usr/local}, {@code /srv} and {@code /var/tmp}.
     * Templates outlive the process, in {@link E2BConfig#dataDirectory()}.
     *
     * @param sandboxId the sandbox, required
     * @param templateName name of the template, required; an exported one of that name is replaced at once or not at all
     * @param includeData true takes {@code /home/user} and {@code /data} too; null: false. On the cloud a snapshot is of the whole
     *     sandbox, whatever is given, and the answer says so
     * @return the template
     * @throws E2BException NOT_FOUND; ALREADY_EXISTS for {@code base}, {@code python}, {@code node} and names that begin with
     *     {@code tpl_}; CANCELLED
     */
    public TemplateExported exportE2BTemplate(String sandboxId, String templateName, Boolean includeData) {
        return answered(() -> new TemplateExported(calls.exportTemplate(
                Marshaller.text("sandbox_id", sandboxId),
                Marshaller.text("template_name", templateName),
                Marshaller.flag(includeData))));
    }

    /**
     * Ends a sandbox, giving its processes up to 5 s to end by themselves.
     *
     * @param sandboxId the sandbox, required
     * @return how it ended
     * @throws E2BException as {@link #terminateE2BSandbox(String, Boolean)}
     */
    public SandboxTerminated terminateE2BSandbox(String sandboxId) {
        return terminateE2BSandbox(sandboxId, null);
    }

    /**
     * Ends a sandbox. Returns when every process of it is gone and its mounts, limits and files are removed. An interrupt does
     * not stop it.
     *
     * @param sandboxId the sandbox, required
     * @param force true kills at once; null: false, which sends SIGTERM to programs and kills what is left of them after at most
     *     5 s. Embedded JavaScript, which cannot catch a signal, ends at once either way
     * @return how it ended
     * @throws E2BException NOT_FOUND
     */
    public SandboxTerminated terminateE2BSandbox(String sandboxId, Boolean force) {
        return answered(() -> {
            SandboxTerminated result = new SandboxTerminated(
                    calls.terminateSandbox(Marshaller.text("sandbox_id", sandboxId), Marshaller.flag(force)));
            Events.terminated(result.json());
            return result;
        });
    }

    /**
     * Runs code without keeping its state, with the default time-out.
     *
     * @param sandboxId the sandbox, required
     * @param language the language, required
     * @param code the code, required
     * @return what came of it
     * @throws E2BException as {@link #runE2BCode(String, String, String, String, Integer)}
     */
    public CodeResult runE2BCode(String sandboxId, String language, String code) {
        return runE2BCode(sandboxId, language, code, null, null);
    }

    /**
     * Runs code with the default time-out.
     *
     * @param sandboxId the sandbox, required
     * @param language the language, required
     * @param code the code, required
     * @param context name of the context that keeps the state; null: none
     * @return what came of it
     * @throws E2BException as {@link #runE2BCode(String, String, String, String, Integer)}
     */
    public CodeResult runE2BCode(String sandboxId, String language, String code, String context) {
        return runE2BCode(sandboxId, language, code, context, null);
    }

    /**
     * Runs code in a warm interpreter. An exception in the code and a time-out are results.
     *
     * @param sandboxId the sandbox, required. It is the boundary: contexts of one sandbox are not isolated from each other
     * @param language {@code javascript} ({@code js}), {@code python} ({@code py}) or {@code shell} ({@code sh}, {@code bash});
     *     required
     * @param code the code, required, at most 16 MiB; the value of its last expression is the result
     * @param context name of the context whose variables the code sees and leaves; null: a run of its own
     * @param timeout seconds, 1 to 86,400; null: 60
     * @return what came of it
     * @throws E2BException NOT_FOUND; UNSUPPORTED for a language that the template lacks, naming the templates that have it;
     *     CANCELLED
     */
    public CodeResult runE2BCode(String sandboxId, String language, String code, String context, Integer timeout) {
        return answered(() -> {
            CodeResult result = new CodeResult(calls.runCode(
                    Marshaller.text("sandbox_id", sandboxId),
                    Marshaller.text("language", language),
                    Marshaller.text("code", code),
                    Marshaller.optionalText("context", context),
                    Marshaller.integer(timeout)));
            Events.executed(result.json());
            return result;
        });
    }

    /**
     * Writes a file in a sandbox, making missing parent directories. A file that is there is replaced.
     *
     * @param sandboxId the sandbox, required
     * @param path absolute, or relative to {@code /home/user}; required
     * @param content the bytes, required, at most 256 MiB; read until the call returns, not kept
     * @return what was written
     * @throws E2BException NOT_FOUND; PERMISSION_DENIED outside of the writable places; LIMIT_EXCEEDED when the sandbox's disk
     *     is full; CANCELLED
     */
    public FileWritten writeE2BFile(String sandboxId, String path, byte[] content) {
        return answered(() -> new FileWritten(calls.writeFile(
                Marshaller.text("sandbox_id", sandboxId),
                Marshaller.text("path", path),
                Marshaller.content("content", content))));
    }

    /**
     * Reads a regular file of a sandbox.
     *
     * @param sandboxId the sandbox, required
     * @param path absolute, or relative to {@code /home/user}; required
     * @return the file
     * @throws E2BException NOT_FOUND for sandbox or file; INVALID_ARGUMENT for what is no regular file; PERMISSION_DENIED;
     *     LIMIT_EXCEEDED over 256 MiB; CANCELLED
     */
    public FileContent readE2BFile(String sandboxId, String path) {
        return answered(() -> new FileContent(
                calls.readFile(Marshaller.text("sandbox_id", sandboxId), Marshaller.text("path", path))));
    }

    /**
     * Lets a sandbox live for a time from now.
     *
     * @param sandboxId the sandbox, required
     * @param timeout seconds from now, 1 to 86,400
     * @return the new deadline
     * @throws E2BException NOT_FOUND
     */
    public TimeoutSet setE2BTimeout(String sandboxId, int timeout) {
        return answered(() -> new TimeoutSet(calls.setTimeout(Marshaller.text("sandbox_id", sandboxId), timeout)));
    }

    /**
     * Built-in and exported templates.
     *
     * @return the templates, built-in ones first, then by name
     * @throws E2BException only what every method throws
     */
    public TemplateList listE2BTemplates() {
        return answered(() -> new TemplateList(calls.listTemplates()));
    }

    /**
     * Deletes an exported template. Sandboxes made from it live on.
     *
     * @param templateName its name or {@code tpl_} id, required
     * @return what was deleted
     * @throws E2BException NOT_FOUND; INVALID_ARGUMENT or PERMISSION_DENIED for a built-in one
     */
    public TemplateDeleted deleteE2BTemplate(String templateName) {
        return answered(() ->
                new TemplateDeleted(calls.deleteTemplate(Marshaller.text("template_name", templateName))));
    }

    /**
     * Writes an exported template to an archive on the host.
     *
     * @param templateName its name or {@code tpl_} id, required
     * @param file the archive, required; relative to the JVM's working directory; replaced when it is there
     * @return the archive
     * @throws E2BException NOT_FOUND; PERMISSION_DENIED; UNSUPPORTED on the cloud; CANCELLED when the thread was interrupted before
     */
    public TemplateFile exportE2BTemplateFile(String templateName, Path file) {
        return answered(() -> new TemplateFile(calls.exportTemplateFile(
                Marshaller.text("template_name", templateName), Marshaller.text("file", hostPath("file", file)))));
    }

    /**
     * Reads a template from an archive, under the name that the archive has.
     *
     * @param file the archive, required
     * @return the template
     * @throws E2BException as {@link #importE2BTemplateFile(Path, String)}
     */
    public TemplateExported importE2BTemplateFile(Path file) {
        return importE2BTemplateFile(file, null);
    }

    /**
     * Reads a template from an archive on the host, which need not be trusted: what could harm is refused.
     *
     * @param file the archive, required; relative to the JVM's working directory
     * @param templateName name of the template; null: the one in the archive. An exported one of that name is replaced
     * @return the template
     * @throws E2BException NOT_FOUND for the file; INVALID_ARGUMENT for what is no archive or could harm; UNSUPPORTED on the cloud; LIMIT_EXCEEDED;
     *     ALREADY_EXISTS for a reserved name; CANCELLED when the thread was interrupted before
     */
    public TemplateExported importE2BTemplateFile(Path file, String templateName) {
        return answered(() -> new TemplateExported(calls.importTemplateFile(
                Marshaller.text("file", hostPath("file", file)),
                Marshaller.optionalText("template_name", templateName))));
    }

    /**
     * Ends everything of this client: sandboxes, deployments, the engine's processes; on the cloud the sandboxes that it created, in
     * ten seconds at most. Deployments there live on. Calls in flight end with CLOSED or with their result, later ones with CLOSED.
     * Closing again does nothing.
     *
     * @throws E2BException INTERNAL, a defect
     */
    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            answered(() -> {
                calls.close();
                Events.closed();
                return null;
            });
        }
    }

    /** A path of the host as text; null for null. */
    static String hostPath(String parameter, Path path) {
        if (path == null) {
            return null;
        }
        if (path.getFileSystem() != FileSystems.getDefault()) {
            throw new E2BException(
                    E2BErrorCode.INVALID_ARGUMENT,
                    parameter + ": must be a path of the default file system, got " + path.toUri().getScheme(),
                    parameter,
                    null,
                    null);
        }
        return path.toAbsolutePath().toString();
    }

    private static byte[] configuration(E2BConfig config) {
        return Marshaller.settings("config", (config == null ? E2BConfig.defaults() : config).json());
    }

    private static <T> T answered(Supplier<T> call) {
        try {
            return call.get();
        } catch (E2BException failure) {
            throw Events.failed(failure);
        }
    }
}
