package io.e2bridge.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.E2B;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Every way in which the services can misbehave, on every kind of call: the right error within the client's time-outs, nothing hangs,
 * no connection is left, nothing is made twice.
 */
@Timeout(60)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class FaultTest {
    /** More often than any client tries. */
    private static final int ALWAYS = 100;
    private static final String CREATE = "POST /v2/sandboxes";
    private static final String START = "/process.Process/Start";
    private static final int SECONDS = 3;
    private static final int HASTY_SECONDS = 1;

    private TheDouble services;
    private E2B client;
    /** For what nobody answers: another client, which waits only as long as it must. */
    private E2B hasty;
    private E2B caller;
    private String sandbox;

    @BeforeAll
    void open() {
        services = new TheDouble();
        client = services.open(SECONDS);
        hasty = services.open(HASTY_SECONDS);
        caller = client;
        sandbox = client.createE2BSandbox("faults", "python", 600, 128, 1).sandboxId();
        client.writeE2BFile(sandbox, "file", "content of a file".getBytes(StandardCharsets.UTF_8));
        client.runE2BCode(sandbox, "python", "1", "warm", 30);
    }

    @AfterEach
    void behave() {
        services.behave();
        caller = client;
        // Whatever happened, the next call works.
        assertEquals("well\n", client.executeE2BProcess(sandbox, "echo well", null, 30, true).stdout());
    }

    @AfterAll
    void close() throws InterruptedException {
        if (client == null) {
            return;
        }
        client.terminateE2BSandbox(sandbox, true);
        client.close();
        hasty.close();
        // The double hears of the end of a connection a little later.
        Instant patience = Instant.now().plusSeconds(10);
        while (services.stats().get("openConnections").intValue() > 0 && Instant.now().isBefore(patience)) {
            Thread.sleep(50);
        }
        assertEquals(0, services.stats().get("openConnections").intValue(), () -> "connections are left: " + services.stats());
        services.verify();
        services.close();
    }

    private static String route(String call) {
        return switch (call) {
            case "create" -> CREATE;
            case "list" -> "GET /v2/sandboxes";
            case "terminate" -> "DELETE /sandboxes/{sandboxID}";
            case "timeout" -> "POST /sandboxes/{sandboxID}/timeout";
            case "execute" -> START;
            case "read" -> "GET /files";
            case "write" -> "POST /files";
            case "code" -> "POST /execute";
            default -> throw new IllegalArgumentException(call);
        };
    }

    private void make(String call) {
        switch (call) {
            case "create" -> caller.terminateE2BSandbox(caller.createE2BSandbox("one", "base", 60, 128, 1).sandboxId(), true);
            case "list" -> caller.listE2BSandboxes("running");
            case "terminate" -> caller.terminateE2BSandbox(sandbox, true);
            case "timeout" -> caller.setE2BTimeout(sandbox, 600);
            case "execute" -> assertEquals("1\n", caller.executeE2BProcess(sandbox, "echo 1", null, 30, true).stdout());
            case "read" -> assertEquals(17, caller.readE2BFile(sandbox, "file").content().length);
            case "write" -> caller.writeE2BFile(sandbox, "other", new byte[100]);
            case "code" -> assertEquals("2", caller.runE2BCode(sandbox, "python", "1 + 1", "warm", 30).result());
            default -> throw new IllegalArgumentException(call);
        }
    }

    private void fault(String call, String kind, int count, Map<String, ?> more) {
        Map<String, Object> all = new HashMap<>(more);
        all.put("count", count);
        services.fault(route(call), kind, all);
    }

    private E2BException fails(String call, E2BErrorCode code) {
        E2BException e = assertThrows(E2BException.class, () -> make(call));
        assertEquals(code, e.code(), e.getMessage());
        assertTrue(!(e.getMessage() + e.context()).contains(TheDouble.KEY), e.getMessage());
        return e;
    }

    @ParameterizedTest
    @CsvSource({
        "401, UNAUTHENTICATED", "403, PERMISSION_DENIED", "429, RATE_LIMITED", "500, UNAVAILABLE", "502, UNAVAILABLE", "503, UNAVAILABLE",
        "504, TIMEOUT"})
    void aStatusHasItsCodeAndTheServersWords(int status, E2BErrorCode code) {
        for (String call : List.of("create", "list", "execute", "read", "write", "code")) {
            fault(call, "status", ALWAYS, Map.of("status", status));
            E2BException e = fails(call, code);
            assertEquals(status, e.context().get("http_status"), call);
            assertTrue(e.context().get("server_message").toString().contains("told to answer"), call + " " + e.context());
            services.behave();
        }
    }

    @ParameterizedTest
    @CsvSource({"create", "list", "timeout", "execute", "read", "write", "code"})
    void aProxysPageIsNoAnswer(String call) {
        fault(call, "status", ALWAYS, Map.of("status", 502, "html", true));
        fails(call, E2BErrorCode.UNAVAILABLE);
    }

    @ParameterizedTest
    @CsvSource({"create", "list", "execute", "write", "code"})
    void whatIsNoJsonOrAnotherJsonIsUnavailable(String call) {
        fault(call, "wrong-json", ALWAYS, Map.of());
        fails(call, E2BErrorCode.UNAVAILABLE);
        services.behave();
        fault(call, "wrong-shape", ALWAYS, Map.of());
        fails(call, E2BErrorCode.UNAVAILABLE);
    }

    @ParameterizedTest
    @CsvSource({"create", "list", "timeout", "execute", "read", "write", "code"})
    void aBrokenConnectionIsUnavailable(String call) {
        for (String kind : List.of("reset", "close")) {
            fault(call, kind, ALWAYS, Map.of());
            fails(call, E2BErrorCode.UNAVAILABLE);
            services.behave();
        }
    }

    @ParameterizedTest
    @CsvSource({"create", "list", "timeout", "execute", "read", "write", "code"})
    void noAnswerIsATimeoutOfTheRequest(String call) {
        caller = hasty;
        fault(call, "stall", ALWAYS, Map.of());
        E2BException e = fails(call, E2BErrorCode.TIMEOUT);
        assertEquals(HASTY_SECONDS, ((Number) e.context().get("timeout_seconds")).intValue(), e.context().toString());
    }

    @ParameterizedTest
    @CsvSource({"list, 30", "execute, 30", "execute, 3", "read, 5", "code, 20"})
    void anAnswerThatStopsInTheMiddleIsAnError(String call, int after) {
        caller = hasty;
        fault(call, "stall-after", ALWAYS, Map.of("after", after));
        fails(call, E2BErrorCode.TIMEOUT);
        services.behave();
        caller = client;
        for (String kind : List.of("cut", "reset-after", "half-frame")) {
            // A file that ends early, well chunked, is a file.
            if (!(call.equals("read") && kind.equals("half-frame"))) {
                fault(call, kind, ALWAYS, Map.of("after", after));
                fails(call, E2BErrorCode.UNAVAILABLE);
                services.behave();
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"list", "execute", "code"})
    void anAnswerWithoutEndIsNotReadToItsEnd(String call) {
        fault(call, "huge", ALWAYS, Map.of("bytes", 2L << 30));
        E2BException e = assertThrows(E2BException.class, () -> make(call));
        assertTrue(e.code() == E2BErrorCode.UNAVAILABLE || e.code() == E2BErrorCode.LIMIT_EXCEEDED, e.getMessage());
    }

    @Test
    void aFileWithoutEndIsNotReadToItsEnd() {
        fault("read", "huge", ALWAYS, Map.of("bytes", 2L << 30));
        fails("read", E2BErrorCode.LIMIT_EXCEEDED);
    }

    @Test
    void aSlowAnswerIsAnAnswer() {
        for (String call : List.of("create", "list", "execute", "read", "write", "code")) {
            fault(call, "slow-start", 1, Map.of("ms", 500));
            make(call);
            fault(call, "slow", 1, Map.of("ms", 5, "bytes", 7));
            make(call);
        }
    }

    @Test
    void theEndOfTheProcessIsEnoughWithoutTheEndOfTheStream() {
        fault("execute", "no-end", 1, Map.of());
        make("execute");
    }

    @ParameterizedTest
    @CsvSource({"create", "list", "timeout", "read"})
    void whatTheServerAsksToRepeatIsRepeated(String call) {
        for (int status : new int[] {429, 503}) {
            services.forget();
            fault(call, "status", 1, Map.of("status", status, "headers", Map.of("retry-after", "1")));
            make(call);
            assertTrue(services.stats().get("counts").get(route(call)).intValue() >= 2, call + " " + status);
        }
    }

    @ParameterizedTest
    @CsvSource({"list", "timeout", "read", "terminate"})
    void whatIsHarmlessIsRepeatedAfterABreak(String call) {
        String before = sandbox;
        if (call.equals("terminate")) {
            sandbox = client.createE2BSandbox("other", "base", 60, 128, 1).sandboxId();
        }
        fault(call, "reset", 1, Map.of());
        make(call);
        sandbox = before;
    }

    @Test
    void aSandboxIsNeverMadeTwice() {
        for (String kind : List.of("reset-after", "cut", "stall-after")) {
            int before = services.stats().get("creates").intValue();
            services.forget();
            caller = kind.equals("stall-after") ? hasty : client;
            fault("create", kind, ALWAYS, Map.of("after", 0));
            E2BException e = assertThrows(E2BException.class, () -> make("create"));
            assertTrue(e.code() == E2BErrorCode.UNAVAILABLE || e.code() == E2BErrorCode.TIMEOUT, e.getMessage());
            services.behave();
            assertEquals(1, services.stats().get("counts").get(CREATE).intValue(), kind);
            assertEquals(before + 1, services.stats().get("creates").intValue(), kind);
        }
    }

    @Test
    void aProgramIsNeverStartedTwice() {
        client.executeE2BProcess(sandbox, "rm -f /tmp/count", null, 30, true);
        for (String kind : List.of("reset-after", "cut", "half-frame")) {
            services.fault(START, kind, Map.of("after", 0));
            E2BException e = assertThrows(
                    E2BException.class, () -> client.executeE2BProcess(sandbox, "echo once >>/tmp/count", null, 30, true));
            assertEquals(E2BErrorCode.UNAVAILABLE, e.code(), e.getMessage());
        }
        String counted = client.executeE2BProcess(sandbox, "sleep 0.5; cat /tmp/count", null, 30, true).stdout();
        assertEquals("once\n".repeat(3), counted);
    }

    @ParameterizedTest
    @CsvSource({"404", "405"})
    void aClusterThatKnowsOnlyTheOlderRoutesIsServed(int status) {
        services.onlyOlder(status);
        try (E2B older = services.open(SECONDS)) {
            String one = older.createE2BSandbox("older", "base", 60, 128, 1).sandboxId();
            assertEquals("1\n", older.executeE2BProcess(one, "echo 1", null, 30, true).stdout());
            older.terminateE2BSandbox(one, true);
        } finally {
            services.onlyOlder(null);
        }
    }

    @Test
    void manyCallsShareAFewConnections() throws Exception {
        int before = services.stats().get("connections").intValue();
        for (int i = 0; i < 50; i++) {
            client.listE2BSandboxes("running");
        }
        assertTrue(services.stats().get("connections").intValue() - before <= 1, "a connection is kept and used again");
        try (ExecutorService pool = Executors.newFixedThreadPool(64)) {
            List<Future<?>> calls = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                calls.add(pool.submit(() -> make("execute")));
            }
            for (Future<?> call : calls) {
                call.get();
            }
        }
        JsonNode stats = services.stats();
        assertTrue(stats.get("openConnections").intValue() <= 70, stats.toString());
        assertEquals(0, stats.get("processes").intValue());
    }

    @Test
    void aWrongKeyIsUnauthenticated() {
        try (E2B stranger = E2B.open(services.config().apiKey("e2b_wrong").build())) {
            E2BException e = assertThrows(E2BException.class, stranger::listE2BSandboxes);
            assertEquals(E2BErrorCode.UNAUTHENTICATED, e.code(), e.getMessage());
            assertTrue(!e.toString().contains("e2b_wrong"), e.toString());
        }
    }

    @Test
    void nobodyThereIsUnavailable() {
        try (E2B nowhere = E2B.open(services.config().apiUrl(URI.create("http://127.0.0.1:1")).build())) {
            E2BException e = assertThrows(E2BException.class, nowhere::listE2BSandboxes);
            assertEquals(E2BErrorCode.UNAVAILABLE, e.code(), e.getMessage());
        }
    }
}
