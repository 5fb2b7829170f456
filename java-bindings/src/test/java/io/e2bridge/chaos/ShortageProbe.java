package io.e2bridge.chaos;

import io.e2bridge.Census;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.ProcessResult;
import io.e2bridge.SandboxSummary;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * A client on a host that runs out of something: it works, then it does not and says why, then it works again. Prints what it saw;
 * ends with an exception when anything is otherwise.
 */
public final class ShortageProbe {
    private static final Set<E2BErrorCode> PROPER = EnumSet.of(E2BErrorCode.LIMIT_EXCEEDED, E2BErrorCode.UNAVAILABLE);
    private static final int MOST = 400;

    private final E2B client;
    private final Set<String> seen = new ConcurrentSkipListSet<>();
    private final Set<String> told = new ConcurrentSkipListSet<>();
    private final List<String> sandboxes = new ArrayList<>();

    private ShortageProbe(E2B client) {
        this.client = client;
    }

    /**
     * Runs one shortage.
     *
     * @param arguments which one, the data directory, and where it is set when that is a file
     */
    public static void main(String[] arguments) throws Exception {
        Path data = Path.of(arguments[1]);
        E2BConfig config = E2BConfig.builder().dataDirectory(data).poolBase(0).poolPython(0).poolNode(0).build();
        E2B.open(config).close();
        Residue residue = Residue.here(data);
        try (E2B client = E2B.open(config)) {
            ShortageProbe probe = new ShortageProbe(client);
            // Every class is loaded, every path was gone: Java itself needs descriptors for what it does the first time.
            probe.life();
            String first = client.createE2BSandbox("first", "base", 60, 64, 1).sandboxId();
            probe.use(first);
            expect(probe.seen.isEmpty(), "without a shortage: " + probe.seen);
            client.deleteE2BTemplate("shortage");
            probe.end();
            client.terminateE2BSandbox(first, true);
            probe.attempt("ended", () -> client.runE2BCode(first, "js", "1"));
            residue.look();
            switch (arguments[0]) {
                case "descriptors" -> probe.untilFull();
                case "supervisor-descriptors" -> {
                    limitSupervisor("--nofile=40:");
                    probe.untilFull();
                    limitSupervisor("--nofile=1024:");
                }
                case "supervisor-memory" -> probe.supervisorMemory();
                case "processes" -> probe.processes(Path.of(arguments[2]));
                case "memory" -> probe.memory(Path.of(arguments[2]));
                case "disk" -> probe.disk(data);
                case "sandbox-disk" -> probe.sandboxDisk();
                default -> throw new IllegalArgumentException(arguments[0]);
            }
            residue.look();
            for (SandboxSummary one : client.listE2BSandboxes().sandboxes()) {
                client.terminateE2BSandbox(one.sandboxId(), true);
            }
            expect(List.of().equals(residue.between(5_000)), "left: " + residue.between(0));
            for (int i = 0; i < 3; i++) {
                probe.life();
            }
            System.out.println("seen: " + probe.seen);
        }
        expect(List.of().equals(residue.after(5_000)), "left: " + residue.after(0));
        System.out.println("shortage over");
    }

    private static void expect(boolean condition, String message) {
        if (!condition) {
            throw new AssertionError(message);
        }
    }

    /** A whole life, which must work. */
    private void life() {
        String id = client.createE2BSandbox("life", "base", 60, 64, 1).sandboxId();
        expect("3".equals(client.runE2BCode(id, "js", "1 + 2", null, 20).result()), "code");
        expect(client.executeE2BProcess(id, "echo on", null, 20, true).stdout().equals("on\n"), "execute");
        client.writeE2BFile(id, "/data/x", new byte[1000]);
        expect(client.readE2BFile(id, "/data/x").content().length == 1000, "file");
        client.terminateE2BSandbox(id, true);
    }

    /** A call that may work or say properly why not; true when it worked. */
    private boolean attempt(String name, Runnable call) {
        try {
            call.run();
            return true;
        } catch (E2BException e) {
            boolean ended = e.code() == E2BErrorCode.NOT_FOUND;
            if (!ended) {
                seen.add(name + ": " + e.code());
                if (told.add(name + ": " + e.getMessage().replaceAll("[^a-z ].*", ""))) {
                    System.out.println(name + ": " + e);
                }
            }
            expect(PROPER.contains(e.code()) || ended, name + ": " + e + " " + e.context());
            return false;
        }
    }

