package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.NativeCalls;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Close, threads, interrupts, and the end of the process. Each test has a client of its own. */
@Timeout(1_800)
class LifetimeTest {
    private static E2BErrorCode code(Runnable call) {
        return assertThrows(E2BException.class, call::run).code();
    }

    // Close

    @Test
    void afterCloseEveryCallIsClosed() {
        Engine engine = Engine.open();
        E2B e2b = engine.client();
        String sandbox = engine.sandbox("base");
        engine.close();
        assertEquals(E2BErrorCode.CLOSED, code(() -> e2b.getE2BSandboxStatus(sandbox)));
        assertEquals(E2BErrorCode.CLOSED, code(() -> e2b.listE2BSandboxes()));
        assertEquals(E2BErrorCode.CLOSED, code(() -> e2b.createE2BSandbox("x")));
        assertEquals(E2BErrorCode.CLOSED, code(() -> e2b.runE2BCode(sandbox, "js", "1")));
        assertEquals(E2BErrorCode.CLOSED, code(() -> e2b.monitorE2BHealth(true)));
        e2b.close();
        e2b.close();
    }

    @Test
    void closeEndsEverythingOfTheClient() throws Exception {
        Map<Long, String> before = Census.descendants(ProcessHandle.current().pid());
        Map<Long, String> running;
        Set<String> engines;
        try (Engine engine = Engine.open()) {
            for (int i = 0; i < 5; i++) {
                engine.client().executeE2BProcess(engine.sandbox("base"), "setsid sleep 600 & (trap '' TERM; sleep 600) &");
            }
            running = Census.descendants(ProcessHandle.current().pid());
            before.keySet().forEach(running::remove);
            assertTrue(running.size() >= 11, running.size() + " processes");
            engines = Census.engines(running);
        }
        assertTrue(Census.within(2_000, () -> Census.alive(running).isEmpty()), "left: " + Census.alive(running));
        assertTrue(Census.within(2_000, () -> Census.controlGroups(engines).isEmpty()), () -> "left: " + Census.controlGroups(engines));
        assertEquals(Set.of(), Census.files(engines));
        JsonNode counts = NativeCalls.liveCounts();
        assertEquals(0, counts.get("clients").intValue(), counts.toString());
        assertEquals(0, counts.get("sandboxes").intValue(), counts.toString());
        assertEquals(0, counts.get("calls").intValue(), counts.toString());
    }

    @Test
    void closeDuringCallsEndsThemClosedOrWithTheirResult() throws Exception {
        Engine engine = Engine.open();
        E2B e2b = engine.client();
        List<String> sandboxes = List.of(engine.sandbox("base"), engine.sandbox("base"), engine.sandbox("base"));
        List<CompletableFuture<Object>> outcomes = new ArrayList<>();
        CountDownLatch begun = new CountDownLatch(30);
        for (int i = 0; i < 30; i++) {
            int number = i;
            CompletableFuture<Object> outcome = new CompletableFuture<>();
            outcomes.add(outcome);
            (i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual()).start(() -> {
                begun.countDown();
                try {
                    outcome.complete(switch (number % 5) {
                        case 0 -> e2b.executeE2BProcess(sandboxes.get(number % 3), "sleep 60");
                        case 1 -> e2b.runE2BCode(sandboxes.get(number % 3), "js", "for (;;) {}", null, 60);
                        case 2 -> e2b.createE2BSandbox(Engine.name(), "base", 60, 32, 1);
                        case 3 -> repeat(() -> e2b.getE2BSandboxStatus(sandboxes.get(0)));
                        default -> repeat(() -> e2b.runE2BCode(sandboxes.get(0), "js", "1"));
                    });
                } catch (E2BException e) {
                    outcome.complete(e.code());
                }
            });
        }
        begun.await();
        Thread.sleep(300);
        e2b.close();
        for (CompletableFuture<Object> outcome : outcomes) {
            Object found = outcome.get(10, TimeUnit.SECONDS);
            assertTrue(found == E2BErrorCode.CLOSED || found == E2BErrorCode.NOT_FOUND || found instanceof E2BDocument, found.toString());
        }
        engine.close();
    }

