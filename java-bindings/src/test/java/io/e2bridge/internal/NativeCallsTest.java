package io.e2bridge.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.E2B;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Calls, answers, threads and interrupts, against a library that answers what a sound one never would. */
@Tag("fake-library")
@Timeout(60)
class NativeCallsTest {
    private NativeCalls calls;

    @BeforeEach
    void open() {
        calls = NativeCalls.open("{\"pool_base\":0}".getBytes(StandardCharsets.UTF_8)).calls();
    }

    @AfterEach
    void everyBufferWasFreed() {
        calls.close();
        // The one that holds this very answer is counted before it is made.
        assertEquals(0, NativeCalls.liveCounts().get("buffers").intValue());
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private JsonNode status(String id) {
        return calls.sandboxStatus(utf8(id));
    }

    private JsonNode execute(int milliseconds) {
        return calls.executeProcess(utf8("sb"), utf8(Integer.toString(milliseconds)), null, Marshaller.ABSENT, null);
    }

    private JsonNode executeCancellableLate(int milliseconds) {
        return calls.executeProcess(utf8("sb"), utf8(Integer.toString(milliseconds)), utf8("[]"), Marshaller.ABSENT, null);
    }

    // What crosses

    @Test
    void theLibraryIsTheFake() {
        assertEquals("fake", NativeCalls.open(utf8("{}")).document().get("backend").textValue());
    }

    @Test
    void absentAndEmptyDiffer() {
        JsonNode seen = calls.createSandbox(utf8(""), null, Marshaller.ABSENT, 0, Long.MAX_VALUE);
        assertEquals(42, seen.get("client").intValue());
        assertEquals(1, seen.get("name").intValue());
        assertEquals(0, seen.get("name_length").intValue());
        assertEquals(0, seen.get("template").intValue());
        assertEquals(0, seen.get("template_length").intValue());
        assertEquals(Long.toString(Long.MIN_VALUE), seen.get("timeout").textValue());
        assertEquals("0", seen.get("memory_mb").textValue());
        assertEquals(Long.toString(Long.MAX_VALUE), seen.get("cpu_count").textValue());
        assertTrue(seen.get("call").longValue() > 0);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 100, 486, 487, 488, 489, 511, 512, 513, 100_000, 10_000_000})
    void textsOfEveryLengthArriveWhole(int length) {
        byte[] text = new byte[length];
        Arrays.fill(text, (byte) 'x');
        text[0] = 3;
        text[length - 1] = 4;
        JsonNode seen = calls.createSandbox(text, utf8("t"), 1, 2, 3);
        assertEquals(length, seen.get("name_length").intValue());
        assertEquals(length == 1 ? 8 : 7, seen.get("name_sum").intValue());
        assertEquals(1, seen.get("template_length").intValue());
    }

    @Test
    void callNumbersAreNeverUsedTwice() {
        long first = calls.createSandbox(utf8("a"), null, 1, 1, 1).get("call").longValue();
        long second = calls.createSandbox(utf8("a"), null, 1, 1, 1).get("call").longValue();
        assertTrue(second > first && first > 0);
        assertEquals(0, calls.terminateSandbox(utf8("sb"), null).get("call").longValue());
    }

    // What is answered

    @Test
    void documentsKeepFurtherKeys() {
        assertEquals("{\"sandbox_id\":\"sb\",\"status\":\"running\",\"metrics\":{},\"further\":{\"a\":[1]}}", status("x").toString());
    }

    @Test
    void errorsBecomeExceptions() {
        E2BException e = assertThrows(E2BException.class, () -> status("full_error"));
        assertEquals(E2BErrorCode.NOT_FOUND, e.code());
        assertEquals(2, e.number());
        assertEquals("there is none", e.getMessage());
        assertEquals("sandbox_id", e.argument());
        assertEquals("{status=terminated, n=1, x=1.5, b=true, z=null, l=[1, a], o={k=[]}}", e.context().toString());
        assertThrows(UnsupportedOperationException.class, () -> e.context().put("a", 1));
    }

    @Test
    void unknownNumbersAreKept() {
        E2BException e = assertThrows(E2BException.class, () -> status("unknown_number"));
        assertEquals(E2BErrorCode.UNKNOWN, e.code());
        assertEquals(99, e.number());
        assertEquals("something new", e.getMessage());
        assertTrue(e.toString().contains("UNKNOWN (99)"), e.toString());
        assertEquals(-7, assertThrows(E2BException.class, () -> status("negative_number")).number());
    }

