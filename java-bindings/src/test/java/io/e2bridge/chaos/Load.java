package io.e2bridge.chaos;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.CodeResult;
import io.e2bridge.DeploymentScaled;
import io.e2bridge.E2B;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.ProcessResult;
import io.e2bridge.SandboxSummary;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A mixed load on one client from several threads: sandboxes come, work and go, all of them everybody's. Records for each operation
 * how often, how long and which errors, and keeps what must never be: a call beyond its time, an error without a proper code, a wrong
 * answer.
 */
final class Load {
    /** What is done, and how many seconds it may take: its own time-out, and the longest patience with a stopped engine. */
    enum Operation {
        CREATE(55), EXECUTE(20), JAVASCRIPT(20), PYTHON(50), NODE(50), SHELL(20), CONTEXT(20), WRITE(35), READ(35), STATUS(10), LIST(10),
        HEALTH(15), EXPORT(40), DEPLOY(110), SCALE(110), TERMINATE(25), CANCELLED(10);

        final long seconds;

        Operation(long seconds) {
            this.seconds = seconds;
        }
    }

    /** Times of one operation, and how it failed. */
    static final class Figures {
        private long[] times = new long[1024];
        private int count;
        private final Map<String, Long> errors = new TreeMap<>();

        private synchronized void ended(long nanoseconds, String error) {
            if (count == times.length) {
                times = Arrays.copyOf(times, count * 2);
            }
            times[count++] = nanoseconds;
            if (error != null) {
                errors.merge(error, 1L, Long::sum);
            }
        }

        synchronized int count() {
            return count;
        }

        synchronized Map<String, Long> errors() {
            return new TreeMap<>(errors);
        }

        /** {@return milliseconds that this part of the calls did not exceed} */
        synchronized double percentile(double part) {
            if (count == 0) {
                return 0;
            }
            long[] sorted = Arrays.copyOf(times, count);
            Arrays.sort(sorted);
            return sorted[Math.min(count - 1, (int) (part * count))] / 1e6;
        }
    }

    private interface Call {
        void run() throws InterruptedException;
    }

    private record InFlight(Operation operation, long began) {}

    private static final int MOST_SANDBOXES = 10;
    private static final int MOST_DEPLOYMENTS = 2;
    private static final int NAMES = 3;
    private static final int MOST_DEFECTS = 50;

    private final E2B client;
    private final long seed;
    private final List<String> templates;
    private final List<Thread> threads = new ArrayList<>();
    private final List<AtomicInFlight> inFlight = new ArrayList<>();
    private final Map<Operation, Figures> figures = new EnumMap<>(Operation.class);
    private final ConcurrentLinkedQueue<String> defects = new ConcurrentLinkedQueue<>();
    private final ConcurrentLinkedQueue<String> sandboxes = new ConcurrentLinkedQueue<>();
    private final ConcurrentLinkedQueue<String> deployments = new ConcurrentLinkedQueue<>();
    private final AtomicLong turns = new AtomicLong();
    private final AtomicBoolean stopping = new AtomicBoolean();
    private final Semaphore running;
    private final int count;
    private volatile boolean closing;

    private static final class AtomicInFlight extends java.util.concurrent.atomic.AtomicReference<InFlight> {
        private static final long serialVersionUID = 1;
    }

    /**
     * A load that does nothing yet.
     *
     * @param client on which
     * @param seed decides what each thread does
     * @param threads how many
     * @param templates built-in templates that the host has
     */
    Load(E2B client, long seed, int threads, List<String> templates) {
        this.client = client;
        this.seed = seed;
        this.templates = templates;
        count = threads;
        running = new Semaphore(threads, true);
        for (Operation operation : Operation.values()) {
            figures.put(operation, new Figures());
        }
    }

    /** Begins. */
    Load start() {
        for (int i = 0; i < count; i++) {
            AtomicInFlight slot = new AtomicInFlight();
            inFlight.add(slot);
            Random random = new Random(seed + i);
            Thread.Builder builder = i % 3 == 2 ? Thread.ofVirtual() : Thread.ofPlatform().daemon();
            threads.add(builder.name("load-" + i).unstarted(() -> work(random, slot)));
        }
        threads.forEach(Thread::start);
        return this;
    }

