package io.e2bridge.internal;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.internal.NativeFunction.Interrupt;
import io.e2bridge.internal.abi.E2BridgeNative;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/**
 * The calls of one client: on which thread each is made, how it is cancelled, and what its answer means. Text arguments come
 * from {@link Marshaller}; null is absent.
 *
 * <p>A platform thread makes its calls itself. A virtual thread's calls are made by {@link CallPool}, the virtual thread waits.
 * Either way an interrupt cancels what can be cancelled. Threads: any number at once.
 */
public final class NativeCalls {
    /** Numbers of calls that can be cancelled, unique in this JVM; 0 means "cannot be cancelled". */
    private static final AtomicLong NUMBERS = new AtomicLong();

    private final long client;

    private NativeCalls(long client) {
        this.client = client;
    }

    /** One downcall; it takes client, call number, arguments and out-buffer from the frame and returns the status. */
    @FunctionalInterface
    private interface Downcall {
        int invoke(Frame frame);
    }

    /** What a call answered. */
    private record Answer(int status, byte[] document, long newClient) {}

    /**
     * An open client.
     *
     * @param calls its calls
     * @param document what opening it answered
     */
    public record Opened(NativeCalls calls, ObjectNode document) {}

    /**
     * Opens a client, loading the library first.
     *
     * @param config a JSON object
     * @return the client
     */
    public static Opened open(byte[] config) {
        NativeLibraryLoader.ensureLoaded();
        Answer answer = make(NativeFunction.OPEN, 0, frame ->
                E2BridgeNative.e2b_open(frame.in(config), Frame.length(config), frame.newClient(), frame.out()));
        return new Opened(new NativeCalls(answer.newClient()), read(NativeFunction.OPEN, answer));
    }

    /**
     * What this host can isolate.
     *
     * @param config a JSON object
     * @return the document
     */
    public static ObjectNode check(byte[] config) {
        NativeLibraryLoader.ensureLoaded();
        return call(NativeFunction.CHECK, 0, frame ->
                E2BridgeNative.e2b_check(frame.in(config), Frame.length(config), frame.out()));
    }

    /** {@return version of the library, of its interface, and the digest of its helper} */
    public static ObjectNode version() {
        NativeLibraryLoader.ensureLoaded();
        return call(NativeFunction.VERSION, 0, frame -> E2BridgeNative.e2b_version(frame.out()));
    }

    /** {@return what is alive in this process: clients, calls, buffers, sandboxes} */
    public static ObjectNode liveCounts() {
        NativeLibraryLoader.ensureLoaded();
        return call(NativeFunction.LIVE_COUNTS, 0, frame -> E2BridgeNative.e2b_live_counts(frame.out()));
    }

    /** Ends the client and everything of it. Calls in flight end CLOSED or with their result. */
    public void close() {
        call(NativeFunction.CLOSE, frame -> E2BridgeNative.e2b_close(frame.client(), frame.out()));
    }

    /**
     * {@code create_e2b_sandbox}.
     *
     * @param name text
     * @param templateName text
     * @param timeout number, or ABSENT
     * @param memoryMb number, or ABSENT
     * @param cpuCount number, or ABSENT
     * @return the document
     */
    public ObjectNode createSandbox(byte[] name, byte[] templateName, long timeout, long memoryMb, long cpuCount) {
        return call(NativeFunction.CREATE_SANDBOX, frame -> E2BridgeNative.create_e2b_sandbox(
                frame.client(),
                frame.call(),
                frame.in(name),
                Frame.length(name),
                frame.in(templateName),
                Frame.length(templateName),
                timeout,
                memoryMb,
                cpuCount,
                frame.out()));
    }

    /**
     * {@code list_e2b_sandboxes}.
     *
     * @param statusFilter text
     * @return the document
     */
    public ObjectNode listSandboxes(byte[] statusFilter) {
        return call(NativeFunction.LIST_SANDBOXES, frame -> E2BridgeNative.list_e2b_sandboxes(
                frame.client(),
                frame.call(),
                frame.in(statusFilter),
                Frame.length(statusFilter),
                frame.out()));
    }

    /**
     * {@code get_e2b_sandbox_status}.
     *
     * @param sandboxId text
     * @return the document
     */
    public ObjectNode sandboxStatus(byte[] sandboxId) {
        return call(NativeFunction.SANDBOX_STATUS, frame -> E2BridgeNative.get_e2b_sandbox_status(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.out()));
    }