    private static void inVirtualThread(Runnable call) throws Exception {
        FutureTask<Object> task = new FutureTask<>(call, null);
        Thread.ofVirtual().start(task);
        try {
            task.get();
        } catch (java.util.concurrent.ExecutionException e) {
            if (e.getCause() instanceof E2BException cause) {
                throw cause;
            }
            throw e;
        }
    }

    /** Creates until it fails, uses what there is, ends it all. */
    private void untilFull() {
        boolean room = true;
        while (room && sandboxes.size() < MOST) {
            room = attempt("create", () -> sandboxes.add(client.createE2BSandbox("many", "base", 300, 32, 1).sandboxId()));
        }
        expect(!room, "no shortage after " + sandboxes.size() + " sandboxes");
        System.out.println("full with " + sandboxes.size() + " sandboxes");
        use(sandboxes.isEmpty() ? "sb_none" : sandboxes.getFirst());
        end();
    }

    private void use(String id) {
        attempt("execute", () -> client.executeE2BProcess(id, "true", null, 10, true));
        attempt("code", () -> client.runE2BCode(id, "js", "1", null, 10));
        attempt("write", () -> client.writeE2BFile(id, "/data/x", new byte[10]));
        attempt("read", () -> client.readE2BFile(id, "/data/x"));
        attempt("export", () -> client.exportE2BTemplate(id, "shortage", true));
        attempt("status", () -> client.getE2BSandboxStatus(id));
        attempt("list", () -> client.listE2BSandboxes("all"));
        attempt("health", () -> client.monitorE2BHealth(true));
        attempt("deploy", () -> {
            String deployment = client.deployE2BTemplate("base", "many", Map.of("instances", 2, "memory_mb", 64)).deploymentId();
            client.scaleE2BDeployment(deployment, 0);
        });
        attempt("virtual", () -> {
            try {
                inVirtualThread(() -> client.executeE2BProcess(id, "true", null, 10, true));
            } catch (E2BException e) {
                throw e;
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
    }

    /** To end something must be possible without what is short. */
    private void end() {
        for (String id : sandboxes) {
            try {
                client.terminateE2BSandbox(id, true);
            } catch (E2BException e) {
                expect(e.code() == E2BErrorCode.NOT_FOUND, "terminate: " + e);
            }
        }
        sandboxes.clear();
    }

    private static long supervisor() {
        return Census.descendants(ProcessHandle.current().pid()).keySet().stream()
                .filter(pid -> Census.parent(pid) == ProcessHandle.current().pid() && Census.program(pid).contains("e2bridge-supervisor"))
                .findFirst()
                .orElse(0L);
    }

    /** Sets the soft limit alone, so that it can be raised again. */
    private static void limitSupervisor(String limit) throws Exception {
        long pid = supervisor();
        if (pid != 0) {
            expect(new ProcessBuilder("prlimit", "--pid", Long.toString(pid), limit).inheritIO().start().waitFor() == 0, "prlimit");
        }
    }

    private void supervisorMemory() throws Exception {
        for (int i = 0; i < 5; i++) {
            String size = Files.readAllLines(Path.of("/proc", Long.toString(supervisor()), "status")).stream()
                    .filter(line -> line.startsWith("VmSize:"))
                    .map(line -> line.replaceAll("\\D", ""))
                    .findFirst()
                    .orElseThrow();
            limitSupervisor("--as=" + Long.parseLong(size) * 1024 + ":");
            for (int j = 0; j < 30; j++) {
                attempt("create", () -> sandboxes.add(client.createE2BSandbox("many", "base", 300, 32, 1).sandboxId()));
            }
            try {
                attempt("create python", () -> sandboxes.add(client.createE2BSandbox("many", "python", 300, 64, 1).sandboxId()));
            } catch (AssertionError unsupported) {
                // The interpreter was tried and crashed, for want of address space.
                expect(unsupported.getMessage().contains("UNSUPPORTED"), unsupported.getMessage());
            }
            limitSupervisor("--as=unlimited:");
            end();
            sandboxes.add(client.createE2BSandbox("many", "python", 300, 64, 1).sandboxId());
            end();
        }
    }

    /** As many processes as there are, and a few. */
    private void processes(Path group) throws Exception {
        String id = client.createE2BSandbox("before", "base", 300, 32, 1).sandboxId();
        for (int more : new int[] {0, 1, 2, 3, 5, 12}) {
            // Each will need a thread of the process for its call. What Java needs to run them is there when the shortage begins.
            AtomicBoolean go = new AtomicBoolean();
            List<FutureTask<Object>> tasks = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                FutureTask<Object> task = new FutureTask<>(() -> {
                    while (!go.get()) {
                        LockSupport.parkNanos(1_000_000);
                    }
                    attempt("many virtual", () -> client.executeE2BProcess(id, "sleep 0.2", null, 10, true));
                }, null);
                tasks.add(task);
                Thread.ofVirtual().start(task);
            }
            Thread.sleep(20);
            int now = Integer.parseInt(Files.readString(group.resolve("pids.current")).strip());
            Files.writeString(group.resolve("pids.max"), Integer.toString(now + more));
            go.set(true);
            for (FutureTask<Object> task : tasks) {
                task.get();
            }
            use(id);
            boolean room = true;
            while (room && sandboxes.size() < MOST) {
                room = attempt("create", () -> sandboxes.add(client.createE2BSandbox("many", "base", 300, 32, 1).sandboxId()));
            }
            expect(!room, "no shortage");
            end();
            Files.writeString(group.resolve("pids.max"), "max");
            life();
        }
    }

    private void memory(Path group) throws Exception {
        String id = client.createE2BSandbox("hungry", "base", 300, 512, 1).sandboxId();
        long now = Long.parseLong(Files.readString(group.resolve("memory.usage_in_bytes")).strip());
        Files.writeString(group.resolve("memory.limit_in_bytes"), Long.toString(now + (64L << 20)));
        for (int i = 0; i < 5; i++) {
            ProcessResult result = client.executeE2BProcess(id, "head -c 300000000 /dev/zero | tail -c 300000000 | wc -c", null, 60, true);
            seen.add("execute: " + (result.outOfMemory() ? "out of memory" : "exit " + result.exitCode()));
        }
        // Sandboxes cost little each; all together they meet the bound, and something of them is killed.
        for (int i = 0; i < 100; i++) {
            attempt("create", () -> sandboxes.add(client.createE2BSandbox("many", "base", 300, 32, 1).sandboxId()));
        }
        end();
        Files.writeString(group.resolve("memory.limit_in_bytes"), "-1");
        attempt("execute", () -> client.executeE2BProcess(id, "true", null, 20, true));
    }

    private void disk(Path data) throws Exception {
        String id = client.createE2BSandbox("exporter", "base", 300, 256, 1).sandboxId();
        client.executeE2BProcess(id, "head -c 100000 /dev/urandom >/opt/small");
        String kept = client.exportE2BTemplate(id, "kept").templateId();
        client.executeE2BProcess(id, "head -c 20000000 /dev/urandom >/opt/large");
        for (String name : List.of("kept", "other")) {
            expect(!attempt("export", () -> client.exportE2BTemplate(id, name)), "there was room");
        }
        expect(seen.contains("export: LIMIT_EXCEEDED"), seen.toString());
        // What was there is as it was.
        String second = client.createE2BSandbox("from-kept", kept, 60, 128, 1).sandboxId();
        expect(client.executeE2BProcess(second, "wc -c /opt/small /opt/large | head -n 1").stdout().startsWith("100000"), "kept");
        try (var files = Files.list(data.resolve("templates"))) {
            expect(files.filter(file -> file.toString().endsWith(".tar")).count() == 1, "templates");
        }
        client.executeE2BProcess(id, "rm /opt/large");
        client.exportE2BTemplate(id, "other");
        client.deleteE2BTemplate("other");
        client.deleteE2BTemplate("kept");
    }

    private void sandboxDisk() {
        String id = client.createE2BSandbox("full", "base", 300, 64, 1).sandboxId();
        ProcessResult filled = client.executeE2BProcess(id, "head -c 100000000 /dev/zero >/data/full", null, 60, true);
        expect(filled.exitCode() != 0 && filled.stderr().contains("No space left"), filled.json().toString());
        expect(!attempt("write", () -> client.writeE2BFile(id, "/home/user/x", new byte[1_000_000])), "there was room");
        expect(seen.contains("write: LIMIT_EXCEEDED"), seen.toString());
        expect("2".equals(client.runE2BCode(id, "js", "1 + 1", null, 20).result()), "code");
        expect(client.executeE2BProcess(id, "rm /data/full; echo gone", null, 20, true).stdout().equals("gone\n"), "rm");
        client.writeE2BFile(id, "/home/user/x", new byte[1_000_000]);
    }
}