    private static Object repeat(Runnable call) {
        while (true) {
            call.run();
        }
    }

    @Test
    void twentyThreadsCloseAtOnce() throws Exception {
        Engine engine = Engine.open();
        engine.sandbox("base");
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            threads.add(Thread.ofPlatform().start(engine.client()::close));
        }
        for (Thread thread : threads) {
            assertTrue(thread.join(Duration.ofSeconds(10)));
        }
        engine.close();
    }

    @Test
    void clientsAreIndependent() {
        try (Engine one = Engine.open(); Engine other = Engine.open()) {
            String sandbox = one.sandbox("base");
            other.client().close();
            assertEquals("2", one.client().runE2BCode(sandbox, "js", "1 + 1").result());
        }
    }

    // Threads

    @Test
    void twoHundredThreadsAtOnce() throws Exception {
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            Set<String> ids = Collections.synchronizedSet(new HashSet<>());
            CountDownLatch go = new CountDownLatch(1);
            List<CompletableFuture<Void>> all = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                int number = i;
                CompletableFuture<Void> done = new CompletableFuture<>();
                all.add(done);
                (i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual()).start(() -> {
                    try {
                        go.await();
                        String sandbox = e2b.createE2BSandbox("many-" + number, "base", 120, 32, 1).sandboxId();
                        assertTrue(ids.add(sandbox));
                        assertEquals(Integer.toString(number * 3), e2b.runE2BCode(sandbox, "js", number + " * 3", null, 60).result());
                        assertEquals("running", e2b.getE2BSandboxStatus(sandbox).status());
                        assertEquals("terminated", e2b.terminateE2BSandbox(sandbox, true).status());
                        done.complete(null);
                    } catch (Throwable e) {
                        done.completeExceptionally(e);
                    }
                });
            }
            go.countDown();
            for (CompletableFuture<Void> one : all) {
                one.get(5, TimeUnit.MINUTES);
            }
            assertEquals(0, e2b.listE2BSandboxes().totalCount());
            assertEquals(200, e2b.listE2BSandboxes("terminated").totalCount());
        }
    }

    @Test
    void virtualThreadsDoNotBlockTheirCarriers() throws Exception {
        try (Engine engine = Engine.open(); ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            E2B e2b = engine.client();
            List<String> sandboxes = List.of(engine.sandbox("base"), engine.sandbox("base"), engine.sandbox("base"), engine.sandbox("base"));
            List<Future<String>> outputs = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                String sandbox = sandboxes.get(i % 4);
                outputs.add(threads.submit(() -> e2b.executeE2BProcess(sandbox, "date +%s%N; sleep 0.5; date +%s%N", null, 60, true).stdout()));
            }
            List<long[]> spans = new ArrayList<>();
            for (Future<String> output : outputs) {
                String[] lines = output.get().split("\n");
                spans.add(new long[] {Long.parseLong(lines[0]), Long.parseLong(lines[1])});
            }
            long most = spans.stream().mapToLong(one ->
                    spans.stream().filter(other -> other[0] <= one[0] && one[0] < other[1]).count()).max().orElseThrow();
            assertTrue(most > 2L * Runtime.getRuntime().availableProcessors(), most + " executions at once");
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void interruptCancelsTheExecutionAndKeepsTheFlag(boolean virtual) throws Exception {
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            String sandbox = engine.sandbox("base");
            for (Runnable call : List.<Runnable>of(
                    () -> e2b.executeE2BProcess(sandbox, "setsid sleep 555 & sleep 555", null, 600, true),
                    () -> e2b.runE2BCode(sandbox, "js", "for (;;) {}", null, 600),
                    () -> e2b.runE2BCode(sandbox, "sh", "sleep 555", null, 600))) {
                AtomicReference<E2BErrorCode> code = new AtomicReference<>();
                AtomicReference<Boolean> flag = new AtomicReference<>();
                Thread thread = (virtual ? Thread.ofVirtual() : Thread.ofPlatform()).start(() -> {
                    code.set(code(call));
                    flag.set(Thread.currentThread().isInterrupted());
                });
                Thread.sleep(300);
                long begun = System.nanoTime();
                thread.interrupt();
                assertTrue(thread.join(Duration.ofSeconds(10)), "the call did not end");
                long milliseconds = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);
                assertTrue(milliseconds < 1_000, milliseconds + " ms");
                assertEquals(E2BErrorCode.CANCELLED, code.get());
                assertTrue(flag.get());
            }
            assertEquals("", e2b.executeE2BProcess(
                    sandbox, "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep '[s]leep 555'; done").stdout());
            assertEquals("3", e2b.runE2BCode(sandbox, "js", "1 + 2").result());
        }
    }

    @Test
    void anInterruptedThreadCleansUp() throws Exception {
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            String sandbox = engine.sandbox("base");
            AtomicReference<Object> ended = new AtomicReference<>();
            Thread thread = Thread.ofPlatform().start(() -> {
                Thread.currentThread().interrupt();
                assertEquals(E2BErrorCode.CANCELLED, code(() -> e2b.createE2BSandbox("never")));
                assertEquals(1, e2b.listE2BSandboxes().totalCount());
                ended.set(e2b.terminateE2BSandbox(sandbox).status());
            });
            thread.join();
            assertEquals("terminated", ended.get());
        }
    }

    @Test
    void childrenOfTheJvmKeepTheirExitCodes() throws Exception {
        try (Engine engine = Engine.open()) {
            String sandbox = engine.sandbox("base");
            for (int i = 0; i < 20; i++) {
                Process process = new ProcessBuilder("sh", "-c", "sleep 0.0" + i % 5 + "; exit " + (i + 1)).start();
                engine.client().executeE2BProcess(sandbox, "exit 99");
                assertEquals(i + 1, process.waitFor());
            }
        }
    }

    // The end of the engine, and of the process

    @Test
    void aKilledEngineEndsCallsAndIsStartedAgain() throws Exception {
        Map<Long, String> before = Census.descendants(ProcessHandle.current().pid());
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            String sandbox = engine.sandbox("base");
            CompletableFuture<E2BErrorCode> pending = new CompletableFuture<>();
            Thread.ofPlatform().start(() -> pending.complete(code(() -> e2b.executeE2BProcess(sandbox, "sleep 600", null, 600, true))));
            Thread.sleep(300);
            Map<Long, String> running = Census.descendants(ProcessHandle.current().pid());
            before.keySet().forEach(running::remove);
            Set<Long> supervisors = new TreeSet<>(running.keySet());
            supervisors.removeIf(pid -> ProcessHandle.of(pid).flatMap(ProcessHandle::parent)
                    .map(ProcessHandle::pid).orElse(0L) != ProcessHandle.current().pid());
            assertEquals(1, supervisors.size(), supervisors + " of " + running);
            new ProcessBuilder("kill", "-KILL", supervisors.iterator().next().toString()).start().waitFor();
            assertEquals(E2BErrorCode.UNAVAILABLE, pending.get(5, TimeUnit.SECONDS));
            assertTrue(Census.within(2_000, () -> Census.alive(running).isEmpty()), "left: " + Census.alive(running));
            assertEquals("failed", e2b.getE2BSandboxStatus(sandbox).status());
            String next = e2b.createE2BSandbox("next", "base", 60, 64, 1).sandboxId();
            assertEquals("2", e2b.runE2BCode(next, "js", "1 + 1").result());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"kill", "exit", "throw", "memory"})
    void howeverTheProcessEndsNothingIsLeft(String how) throws Exception {
        Engine.open().close();
        Process process = new ProcessBuilder(new ChildJvm().command(LifetimeProbe.class, how))
                .redirectErrorStream(true)
                .start();
        Map<Long, String> running;
        Set<String> engines;
        try (BufferedReader output = process.inputReader()) {
            String line = output.readLine();
            assertEquals("ready", line, () -> line + "\n" + output.lines().toList());
            Thread.sleep(200);
            running = Census.descendants(process.pid());
            assertTrue(running.size() >= 7, running.size() + " processes");
            engines = Census.engines(running);
            if (how.equals("kill")) {
                process.destroyForcibly();
            } else {
                process.getOutputStream().write('\n');
                process.getOutputStream().close();
                if (how.equals("throw") || how.equals("memory")) {
                    // Daemon threads do not keep the JVM; its last thread ends with an exception.
                    output.lines().forEach(ignored -> {});
                }
            }
            assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        }
        assertTrue(Census.within(2_000, () -> Census.alive(running).isEmpty()), "left: " + Census.alive(running));
        assertTrue(Census.within(2_000, () -> Census.controlGroups(engines).isEmpty()), () -> "left: " + Census.controlGroups(engines));
        assertEquals(Set.of(), Census.files(engines));
    }

    // Cycles

    @Test
    void manyCyclesLeaveNothing() throws Exception {
        int cycles = Host.full() ? 10_000 : 500;
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            cycle(e2b, 20);
            Thread.sleep(3_000);
            int descriptors = Census.descriptors();
            int threads = Census.threads();
            Map<Long, String> processes = Census.descendants(ProcessHandle.current().pid());
            Set<String> engines = Census.engines(processes);
            int groups = Census.controlGroups(engines).size();
            int files = Census.files(engines).size();
            cycle(e2b, cycles);
            Thread.sleep(3_000);
            assertTrue(Census.descriptors() <= descriptors + 8, descriptors + " -> " + Census.descriptors() + " descriptors");
            assertTrue(Census.threads() <= threads + 8, threads + " -> " + Census.threads() + " threads");
            int groupsNow = Census.controlGroups(engines).size();
            assertTrue(groupsNow <= groups + 32, groups + " -> " + groupsNow + " groups");
            assertTrue(Census.files(engines).size() <= files, files + " -> " + Census.files(engines));
            int now = Census.descendants(ProcessHandle.current().pid()).size();
            assertTrue(now <= processes.size() + 8, processes.size() + " -> " + now + " processes");
            assertEquals(0, e2b.listE2BSandboxes().totalCount());
            // The newest thousand are remembered, no more.
            assertTrue(e2b.listE2BSandboxes("all").totalCount() <= 1_000);
        }
        assertEquals(0, NativeCalls.liveCounts().get("sandboxes").intValue());
    }

    private static void cycle(E2B e2b, int cycles) {
        for (int i = 0; i < cycles; i++) {
            String sandbox = e2b.createE2BSandbox("cycle", "base", 60, 32, 1).sandboxId();
            ProcessResult result = e2b.executeE2BProcess(sandbox, "/bin/true", List.of(), 30, true);
            assertEquals(0, result.exitCode(), result.json().toString());
            e2b.terminateE2BSandbox(sandbox, true);
        }
    }

    @Test
    void manyCallsDoNotGrowTheHeapOfTheLibrary() {
        int calls = Host.full() ? 1_000_000 : 50_000;
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            String sandbox = engine.sandbox("base");
            for (int i = 0; i < calls; i++) {
                e2b.getE2BSandboxStatus(sandbox);
                if (i % 10 == 0) {
                    assertThrows(E2BException.class, () -> e2b.getE2BSandboxStatus("sb_none"));
                }
            }
            JsonNode counts = NativeCalls.liveCounts();
            assertFalse(counts.get("buffers").intValue() > 1, counts.toString());
        }
    }
}