    /**
     * {@code execute_e2b_process}.
     *
     * @param sandboxId text
     * @param command text
     * @param args list
     * @param timeout number, or ABSENT
     * @param captureOutput flag
     * @return the document
     */
    public ObjectNode executeProcess(byte[] sandboxId, byte[] command, byte[] args, long timeout, byte[] captureOutput) {
        return call(NativeFunction.EXECUTE_PROCESS, frame -> E2BridgeNative.execute_e2b_process(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.in(command),
                Frame.length(command),
                frame.in(args),
                Frame.length(args),
                timeout,
                frame.in(captureOutput),
                Frame.length(captureOutput),
                frame.out()));
    }

    /**
     * {@code run_e2b_agent}.
     *
     * @param sandboxId text
     * @param agentType text
     * @param symbols list
     * @param strategyParams object
     * @param useGpu flag
     * @return the document
     */
    public ObjectNode runAgent(byte[] sandboxId, byte[] agentType, byte[] symbols, byte[] strategyParams, byte[] useGpu) {
        return call(NativeFunction.RUN_AGENT, frame -> E2BridgeNative.run_e2b_agent(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.in(agentType),
                Frame.length(agentType),
                frame.in(symbols),
                Frame.length(symbols),
                frame.in(strategyParams),
                Frame.length(strategyParams),
                frame.in(useGpu),
                Frame.length(useGpu),
                frame.out()));
    }

    /**
     * {@code monitor_e2b_health}.
     *
     * @param includeAllSandboxes flag
     * @return the document
     */
    public ObjectNode monitorHealth(byte[] includeAllSandboxes) {
        return call(NativeFunction.MONITOR_HEALTH, frame -> E2BridgeNative.monitor_e2b_health(
                frame.client(),
                frame.call(),
                frame.in(includeAllSandboxes),
                Frame.length(includeAllSandboxes),
                frame.out()));
    }

    /**
     * {@code deploy_e2b_template}.
     *
     * @param templateName text
     * @param category text
     * @param configuration object
     * @return the document
     */
    public ObjectNode deployTemplate(byte[] templateName, byte[] category, byte[] configuration) {
        return call(NativeFunction.DEPLOY_TEMPLATE, frame -> E2BridgeNative.deploy_e2b_template(
                frame.client(),
                frame.call(),
                frame.in(templateName),
                Frame.length(templateName),
                frame.in(category),
                Frame.length(category),
                frame.in(configuration),
                Frame.length(configuration),
                frame.out()));
    }

    /**
     * {@code scale_e2b_deployment}.
     *
     * @param deploymentId text
     * @param instanceCount number, or ABSENT
     * @param autoScale flag
     * @return the document
     */
    public ObjectNode scaleDeployment(byte[] deploymentId, long instanceCount, byte[] autoScale) {
        return call(NativeFunction.SCALE_DEPLOYMENT, frame -> E2BridgeNative.scale_e2b_deployment(
                frame.client(),
                frame.call(),
                frame.in(deploymentId),
                Frame.length(deploymentId),
                instanceCount,
                frame.in(autoScale),
                Frame.length(autoScale),
                frame.out()));
    }

    /**
     * {@code export_e2b_template}.
     *
     * @param sandboxId text
     * @param templateName text
     * @param includeData flag
     * @return the document
     */
    public ObjectNode exportTemplate(byte[] sandboxId, byte[] templateName, byte[] includeData) {
        return call(NativeFunction.EXPORT_TEMPLATE, frame -> E2BridgeNative.export_e2b_template(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.in(templateName),
                Frame.length(templateName),
                frame.in(includeData),
                Frame.length(includeData),
                frame.out()));
    }

    /**
     * {@code terminate_e2b_sandbox}.
     *
     * @param sandboxId text
     * @param force flag
     * @return the document
     */
    public ObjectNode terminateSandbox(byte[] sandboxId, byte[] force) {
        return call(NativeFunction.TERMINATE_SANDBOX, frame -> E2BridgeNative.terminate_e2b_sandbox(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.in(force),
                Frame.length(force),
                frame.out()));
    }

    /**
     * {@code run_e2b_code}.
     *
     * @param sandboxId text
     * @param language text
     * @param code text
     * @param context text
     * @param timeout number, or ABSENT
     * @return the document
     */
    public ObjectNode runCode(byte[] sandboxId, byte[] language, byte[] code, byte[] context, long timeout) {
        return call(NativeFunction.RUN_CODE, frame -> E2BridgeNative.run_e2b_code(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.in(language),
                Frame.length(language),
                frame.in(code),
                Frame.length(code),
                frame.in(context),
                Frame.length(context),
                timeout,
                frame.out()));
    }

