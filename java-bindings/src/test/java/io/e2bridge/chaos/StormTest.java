package io.e2bridge.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.e2bridge.E2B;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.Engine;
import io.e2bridge.SandboxSummary;
import io.e2bridge.internal.NativeCalls;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Many threads want different things of the same sandboxes at once. Nothing hangs, nothing is left. */
@Timeout(600)
class StormTest {
    /** Runs all at once; answers what each came to: a value, or the code of its error. */
    private static List<Object> atOnce(List<Callable<Object>> calls) throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        List<CompletableFuture<Object>> outcomes = new ArrayList<>();
        for (int i = 0; i < calls.size(); i++) {
            Callable<Object> call = calls.get(i);
            CompletableFuture<Object> outcome = new CompletableFuture<>();
            outcomes.add(outcome);
            (i % 2 == 0 ? Thread.ofPlatform().daemon() : Thread.ofVirtual()).start(() -> {
                try {
                    go.await();
                    outcome.complete(call.call());
                } catch (E2BException e) {
                    outcome.complete(e);
                } catch (Throwable e) {
                    outcome.completeExceptionally(e);
                }
            });
        }
        go.countDown();
        List<Object> values = new ArrayList<>();
        for (CompletableFuture<Object> outcome : outcomes) {
            values.add(outcome.get(120, TimeUnit.SECONDS));
        }
        return values;
    }

    private static Map<String, Integer> counted(List<Object> outcomes) {
        Map<String, Integer> counts = new TreeMap<>();
        for (Object outcome : outcomes) {
            String name = outcome instanceof E2BException e ? e.code() + " " + e.context().get("status") : "fine";
            counts.merge(name, 1, Integer::sum);
        }
        return counts;
    }

    /** What a client leaves is nothing, and the library's counters say so, too. */
    private static void nothingIsLeft(Residue residue) throws Exception {
        assertEquals(List.of(), residue.after(5_000));
        assertEquals("{\"clients\":0,\"calls\":0,\"buffers\":0,\"sandboxes\":0}", NativeCalls.liveCounts().toString());
    }

    private static Residue watched() {
        // What the library keeps for as long as it is loaded is there from now on.
        Engine.open().close();
        return Residue.here();
    }

    @Test
    void twoHundredCreatesAndTwoTerminatesOfEach() throws Exception {
        Residue residue = watched();
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            List<Callable<Object>> creates = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                creates.add(() -> e2b.createE2BSandbox("storm", "base", 300, 32, 1).sandboxId());
            }
            List<Object> ids = atOnce(creates);
            assertEquals(Map.of("fine", 200), counted(ids));
            residue.look();
            assertEquals(200, e2b.listE2BSandboxes().totalCount());
            List<Callable<Object>> terminates = new ArrayList<>();
            for (Object id : ids) {
                terminates.add(() -> e2b.terminateE2BSandbox((String) id, true));
                terminates.add(() -> e2b.terminateE2BSandbox((String) id, false));
            }
            // One of the two ends it, the other sees that it is ended.
            assertEquals(Map.of("fine", 200, "NOT_FOUND terminated", 200), counted(atOnce(terminates)));
            assertEquals(0, e2b.listE2BSandboxes().totalCount());
        }
        nothingIsLeft(residue);
    }

    @Test
    void terminateDuringCreate() throws Exception {
        Residue residue = watched();
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            AtomicBoolean created = new AtomicBoolean();
            Thread terminator = Thread.ofPlatform().start(() -> {
                while (!created.get()) {
                    for (SandboxSummary one : e2b.listE2BSandboxes().sandboxes()) {
                        try {
                            e2b.terminateE2BSandbox(one.sandboxId(), true);
                        } catch (E2BException e) {
                            assertEquals(E2BErrorCode.NOT_FOUND, e.code());
                        }
                    }
                }
            });
            List<Callable<Object>> creates = new ArrayList<>();
            for (int i = 0; i < 60; i++) {
                boolean interrupted = i % 3 == 0;
                creates.add(() -> {
                    if (!interrupted) {
                        return e2b.createE2BSandbox("storm", "base", 300, 32, 1).sandboxId();
                    }
                    Thread self = Thread.currentThread();
                    Thread.ofVirtual().start(() -> {
                        java.util.concurrent.locks.LockSupport.parkNanos(1_000_000);
                        self.interrupt();
                    });
                    return e2b.createE2BSandbox("storm", "base", 300, 48, 1).sandboxId();
                });
            }
            Map<String, Integer> outcomes = counted(atOnce(creates));
            created.set(true);
            terminator.join();
            assertTrue(outcomes.getOrDefault("fine", 0) >= 40, outcomes.toString());
            assertTrue(List.of("fine", "CANCELLED null").containsAll(outcomes.keySet()), outcomes.toString());
            residue.look();
            for (SandboxSummary one : e2b.listE2BSandboxes().sandboxes()) {
                e2b.terminateE2BSandbox(one.sandboxId(), true);
            }
            // Nothing of the cancelled ones, either.
            assertEquals(List.of(), residue.between(5_000));
        }
        nothingIsLeft(residue);
    }

    @Test
    void terminateDuringEverythingThatASandboxCanDo() throws Exception {
        Residue residue = watched();
        try (Engine engine = Engine.open()) {
            E2B e2b = engine.client();
            for (int round = 0; round < 6; round++) {
                boolean force = round % 2 == 0;
                String id = engine.sandbox("base");
                e2b.executeE2BProcess(id, "head -c 20000000 /dev/urandom >/home/user/much");
                List<Callable<Object>> calls = new ArrayList<>(List.of(
                        () -> e2b.executeE2BProcess(id, "sleep 100", null, 100, true),
                        () -> e2b.executeE2BProcess(id, "yes", null, 100, true),
                        () -> e2b.executeE2BProcess(id, "trap '' TERM; (setsid sleep 100 &) ; sleep 100 & wait; sleep 100", null, 100, true),
                        () -> e2b.runE2BCode(id, "js", "for (;;) {}", null, 100),
                        () -> e2b.runE2BCode(id, "js", "for (;;) {}", "context", 100),
                        () -> e2b.runE2BCode(id, "sh", "sleep 100", null, 100),
                        () -> e2b.exportE2BTemplate(id, "storm", true),
                        () -> e2b.writeE2BFile(id, "/data/file", new byte[10_000_000]),
                        () -> e2b.readE2BFile(id, "/home/user/much"),
                        () -> repeat(() -> e2b.getE2BSandboxStatus(id)),
                        () -> {
                            Thread.sleep(30 + 40 * (int) (Math.random() * 5));
                            return e2b.terminateE2BSandbox(id, force);
                        }));
                long began = System.nanoTime();
                for (Object outcome : atOnce(calls)) {
                    if (outcome instanceof E2BException e) {
                        boolean proper = e.code() == E2BErrorCode.NOT_FOUND && "terminated".equals(e.context().get("status"));
                        assertTrue(proper, e + " " + e.context());
                    }
                }
                // Without force, programs have five seconds to end.
                double seconds = (System.nanoTime() - began) / 1e9;
                assertTrue(seconds < 30, seconds + " s");
                residue.look();
            }
            assertEquals(0, e2b.listE2BSandboxes().totalCount());
            assertEquals(List.of(), residue.between(5_000));
        }
        nothingIsLeft(residue);
    }

    /** Ends with the status's error, or when the sandbox no longer runs. */
    private static Object repeat(Callable<io.e2bridge.SandboxStatus> status) throws Exception {
        while (status.call().status().equals("running")) {
            Thread.sleep(1);
        }
        return "ended";
    }

    @Test
    void closeDuringAMixedLoad() throws Exception {
        Residue residue = watched();
        for (int round = 0; round < 4; round++) {
            long seed = System.nanoTime();
            try (Engine engine = Engine.open()) {
                Load load = new Load(engine.client(), seed, 16, List.of("base")).start();
                for (int i = 0; i < 5; i++) {
                    Thread.sleep(100 + 50 * round);
                    residue.look();
                }
                load.closing();
                long began = System.nanoTime();
                engine.client().close();
                double seconds = (System.nanoTime() - began) / 1e9;
                assertTrue(seconds < 20, seconds + " s to close");
                assertTrue(load.stop(), () -> "calls hang: " + load.late());
                assertEquals(List.of(), load.defects(), "seed " + seed);
                assertTrue(load.calls() > 20, load.calls() + " calls");
            }
            nothingIsLeft(residue);
        }
    }
}