    @Test
    void brokenErrorsAreStillExceptions() {
        E2BException empty = assertThrows(E2BException.class, () -> status("empty_error"));
        assertEquals(E2BErrorCode.INTERNAL, empty.code());
        E2BException bare = assertThrows(E2BException.class, () -> status("error_without_keys"));
        assertEquals(E2BErrorCode.LIMIT_EXCEEDED, bare.code());
        assertNull(bare.argument());
        assertTrue(bare.context().isEmpty());
        assertEquals(E2BErrorCode.INTERNAL, assertThrows(E2BException.class, () -> status("error_not_json")).code());
    }

    @ParameterizedTest
    @ValueSource(strings = {"empty", "not_json", "array"})
    void brokenDocumentsAreInternalErrors(String id) {
        assertEquals(E2BErrorCode.INTERNAL, assertThrows(E2BException.class, () -> status(id)).code());
    }

    // Threads and interrupts

    /** Runs a call on a thread of the kind, interrupts it once it waits in the library, and hands what it threw back. */
    private E2BException interrupted(Thread.Builder kind, Runnable call) throws Exception {
        AtomicReference<E2BException> thrown = new AtomicReference<>();
        AtomicReference<Boolean> flag = new AtomicReference<>();
        Thread thread = kind.start(() -> {
            thrown.set(assertThrows(E2BException.class, call::run));
            flag.set(Thread.currentThread().isInterrupted());
        });
        Thread.sleep(150);
        long begun = System.nanoTime();
        thread.interrupt();
        assertTrue(thread.join(java.time.Duration.ofSeconds(5)), "the call did not end");
        long milliseconds = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);
        assertTrue(milliseconds < 1_000, "the call ended after " + milliseconds + " ms");
        assertTrue(flag.get(), "the interrupt flag is lost");
        return thrown.get();
    }

    @Test
    void interruptOfAPlatformThreadCancels() throws Exception {
        assertEquals(E2BErrorCode.CANCELLED, interrupted(Thread.ofPlatform(), () -> execute(20_000)).code());
    }

    @Test
    void interruptOfAVirtualThreadCancels() throws Exception {
        assertEquals(E2BErrorCode.CANCELLED, interrupted(Thread.ofVirtual(), () -> execute(20_000)).code());
    }

    @Test
    void interruptBeforeTheLibraryKnowsTheCallCancelsToo() throws Exception {
        for (Thread.Builder kind : List.of(Thread.ofPlatform(), Thread.ofVirtual())) {
            AtomicReference<E2BException> thrown = new AtomicReference<>();
            Thread thread = kind.start(() -> thrown.set(assertThrows(E2BException.class, () -> executeCancellableLate(20_000))));
            Thread.sleep(20);
            thread.interrupt();
            assertTrue(thread.join(java.time.Duration.ofSeconds(5)), "the call did not end");
            assertEquals(E2BErrorCode.CANCELLED, thrown.get().code());
        }
    }

    @Test
    void interruptAtAnyMomentCancelsOrComesTooLate() throws Exception {
        for (int i = 0; i < 400; i++) {
            Thread.Builder kind = i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual();
            AtomicReference<Object> outcome = new AtomicReference<>();
            CountDownLatch started = new CountDownLatch(1);
            Thread thread = kind.start(() -> {
                started.countDown();
                try {
                    outcome.set(execute(2));
                } catch (E2BException e) {
                    outcome.set(e.code());
                }
            });
            started.await();
            java.util.concurrent.locks.LockSupport.parkNanos(i * 10_000L);
            thread.interrupt();
            thread.join();
            Object found = outcome.get();
            assertTrue(found == E2BErrorCode.CANCELLED || found instanceof JsonNode, String.valueOf(found));
        }
        // A late cancel must not hit a later call.
        for (int i = 0; i < 50; i++) {
            assertFalse(execute(1).get("timed_out").booleanValue());
        }
    }

    @Test
    void anInterruptedThreadDoesNotBegin() {
        Thread.currentThread().interrupt();
        try {
            E2BException e = assertThrows(E2BException.class, () -> execute(20_000));
            assertEquals(E2BErrorCode.CANCELLED, e.code());
            assertTrue(Thread.currentThread().isInterrupted());
        } finally {
            Thread.interrupted();
        }
        assertEquals(0, NativeCalls.liveCounts().get("most_running").intValue());
    }

    @Test
    void endingWorksInAnInterruptedThread() throws Exception {
        for (Thread.Builder kind : List.of(Thread.ofPlatform(), Thread.ofVirtual())) {
            AtomicReference<JsonNode> answer = new AtomicReference<>();
            AtomicReference<Boolean> flag = new AtomicReference<>();
            Thread thread = kind.start(() -> {
                Thread.currentThread().interrupt();
                answer.set(calls.terminateSandbox(utf8("sb"), null));
                flag.set(Thread.currentThread().isInterrupted());
            });
            thread.join();
            assertEquals(0, answer.get().get("call").intValue());
            assertTrue(flag.get());
        }
    }

    @Test
    void aThreadMayBeUsedAgainAfterACancel() throws Exception {
        AtomicReference<Object> second = new AtomicReference<>();
        Thread thread = Thread.ofPlatform().start(() -> {
            assertThrows(E2BException.class, () -> execute(20_000));
            assertTrue(Thread.interrupted());
            second.set(execute(20));
        });
        Thread.sleep(100);
        thread.interrupt();
        thread.join();
        assertFalse(((JsonNode) second.get()).get("timed_out").booleanValue());
    }

    @Test
    void virtualThreadsDoNotBlockTheirCarriers() {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            threads.add(Thread.ofVirtual().start(() -> execute(300)));
        }
        threads.forEach(NativeCallsTest::join);
        int most = NativeCalls.liveCounts().get("most_running").intValue();
        assertTrue(most > 4 * Runtime.getRuntime().availableProcessors() && most > 50, most + " calls at once");
    }

    @Test
    void thePoolIsBoundedAndQueues() {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 3 * CallPool.MOST_WAITING_CALLS; i++) {
            threads.add(Thread.ofVirtual().start(() -> execute(100)));
        }
        threads.forEach(NativeCallsTest::join);
        int most = NativeCalls.liveCounts().get("most_running").intValue();
        assertTrue(most <= CallPool.MOST_WAITING_CALLS && most > CallPool.MOST_WAITING_CALLS / 4, most + " calls at once");
    }

    @Test
    void aQueuedCallIsCancelledWithoutBeginning() throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < CallPool.MOST_WAITING_CALLS; i++) {
            threads.add(Thread.ofVirtual().start(() -> assertThrows(E2BException.class, () -> execute(20_000))));
        }
        while (NativeCalls.liveCounts().get("running").intValue() < CallPool.MOST_WAITING_CALLS) {
            Thread.sleep(5);
        }
        E2BException e = interrupted(Thread.ofVirtual(), () -> execute(20_000));
        assertEquals(E2BErrorCode.CANCELLED, e.code());
        assertTrue(e.getMessage().contains("nothing was done"), e.getMessage());
        // What asks and what ends does not queue behind them.
        long begun = System.nanoTime();
        for (Runnable call : List.<Runnable>of(() -> status("x"), () -> calls.terminateSandbox(utf8("sb"), null), calls::close)) {
            join(Thread.ofVirtual().start(call));
        }
        assertTrue(System.nanoTime() - begun < 900_000_000L, "they queued");
        threads.forEach(NativeCallsTest::join);
    }

    @Test
    void closeEndsCallsInFlight() throws Exception {
        List<CompletableFuture<E2BErrorCode>> codes = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            CompletableFuture<E2BErrorCode> code = new CompletableFuture<>();
            codes.add(code);
            (i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual())
                    .start(() -> code.complete(assertThrows(E2BException.class, () -> execute(20_000)).code()));
        }
        while (NativeCalls.liveCounts().get("running").intValue() < 20) {
            Thread.sleep(5);
        }
        calls.close();
        for (CompletableFuture<E2BErrorCode> code : codes) {
            assertEquals(E2BErrorCode.CLOSED, code.get(5, TimeUnit.SECONDS));
        }
    }

    @Test
    void poolThreadsAreDaemonsWithAName() throws Exception {
        Thread.ofVirtual().start(() -> execute(1)).join();
        List<Thread> ours = Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("e2bridge-"))
                .toList();
        assertFalse(ours.isEmpty());
        assertTrue(ours.stream().allMatch(Thread::isDaemon));
    }

    @Test
    void interruptsCostTheCallerLittle() {
        // Not a benchmark: an order of magnitude, so that the guard of a call is never a hand-over to another thread.
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 20_000; i++) {
                calls.createSandbox(utf8("a"), null, 1, 1, 1);
            }
        }
        long begun = System.nanoTime();
        for (int i = 0; i < 20_000; i++) {
            calls.createSandbox(utf8("a"), null, 1, 1, 1);
        }
        long nanoseconds = (System.nanoTime() - begun) / 20_000;
        System.out.println("a cancellable call with its document: " + nanoseconds + " ns");
        assertTrue(nanoseconds < 50_000, nanoseconds + " ns a call");
    }

    @Test
    void theClientIsTheSameThroughThePublicClass() {
        try (E2B e2b = E2B.open()) {
            assertEquals("running", e2b.getE2BSandboxStatus("x").status());
            assertEquals("path", assertThrows(E2BException.class, () -> e2b.writeE2BFile("x", null, new byte[0])).argument());
        }
    }

    private static void join(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