    /**
     * {@code write_e2b_file}.
     *
     * @param sandboxId text
     * @param path text
     * @param content bytes
     * @return the document
     */
    public ObjectNode writeFile(byte[] sandboxId, byte[] path, byte[] content) {
        return call(NativeFunction.WRITE_FILE, frame -> E2BridgeNative.write_e2b_file(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.in(path),
                Frame.length(path),
                frame.in(content),
                Frame.length(content),
                frame.out()));
    }

    /**
     * {@code read_e2b_file}.
     *
     * @param sandboxId text
     * @param path text
     * @return the document
     */
    public ObjectNode readFile(byte[] sandboxId, byte[] path) {
        return call(NativeFunction.READ_FILE, frame -> E2BridgeNative.read_e2b_file(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                frame.in(path),
                Frame.length(path),
                frame.out()));
    }

    /**
     * {@code set_e2b_timeout}.
     *
     * @param sandboxId text
     * @param timeout number, or ABSENT
     * @return the document
     */
    public ObjectNode setTimeout(byte[] sandboxId, long timeout) {
        return call(NativeFunction.SET_TIMEOUT, frame -> E2BridgeNative.set_e2b_timeout(
                frame.client(),
                frame.call(),
                frame.in(sandboxId),
                Frame.length(sandboxId),
                timeout,
                frame.out()));
    }

    /**
     * {@code list_e2b_templates}.
     *
     * @return the document
     */
    public ObjectNode listTemplates() {
        return call(NativeFunction.LIST_TEMPLATES, frame -> E2BridgeNative.list_e2b_templates(
                frame.client(),
                frame.call(),
                frame.out()));
    }

    /**
     * {@code delete_e2b_template}.
     *
     * @param templateName text
     * @return the document
     */
    public ObjectNode deleteTemplate(byte[] templateName) {
        return call(NativeFunction.DELETE_TEMPLATE, frame -> E2BridgeNative.delete_e2b_template(
                frame.client(),
                frame.call(),
                frame.in(templateName),
                Frame.length(templateName),
                frame.out()));
    }

    /**
     * {@code export_e2b_template_file}.
     *
     * @param templateName text
     * @param file text
     * @return the document
     */
    public ObjectNode exportTemplateFile(byte[] templateName, byte[] file) {
        return call(NativeFunction.EXPORT_TEMPLATE_FILE, frame -> E2BridgeNative.export_e2b_template_file(
                frame.client(),
                frame.call(),
                frame.in(templateName),
                Frame.length(templateName),
                frame.in(file),
                Frame.length(file),
                frame.out()));
    }

    /**
     * {@code import_e2b_template_file}.
     *
     * @param file text
     * @param templateName text
     * @return the document
     */
    public ObjectNode importTemplateFile(byte[] file, byte[] templateName) {
        return call(NativeFunction.IMPORT_TEMPLATE_FILE, frame -> E2BridgeNative.import_e2b_template_file(
                frame.client(),
                frame.call(),
                frame.in(file),
                Frame.length(file),
                frame.in(templateName),
                Frame.length(templateName),
                frame.out()));
    }

    /**
     * Asks the library to cancel a call, again and again while it is on its way to where it can be cancelled. Returns at once.
     *
     * @param client the client's handle
     * @param number the call's number
     * @param ended true once the call has ended
     */
    static void cancel(long client, long number, BooleanSupplier ended) {
        if (ended.getAsBoolean() || cancelOnce(client, number)) {
            return;
        }
        Runnable again = () -> {
            while (!ended.getAsBoolean() && !cancelOnce(client, number)) {
                // Nobody else knows the thread of the pool; an interrupt does not end this, nor is it lost.
                LockSupport.parkNanos(1_000_000);
            }
        };
        try {
            CallPool.start(again);
        } catch (E2BException noThread) {
            again.run();
        }
    }

    /** {@return true when there is nothing left to ask for} */
    private static boolean cancelOnce(long client, long number) {
        try (Frame frame = new Frame(client, number)) {
            int status = E2BridgeNative.e2b_cancel(client, number, frame.out());
            byte[] document = frame.takeAnswer();
            // A closed client ends its calls by itself.
            return status != E2BridgeNative.E2B_STATUS_OK()
                    || readTree(document).path("cancelled").asBoolean();
        } catch (E2BException unreadable) {
            // This may be somebody else's thread, which only called interrupt().
            return true;
        }
    }