    /** Waits until every call has ended, and lets none begin; false when one does not end in its time. */
    boolean pause() throws InterruptedException {
        return running.tryAcquire(count, 130, TimeUnit.SECONDS);
    }

    /** Goes on. */
    void resume() {
        running.release(count);
    }

    /** Ends the threads; false when one does not end. What they made stays. */
    boolean stop() throws InterruptedException {
        stopping.set(true);
        for (Thread thread : threads) {
            if (!thread.join(java.time.Duration.ofSeconds(130))) {
                return false;
            }
        }
        return true;
    }

    /** From now on the client may be closed. */
    void closing() {
        closing = true;
    }

    /** {@return calls that take longer than they may} */
    List<String> late() {
        List<String> late = new ArrayList<>();
        for (AtomicInFlight slot : inFlight) {
            InFlight call = slot.get();
            if (call != null && System.nanoTime() - call.began > call.operation.seconds * 1_000_000_000L) {
                late.add(call.operation + " for " + TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - call.began) + " s");
            }
        }
        return late;
    }

    /** {@return what must never be} */
    List<String> defects() {
        return List.copyOf(defects);
    }

    Map<Operation, Figures> figures() {
        return figures;
    }

    long calls() {
        return figures.values().stream().mapToLong(Figures::count).sum();
    }

    /** Ends everything that the load made; to be called while it is paused or stopped. */
    void clear() {
        Random random = new Random(0);
        AtomicInFlight slot = new AtomicInFlight();
        for (String deployment; (deployment = deployments.poll()) != null;) {
            String id = deployment;
            call(slot, Operation.SCALE, random, () -> client.scaleE2BDeployment(id, 0));
        }
        sandboxes.clear();
        List<String> live = new ArrayList<>();
        call(slot, Operation.LIST, random, () -> client.listE2BSandboxes().sandboxes().stream().map(SandboxSummary::sandboxId).forEach(live::add));
        live.forEach(id -> call(slot, Operation.TERMINATE, random, () -> client.terminateE2BSandbox(id, true)));
    }

    /** {@return the record as JSON: calls, errors by code, and the defects since the last one} */
    ObjectNode report() {
        ObjectNode report = new ObjectMapper().createObjectNode();
        report.put("calls", calls());
        ObjectNode errors = report.putObject("errors");
        figures.values().forEach(one -> one.errors().forEach((code, number) -> errors.put(code, errors.path(code).asLong() + number)));
        ArrayNode list = report.putArray("defects");
        for (String defect; (defect = defects.poll()) != null;) {
            list.add(defect);
        }
        return report;
    }

    private void work(Random random, AtomicInFlight slot) {
        while (!stopping.get()) {
            try {
                running.acquire();
            } catch (InterruptedException e) {
                continue;
            }
            try {
                one(random, slot);
            } finally {
                running.release();
            }
        }
    }

    private void one(Random random, AtomicInFlight slot) {
        String sandbox = any(sandboxes, random);
        int choice = random.nextInt(100);
        long number = turns.incrementAndGet();
        if (sandbox == null || choice < 12 && sandboxes.size() < MOST_SANDBOXES) {
            create(random, slot);
        } else if (choice < 34) {
            call(slot, Operation.EXECUTE, random, () -> execute(sandbox, number, random));
        } else if (choice < 44) {
            call(slot, Operation.JAVASCRIPT, random, () -> code(sandbox, "javascript", number + " * 2", Long.toString(number * 2)));
        } else if (choice < 49) {
            call(slot, Operation.SHELL, random, () -> code(sandbox, "shell", "echo " + number, null));
        } else if (choice < 54) {
            call(slot, Operation.CONTEXT, random, () -> client.runE2BCode(sandbox, "javascript", "globalThis.n = (globalThis.n ?? 0) + 1", "c" + number % 2, 5));
        } else if (choice < 60 && templates.contains("python")) {
            interpreter(slot, random, "python", Operation.PYTHON, number);
        } else if (choice < 66 && templates.contains("node")) {
            interpreter(slot, random, "node", Operation.NODE, number);
        } else if (choice < 70) {
            byte[] content = ("content " + number).repeat(1 + random.nextInt(2_000)).getBytes(StandardCharsets.UTF_8);
            String path = "/home/user/file-" + number;
            boolean[] written = {false};
            call(slot, Operation.WRITE, random, () -> {
                client.writeE2BFile(sandbox, path, content);
                written[0] = true;
            });
            if (written[0]) {
                call(slot, Operation.READ, random, () -> {
                    if (!Arrays.equals(content, client.readE2BFile(sandbox, path).content())) {
                        defect("READ: the file is not what was written");
                    }
                });
            }
        } else if (choice < 76) {
            call(slot, Operation.STATUS, random, () -> client.getE2BSandboxStatus(sandbox));
        } else if (choice < 78) {
            call(slot, Operation.LIST, random, () -> client.listE2BSandboxes("all"));
        } else if (choice < 79) {
            call(slot, Operation.HEALTH, random, () -> client.monitorE2BHealth(true));
        } else if (choice < 83) {
            call(slot, Operation.EXPORT, random, () -> client.exportE2BTemplate(sandbox, "load-" + random.nextInt(NAMES), random.nextBoolean()));
        } else if (choice < 86) {
            deploy(random, slot);
        } else if (choice < 90) {
            cancelled(slot, random, sandbox);
        } else {
            sandboxes.remove(sandbox);
            call(slot, Operation.TERMINATE, random, () -> client.terminateE2BSandbox(sandbox, random.nextInt(4) > 0));
        }
    }

    private static String any(ConcurrentLinkedQueue<String> queue, Random random) {
        Object[] all = queue.toArray();
        return all.length == 0 ? null : (String) all[random.nextInt(all.length)];
    }

    private void create(Random random, AtomicInFlight slot) {
        String template = random.nextInt(5) == 0 ? "load-" + random.nextInt(NAMES) : templates.get(random.nextInt(10) < 7 ? 0 : random.nextInt(templates.size()));
        boolean usual = random.nextBoolean();
        call(slot, Operation.CREATE, random, () -> {
            try {
                sandboxes.add(client.createE2BSandbox("load", template, 120, usual ? null : 64 + random.nextInt(3) * 32, null).sandboxId());
            } catch (E2BException e) {
                // Nobody has exported it yet.
                if (!template.startsWith("load-") || e.code() != E2BErrorCode.NOT_FOUND) {
                    throw e;
                }
            }
        });
    }

    private void execute(String sandbox, long number, Random random) {
        String line = switch (random.nextInt(4)) {
            case 0 -> "(sleep 30 &) ; echo " + number;
            case 1 -> "sleep 0." + random.nextInt(10) + "; echo " + number;
            case 2 -> "head -c 100000 /dev/zero | tr '\\0' x | tail -c 1 >/dev/null; mkdir -p /opt/load; echo " + number + " >/opt/load/file; echo " + number;
            default -> "echo " + number;
        };
        ProcessResult result = client.executeE2BProcess(sandbox, line, null, 5, true);
        // Programs may be killed by whoever tests that.
        boolean undisturbed = result.exitCode() == 0 && !result.timedOut();
        if (undisturbed && !result.stdout().equals(number + "\n")) {
            defect("EXECUTE: " + line + " answered " + result.json());
        }
    }

    private void code(String sandbox, String language, String code, String expected) {
        CodeResult result = client.runE2BCode(sandbox, language, code, null, 5);
        if (result.error() == null && !result.timedOut() && expected != null && !expected.equals(result.result())) {
            defect("CODE: " + code + " answered " + result.json());
        }
    }

    private void interpreter(AtomicInFlight slot, Random random, String language, Operation operation, long number) {
        call(slot, operation, random, () -> {
            String own = client.createE2BSandbox("load", language, 60, null, null).sandboxId();
            try {
                code(own, language.equals("node") ? "javascript" : language, number + " + 1", Long.toString(number + 1));
            } finally {
                sandboxes.add(own);
            }
        });
    }

    private void deploy(Random random, AtomicInFlight slot) {
        String deployment = any(deployments, random);
        if (deployment == null || deployments.size() < MOST_DEPLOYMENTS && random.nextBoolean()) {
            call(slot, Operation.DEPLOY, random, () -> deployments.add(client.deployE2BTemplate(
                    "base", "load", Map.of("instances", 1 + random.nextInt(3), "memory_mb", 64, "timeout", 120)).deploymentId()));
            return;
        }
        int wanted = random.nextInt(4);
        if (wanted == 0) {
            deployments.remove(deployment);
        }
        call(slot, Operation.SCALE, random, () -> {
            DeploymentScaled scaled = client.scaleE2BDeployment(deployment, wanted);
            if (scaled.status().isEmpty()) {
                defect("SCALE: " + scaled.json());
            }
        });
    }

    private void cancelled(AtomicInFlight slot, Random random, String sandbox) {
        Thread self = Thread.currentThread();
        long after = random.nextInt(60);
        AtomicBoolean over = new AtomicBoolean();
        Thread interrupter = Thread.ofVirtual().start(() -> {
            try {
                Thread.sleep(after);
            } catch (InterruptedException e) {
                return;
            }
            if (!over.get()) {
                self.interrupt();
            }
        });
        call(slot, Operation.CANCELLED, random, () -> {
            switch (random.nextInt(3)) {
                case 0 -> client.executeE2BProcess(sandbox, "sleep 4", null, 4, true);
                case 1 -> client.runE2BCode(sandbox, "javascript", "for (;;) {}", null, 4);
                default -> sandboxes.add(client.createE2BSandbox("load", "base", 60, 48, 1).sandboxId());
            }
        });
        over.set(true);
        boolean joined = false;
        while (!joined) {
            try {
                interrupter.join();
                joined = true;
            } catch (InterruptedException late) {
                // The interrupt that came too late for the call.
            }
        }
        Thread.interrupted();
    }

    private void call(AtomicInFlight slot, Operation operation, Random random, Call call) {
        long began = System.nanoTime();
        slot.set(new InFlight(operation, began));
        String error = null;
        try {
            call.run();
        } catch (E2BException e) {
            error = e.code().name();
            judge(operation, e);
        } catch (Throwable e) {
            error = e.getClass().getSimpleName();
            defect(operation + ": " + e);
        }
        slot.set(null);
        long took = System.nanoTime() - began;
        if (took > operation.seconds * 1_000_000_000L) {
            defect(operation + " took " + TimeUnit.NANOSECONDS.toMillis(took) + " ms, error " + error);
        }
        figures.get(operation).ended(took, error);
        if (error != null && operation != Operation.CANCELLED) {
            // What failed because something is down fails faster than it works.
            java.util.concurrent.locks.LockSupport.parkNanos(1_000_000L * random.nextInt(10));
        }
    }

    private void judge(Operation operation, E2BException e) {
        boolean proper = switch (e.code()) {
            // What a sandbox that has ended answers, or one that is forgotten with its client's supervisor.
            case NOT_FOUND -> e.argument() != null;
            case UNAVAILABLE, LIMIT_EXCEEDED -> !e.getMessage().isBlank();
            // A sandbox of python, or of a template that one was exported as, has no JavaScript.
            case UNSUPPORTED -> "language".equals(e.argument());
            case CANCELLED -> operation == Operation.CANCELLED;
            // A transfer whose sandbox's init is stopped: after 30 s without a byte.
            case TIMEOUT -> operation == Operation.WRITE || operation == Operation.READ;
            case CLOSED -> closing;
            default -> false;
        };
        if (!proper) {
            defect(operation + ": " + e + " " + e.context());
        }
    }

    private void defect(String what) {
        if (defects.size() < MOST_DEFECTS) {
            defects.add(what);
        }
    }
}