    private ObjectNode call(NativeFunction function, Downcall downcall) {
        return call(function, client, downcall);
    }

    private static ObjectNode call(NativeFunction function, long client, Downcall downcall) {
        return read(function, make(function, client, downcall));
    }

    private static Answer make(NativeFunction function, long client, Downcall downcall) {
        Thread caller = Thread.currentThread();
        Interrupt interrupt = function.interrupt();
        if (interrupt != Interrupt.NOTHING && caller.isInterrupted()) {
            throw cancelledAtEntry();
        }
        // 0 spares the library its book of what can be cancelled.
        long number = interrupt == Interrupt.CANCELS ? NUMBERS.incrementAndGet() : 0;
        if (caller.isVirtual()) {
            return handOver(interrupt, client, number, downcall);
        }
        if (interrupt != Interrupt.CANCELS) {
            return downcall(client, number, downcall);
        }
        InterruptibleCall call = new InterruptibleCall(client, number);
        try {
            if (!call.enter()) {
                throw cancelledAtEntry();
            }
            return downcall(client, number, downcall);
        } finally {
            call.leave();
        }
    }

    private static Answer downcall(long client, long number, Downcall downcall) {
        try (Frame frame = new Frame(client, number)) {
            int status = downcall.invoke(frame);
            return new Answer(status, frame.takeAnswer(), frame.newClientHandle());
        }
    }

    private static Answer handOver(Interrupt interrupt, long client, long number, Downcall downcall) {
        Semaphore room = interrupt == Interrupt.NOTHING ? CallPool.OTHERS : CallPool.WAITING;
        if (interrupt == Interrupt.NOTHING) {
            room.acquireUninterruptibly();
        } else {
            try {
                room.acquire();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw cancelledAtEntry();
            }
        }
        boolean interrupted = false;
        try {
            FutureTask<Answer> task = CallPool.submit(() -> downcall(client, number, downcall));
            while (true) {
                try {
                    return task.get();
                } catch (InterruptedException e) {
                    interrupted = true;
                    if (interrupt == Interrupt.CANCELS) {
                        cancel(client, number, task::isDone);
                    }
                }
            }
        } catch (ExecutionException e) {
            throw rethrown(e.getCause());
        } finally {
            room.release();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static RuntimeException rethrown(Throwable cause) {
        if (cause instanceof E2BException e) {
            // The caller's trace says more than that of the pool's thread.
            e.fillInStackTrace();
            return e;
        }
        if (cause instanceof Error e) {
            throw e;
        }
        return new E2BException(E2BErrorCode.INTERNAL, "the call failed: " + cause, null, null, cause);
    }

    private static ObjectNode read(NativeFunction function, Answer answer) {
        if (answer.status() != E2BridgeNative.E2B_STATUS_OK()) {
            throw error(answer);
        }
        return function.reader().read(answer.document());
    }

    /** The exception that an error document stands for. */
    private static E2BException error(Answer answer) {
        return error(answer.status(), answer.document());
    }

    static E2BException error(int status, byte[] document) {
        if (document.length == 0) {
            return E2BException.ofNumber(status, "the call failed with status " + status, null, null);
        }
        JsonNode error = readTree(document);
        JsonNode argument = error.path("argument");
        return E2BException.ofNumber(
                status,
                error.path("message").asText("the call failed with status " + status),
                argument.isTextual() ? argument.textValue() : null,
                plain(error.path("context")));
    }

    private static Map<String, Object> plain(JsonNode context) {
        Map<String, Object> plain = new LinkedHashMap<>();
        if (context.isObject()) {
            for (Map.Entry<String, JsonNode> entry : context.properties()) {
                plain.put(entry.getKey(), Json.plain(entry.getValue()));
            }
        }
        return plain;
    }

    private static JsonNode readTree(byte[] document) {
        try {
            return Json.reader().readTree(document);
        } catch (IOException e) {
            throw new E2BException(E2BErrorCode.INTERNAL, "the library's answer is not JSON", null, null, e);
        }
    }

    private static E2BException cancelledAtEntry() {
        return new E2BException(
                E2BErrorCode.CANCELLED, "the calling thread was interrupted before the call began; nothing was done", null, null, null);
    }
}
