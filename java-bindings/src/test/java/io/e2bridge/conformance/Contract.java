package io.e2bridge.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.e2bridge.AgentResult;
import io.e2bridge.CodeResult;
import io.e2bridge.DeploymentCreated;
import io.e2bridge.DeploymentScaled;
import io.e2bridge.E2B;
import io.e2bridge.E2BDocument;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.HealthReport;
import io.e2bridge.ProcessResult;
import io.e2bridge.SandboxList;
import io.e2bridge.SandboxStatus;
import io.e2bridge.SandboxSummary;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What a program may rely on, wherever its sandboxes run. The same assertions hold on every backend; what one of them cannot do is
 * gated by the {@link Capability} that it declares, never by its name.
 */
@Timeout(120)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class Contract {
    private static final AtomicInteger NAMES = new AtomicInteger();
    private static final String NOBODY = "sb_none0000000000000000";
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Set<String> begun = new HashSet<>();
    private Place place;
    private E2B client;

    /** {@return the backend, ready} Skips where it is not to be had. */
    abstract Place place();

    @BeforeAll
    void openClient() {
        place = place();
        client = place.open();
    }

    @AfterEach
    void endSandboxes() {
        for (String sandbox : begun) {
            try {
                client.terminateE2BSandbox(sandbox, true);
            } catch (E2BException e) {
                assertEquals(E2BErrorCode.NOT_FOUND, e.code(), e.getMessage());
            }
        }
        begun.clear();
    }

    @AfterAll
    void closeClient() {
        if (client != null) {
            client.close();
        }
        if (place != null) {
            place.verify();
            place.close();
        }
    }

    // ---- helpers

    private String name() {
        return "contract-" + Long.toString(ProcessHandle.current().pid(), 36) + "-" + NAMES.incrementAndGet();
    }

    private String sandbox(String template) {
        return remember(client.createE2BSandbox(name(), template, 120, 128, 1).sandboxId());
    }

    private String remember(String sandbox) {
        begun.add(sandbox);
        return sandbox;
    }

    private DeploymentCreated deploy(String template, Object configuration) {
        DeploymentCreated created = client.deployE2BTemplate(template, "contract", configuration);
        begun.addAll(created.sandboxIds());
        return created;
    }

    private ProcessResult shell(String sandbox, String line) {
        return client.executeE2BProcess(sandbox, line, null, 60, true);
    }

    private void needs(Capability capability) {
        Assumptions.assumeTrue(place.capabilities().contains(capability), "the backend does not declare " + capability);
    }

    private static E2BException fails(E2BErrorCode code, String argument, Executable call) {
        E2BException e = assertThrows(E2BException.class, call);
        assertEquals(code, e.code(), e.getMessage());
        if (argument != null) {
            assertEquals(argument, e.argument(), e.getMessage());
        }
        return e;
    }

    private static E2BException refuses(String argument, Executable call) {
        return fails(E2BErrorCode.INVALID_ARGUMENT, argument, call);
    }

    private static Set<String> ids(SandboxList list) {
        assertEquals(list.sandboxes().size(), list.totalCount());
        return list.sandboxes().stream().map(SandboxSummary::sandboxId).collect(Collectors.toSet());
    }

    private static byte[] prices(int days) {
        StringBuilder csv = new StringBuilder("date,close\n");
        for (int i = 0; i < days; i++) {
            csv.append(LocalDate.of(2024, 1, 1).plusDays(i)).append(',').append(100 + i % 7).append('\n');
        }
        return csv.toString().getBytes(StandardCharsets.UTF_8);
    }

    // ---- all ten

    @Test
    void everyAnswerHasTheKeysAndTypesOfTheReference() throws IOException {
        String sandbox = sandbox("base");
        client.writeE2BFile(sandbox, "/data/SPY.csv", prices(60));
        String template = name();
        DeploymentCreated deployed = deploy("base", Map.of("instances", 1));
        DeploymentScaled scaled = client.scaleE2BDeployment(deployed.deploymentId(), 2, false);
        begun.addAll(scaled.sandboxIds());
        Map<String, E2BDocument> answers = new HashMap<>();
        answers.put("createE2BSandbox", client.createE2BSandbox(name(), "base", 60, 64, 1));
        remember(answers.get("createE2BSandbox").json().get("sandbox_id").textValue());
        answers.put("listE2BSandboxes", client.listE2BSandboxes(null));
        answers.put("getE2BSandboxStatus", client.getE2BSandboxStatus(sandbox));
        answers.put("executeE2BProcess", shell(sandbox, "echo hello"));
        answers.put("runE2BAgent", client.runE2BAgent(sandbox, "momentum", List.of("SPY"), null, false));
        answers.put("monitorE2BHealth", client.monitorE2BHealth(true));
        answers.put("deployE2BTemplate", deployed);
        answers.put("scaleE2BDeployment", scaled);
        answers.put("exportE2BTemplate", client.exportE2BTemplate(sandbox, template, false));
        answers.put("terminateE2BSandbox", client.terminateE2BSandbox(sandbox, true));
        client.deleteE2BTemplate(template);
        for (JsonNode function : reference()) {
            String method = function.get("js").textValue();
            JsonNode answer = answers.get(method).json();
            for (Map.Entry<String, JsonNode> key : function.get("sample").properties()) {
                assertNotNull(answer.get(key.getKey()), method + "." + key.getKey() + " is missing");
                assertEquals(key.getValue().getNodeType(), answer.get(key.getKey()).getNodeType(), method + "." + key.getKey());
            }
            assertEquals(ZoneOffset.UTC, OffsetDateTime.parse(answer.get("timestamp").textValue()).getOffset());
        }
        client.scaleE2BDeployment(deployed.deploymentId(), 0, false);
    }

    private static JsonNode reference() throws IOException {
        try (InputStream surface = Contract.class.getResourceAsStream("/reference-surface.json")) {
            JsonNode all = JSON.readTree(surface);
            return all.isArray() ? all : all.get("functions");
        }
    }

    // ---- sandboxes

    @Test
    void aSandboxIsListedWhileItLivesAndRememberedAfterwards() {
        String name = name();
        String sandbox = remember(client.createE2BSandbox(name, "base", 60, 128, 1).sandboxId());
        assertTrue(sandbox.matches("sb_[a-z0-9]{20,}"), sandbox);
        SandboxStatus status = client.getE2BSandboxStatus(sandbox);
        assertEquals("running", status.status());
        assertEquals(name, status.name());
        assertEquals("base", status.template());
        assertTrue(status.expiresAt().isAfter(Instant.now()), status.json().toString());
        assertTrue(ids(client.listE2BSandboxes(null)).contains(sandbox));
        assertTrue(ids(client.listE2BSandboxes("running")).contains(sandbox));
        assertTrue(ids(client.listE2BSandboxes("all")).contains(sandbox));

        assertEquals("terminated", client.terminateE2BSandbox(sandbox, false).status());
        assertFalse(ids(client.listE2BSandboxes("running")).contains(sandbox));
        assertTrue(ids(client.listE2BSandboxes("terminated")).contains(sandbox));
        assertEquals("terminated", client.getE2BSandboxStatus(sandbox).status());
        E2BException e = fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> shell(sandbox, "true"));
        assertEquals("terminated", e.context().get("status"));
    }

    @Test
    void atItsDeadlineASandboxIsExpired() throws InterruptedException {
        String sandbox = remember(client.createE2BSandbox(name(), "base", 2, 128, 1).sandboxId());
        Instant patience = Instant.now().plusSeconds(20);
        while (client.getE2BSandboxStatus(sandbox).status().equals("running") && Instant.now().isBefore(patience)) {
            Thread.sleep(100);
        }
        assertEquals("expired", client.getE2BSandboxStatus(sandbox).status());
        E2BException e = fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> shell(sandbox, "true"));
        assertEquals("expired", e.context().get("status"));
        assertTrue(ids(client.listE2BSandboxes("expired")).contains(sandbox));
    }

    @Test
    void aNewTimeoutMovesTheDeadline() throws InterruptedException {
        String sandbox = remember(client.createE2BSandbox(name(), "base", 2, 128, 1).sandboxId());
        assertEquals(60, client.setE2BTimeout(sandbox, 60).timeout());
        Thread.sleep(2_500);
        assertEquals("running", client.getE2BSandboxStatus(sandbox).status());
        assertEquals("alive\n", shell(sandbox, "echo alive").stdout());
    }

    @Test
    void anUnknownSandboxIsNotFoundByEveryCall() {
        List<Executable> calls = List.of(
                () -> client.getE2BSandboxStatus(NOBODY),
                () -> client.executeE2BProcess(NOBODY, "true"),
                () -> client.runE2BCode(NOBODY, "javascript", "1"),
                () -> client.runE2BAgent(NOBODY, "momentum", List.of("A"), Map.of("prices", Map.of("A", List.of(1, 2))), false),
                () -> client.exportE2BTemplate(NOBODY, "none"),
                () -> client.terminateE2BSandbox(NOBODY),
                () -> client.setE2BTimeout(NOBODY, 10),
                () -> client.writeE2BFile(NOBODY, "x", new byte[1]),
                () -> client.readE2BFile(NOBODY, "x"));
        for (Executable call : calls) {
            fails(E2BErrorCode.NOT_FOUND, "sandbox_id", call);
        }
        fails(E2BErrorCode.NOT_FOUND, "template", () -> client.createE2BSandbox(name(), "no-such-template"));
        fails(E2BErrorCode.NOT_FOUND, "deployment_id", () -> client.scaleE2BDeployment("dep_none0000000000000000", 1));
    }

    @Test
    void theLimitsAreThoseThatWereAskedFor() {
        needs(Capability.LIMITS_AS_ASKED);
        SandboxStatus status = client.getE2BSandboxStatus(remember(client.createE2BSandbox(name(), "base", 60, 200, 1).sandboxId()));
        assertEquals(200, status.json().get("limits").get("memory_mb").intValue());
    }

    @Test
    void outOfMemoryIsAResult() {
        needs(Capability.OUT_OF_MEMORY_IS_SEEN);
        String sandbox = remember(client.createE2BSandbox(name(), "base", 60, 32, 1).sandboxId());
        ProcessResult result = shell(sandbox, "head -c 200000000 /dev/zero | tail -c 150000000 >/dev/null");
        assertTrue(result.outOfMemory() || result.exitCode() != 0, result.json().toString());
    }

    // ---- programs

    @Test
    void aLineIsForTheShellAndArgumentsAreAsTheyAre() {
        String sandbox = sandbox("base");
        assertEquals("a b\n/home/user\n/home/user\n", shell(sandbox, "echo a  b; echo $HOME; pwd").stdout());
        assertEquals("$HOME;  'x'\n", client.executeE2BProcess(sandbox, "echo", List.of("$HOME;  'x'"), 10, true).stdout());
        assertEquals("\n", client.executeE2BProcess(sandbox, "echo", List.of(), 10, true).stdout());
        assertEquals("", shell(sandbox, "cat").stdout(), "standard input is empty");
    }

    @Test
    void bothStreamsAreKeptApartAndInOrder() {
        ProcessResult result = shell(sandbox("base"), "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three");
        assertEquals("one\nthree\n", result.stdout());
        assertEquals("two\n", result.stderr());
        assertEquals("one\ntwo\nthree\n", result.output());
        assertEquals(0, result.exitCode());
        assertNull(result.signal());
        assertFalse(result.timedOut());
        assertFalse(result.truncated());
    }

    @ParameterizedTest
    @CsvSource({"exit 3, 3", "exit 255, 255", "no-such-program-here, 127", "false, 1"})
    void aStatusIsAResult(String line, int code) {
        ProcessResult result = shell(sandbox("base"), line);
        assertEquals(code, result.exitCode());
        assertNull(result.signal());
    }

    @Test
    void aProgramThatDoesNotExistHasStatus127() {
        assertEquals(127, client.executeE2BProcess(sandbox("base"), "no-such-program-here", List.of("x"), 10, true).exitCode());
    }

    @ParameterizedTest
    @ValueSource(strings = {"KILL", "TERM", "SEGV"})
    void aSignalIsAResult(String signal) {
        ProcessResult result = client.executeE2BProcess(sandbox("base"), "sh", List.of("-c", "kill -" + signal + " $$"), 10, true);
        assertEquals(-1, result.exitCode());
        assertEquals("SIG" + signal, result.signal());
        assertFalse(result.timedOut());
    }

    @Test
    void aTimeoutTakesEverythingOfTheExecution() throws InterruptedException {
        String sandbox = sandbox("base");
        ProcessResult result = client.executeE2BProcess(
                sandbox, "echo begun; (setsid sh -c 'sleep 2; echo late >/tmp/late' &) ; sleep 30", null, 1, true);
        assertTrue(result.timedOut(), result.json().toString());
        assertEquals(-1, result.exitCode());
        assertEquals("begun\n", result.stdout());
        Thread.sleep(2_500);
        assertEquals("nothing\n", shell(sandbox, "cat /tmp/late 2>/dev/null || echo nothing").stdout());
    }

    @ParameterizedTest
    @CsvSource({"exit 7, 7, ", "kill -TERM $$, -1, SIGTERM"})
    void theEndOfTheProgramIsTheEndOfTheCall(String end, int exitCode, String signal) {
        String sandbox = sandbox("base");
        // What is left in the background lives on, and has the output open.
        ProcessResult result = client.executeE2BProcess(
                sandbox, "sleep 60 & echo $! >/tmp/child; head -c 300000 /dev/zero | tr '\\0' a; " + end, null, 50, true);
        assertFalse(result.timedOut(), result.json().toString());
        assertEquals("a".repeat(300_000), result.stdout());
        assertEquals(exitCode, result.exitCode());
        assertEquals(signal, result.signal());
        assertEquals("lives\n", shell(sandbox, "kill -0 $(cat /tmp/child) && echo lives").stdout());
    }

    @Test
    void whatTheBackgroundWritesDoesNotKeepACall() {
        ProcessResult result = client.executeE2BProcess(
                sandbox("base"), "(while echo more; do sleep 0.02; done) & echo first >&2", null, 50, true);
        assertFalse(result.timedOut(), result.json().toString());
        assertEquals("first\n", result.stderr());
        assertEquals(0, result.exitCode());
    }

    @Test
    void outputOfAnySizeArrivesWhole() {
        ProcessResult result = shell(sandbox("base"), "head -c 3000000 /dev/zero | tr '\\0' a; head -c 1000000 /dev/zero | tr '\\0' b >&2");
        assertEquals("a".repeat(3_000_000), result.stdout());
        assertEquals("b".repeat(1_000_000), result.stderr());
        assertFalse(result.truncated());
    }

    @Test
    void moreThanTheLimitIsCountedAndTheHeadIsKept() {
        ProcessResult result = shell(sandbox("base"), "printf head; head -c 9000000 /dev/zero | tr '\\0' a");
        assertTrue(result.truncated());
        assertEquals(9_000_004, result.json().get("stdout_bytes").longValue());
        assertEquals(8 * 1024 * 1024, result.stdout().length());
        assertTrue(result.stdout().startsWith("heada"));
    }

    @Test
    void charactersAreNeverCutAndBytesNeverLost() {
        String sandbox = sandbox("base");
        client.writeE2BFile(sandbox, "/home/user/text", "é€\ud83d\ude00".repeat(50_000).getBytes(StandardCharsets.UTF_8));
        assertEquals("é€\ud83d\ude00".repeat(50_000), shell(sandbox, "cat text").stdout());
        ProcessResult broken = shell(sandbox, "printf 'a\\377b'");
        assertEquals("a\ufffdb", broken.stdout());
        assertArrayEquals(new byte[] {'a', (byte) 255, 'b'}, java.util.Base64.getDecoder().decode(broken.json().get("stdout_base64").textValue()));
    }

    @Test
    void withoutCaptureNothingIsKept() {
        ProcessResult result = client.executeE2BProcess(sandbox("base"), "echo x; echo y >&2; exit 4", null, 10, false);
        assertEquals(4, result.exitCode());
        assertEquals("", result.stdout() + result.stderr() + result.output());
    }

    @Test
    void manyProgramsRunAtOnce() throws Exception {
        String sandbox = sandbox("base");
        try (ExecutorService pool = Executors.newFixedThreadPool(16)) {
            List<Future<String>> results = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                int number = i;
                results.add(pool.submit(() -> shell(sandbox, "echo " + number).stdout()));
            }
            for (int i = 0; i < 64; i++) {
                assertEquals(i + "\n", results.get(i).get());
            }
        }
    }

    @Test
    void anInterruptCancelsAndTakesEverything() throws Exception {
        String sandbox = sandbox("base");
        CompletableFuture<E2BException> outcome = new CompletableFuture<>();
        Thread caller = Thread.ofPlatform().start(() -> {
            try {
                client.executeE2BProcess(sandbox, "echo >/tmp/interrupt-begun; sleep 3; echo >/tmp/interrupt-late", null, 60, true);
                outcome.complete(null);
            } catch (E2BException e) {
                outcome.complete(e);
            }
        });
        while (!shell(sandbox, "ls /tmp").stdout().contains("interrupt-begun")) {
            Thread.sleep(50);
        }
        caller.interrupt();
        E2BException e = outcome.get();
        assertNotNull(e, "the call was not cancelled");
        assertEquals(E2BErrorCode.CANCELLED, e.code(), e.getMessage());
        Thread.sleep(3_500);
        assertFalse(shell(sandbox, "ls /tmp").stdout().contains("interrupt-late"));
    }

    // ---- files

    @Test
    void aFileComesBackAsItWasWritten() {
        String sandbox = sandbox("base");
        for (int size : new int[] {0, 1, 100_000, 3_000_001}) {
            byte[] content = new byte[size];
            new Random(size).nextBytes(content);
            assertEquals(size, client.writeE2BFile(sandbox, "/data/deep/er/file", content).json().get("size").longValue());
            assertArrayEquals(content, client.readE2BFile(sandbox, "/data/deep/er/file").content());
        }
        client.writeE2BFile(sandbox, "näme with blanks?&#%.txt", "x".getBytes(StandardCharsets.UTF_8));
        assertEquals("x", shell(sandbox, "cat '/home/user/näme with blanks?&#%.txt'").stdout());
        fails(E2BErrorCode.NOT_FOUND, "path", () -> client.readE2BFile(sandbox, "/data/none"));
        refuses("path", () -> client.readE2BFile(sandbox, "/data"));
        refuses("path", () -> client.writeE2BFile(sandbox, "/data", new byte[1]));
    }

    @Test
    void whatAProgramWritesIsReadAndTheOtherWayRound() {
        String sandbox = sandbox("base");
        shell(sandbox, "echo from inside >/home/user/out");
        assertEquals("from inside\n", new String(client.readE2BFile(sandbox, "out").content(), StandardCharsets.UTF_8));
        client.writeE2BFile(sandbox, "script.sh", "echo from outside\n".getBytes(StandardCharsets.UTF_8));
        assertEquals("from outside\n", shell(sandbox, "sh script.sh; rm script.sh").stdout());
    }

    // ---- code

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "python | python     | 1 + 2 | print('hello')       | 1 / 0  | ZeroDivisionError",
        "node   | javascript | 1 + 2 | console.log('hello') | null.x | TypeError"})
    void resultOutputAndExceptionOfCode(String template, String language, String sum, String print, String fail, String error) {
        needs(Capability.CODE);
        String sandbox = sandbox(template);
        CodeResult result = client.runE2BCode(sandbox, language, sum, null, 30);
        assertEquals("3", result.result(), result.json().toString());
        assertEquals(language, result.language());
        assertNull(result.error());
        assertEquals("hello\n", client.runE2BCode(sandbox, language, print, null, 30).stdout());
        CodeResult failed = client.runE2BCode(sandbox, language, fail, null, 30);
        assertNotNull(failed.error(), failed.json().toString());
        assertEquals(error, failed.error().name());
        assertNull(failed.result());
    }

    @ParameterizedTest
    @CsvSource({"python, python, kept = 41, kept + 1", "node, javascript, globalThis.kept = 41, kept + 1"})
    void codeIsStatelessUnlessInAContext(String template, String language, String set, String get) {
        needs(Capability.CODE);
        String sandbox = sandbox(template);
        client.runE2BCode(sandbox, language, set, null, 30);
        assertNotNull(client.runE2BCode(sandbox, language, get, null, 30).error());
        assertNull(client.runE2BCode(sandbox, language, set, "mine", 30).error());
        assertEquals("42", client.runE2BCode(sandbox, language, get, "mine", 30).result());
        assertNotNull(client.runE2BCode(sandbox, language, get, "other", 30).error());
    }

    @ParameterizedTest
    @CsvSource({"python, python, while True: pass", "node, javascript, for (;;) {}"})
    void endlessCodeTimesOutAndTheSandboxLivesOn(String template, String language, String endless) {
        needs(Capability.CODE);
        String sandbox = sandbox(template);
        CodeResult result = client.runE2BCode(sandbox, language, endless, null, 2);
        assertTrue(result.timedOut(), result.json().toString());
        assertEquals("3", client.runE2BCode(sandbox, language, "1 + 2", null, 30).result());
    }

    @Test
    void shellCodeHasAStatus() {
        CodeResult result = client.runE2BCode(sandbox("base"), "sh", "echo $((6 * 7)); exit 3", null, 30);
        assertEquals("shell", result.language());
        assertEquals("42\n", result.stdout());
        assertNotNull(result.error());
    }

    @Test
    void aLanguageThatTheTemplateLacksIsUnsupported() {
        String sandbox = sandbox("base");
        E2BException e = fails(E2BErrorCode.UNSUPPORTED, null, () -> client.runE2BCode(sandbox, "python", "1", null, 30));
        assertTrue(e.getMessage().contains("python"), e.getMessage());
    }

    // ---- agents

    @Test
    void anAgentRunsOnPricesOfTheCallAndOfFiles() {
        String sandbox = sandbox("base");
        List<Integer> rising = new ArrayList<>();
        for (int i = 1; i <= 60; i++) {
            rising.add(100 + i);
        }
        AgentResult given = client.runE2BAgent(sandbox, "buy_and_hold", List.of("A"), Map.of("prices", Map.of("A", rising)), false);
        assertEquals("completed", given.status(), given.json().toString());
        client.writeE2BFile(sandbox, "/data/SPY.csv", prices(60));
        AgentResult read = client.runE2BAgent(sandbox, "momentum", List.of("SPY"), false);
        assertEquals("completed", read.status(), read.json().toString());
        assertEquals(List.of("SPY"), read.symbols());
        refuses(null, () -> client.runE2BAgent(sandbox, "momentum", List.of("NONE"), false));
        fails(E2BErrorCode.NOT_FOUND, null, () -> client.runE2BAgent(
                sandbox, "no-such-agent", List.of("A"), Map.of("prices", Map.of("A", rising)), false));
        fails(E2BErrorCode.UNSUPPORTED, null, () -> client.runE2BAgent(sandbox, "momentum", List.of("SPY"), true));
    }

    // ---- deployments

    @Test
    void aDeploymentGrowsShrinksAndEnds() {
        needs(Capability.SANDBOXES_APART);
        DeploymentCreated created = deploy("base", Map.of("instances", 2, "env", Map.of("COLOUR", "blue"), "metadata", Map.of("a", "b c")));
        assertTrue(created.deploymentId().matches("dep_[a-z0-9]{20,}"), created.deploymentId());
        assertEquals(2, new HashSet<>(created.sandboxIds()).size());
        for (String sandbox : created.sandboxIds()) {
            assertEquals(created.deploymentId(), client.getE2BSandboxStatus(sandbox).deploymentId());
            ProcessResult seen = shell(sandbox, "echo $COLOUR; echo \"$E2B_CONFIGURATION\"");
            assertTrue(seen.stdout().startsWith("blue\n{"), seen.stdout());
        }
        DeploymentScaled grown = client.scaleE2BDeployment(created.deploymentId(), 3, false);
        begun.addAll(grown.sandboxIds());
        assertEquals(3, grown.instances());
        assertEquals(2, grown.previousInstances());
        assertEquals("scaled", grown.status());
        assertTrue(ids(client.listE2BSandboxes("running")).containsAll(grown.sandboxIds()));
        assertEquals("blue\n", shell(grown.sandboxIds().getLast(), "echo $COLOUR").stdout());
        assertEquals(1, client.scaleE2BDeployment(created.deploymentId(), 1, false).instances());
        assertEquals("ended", client.scaleE2BDeployment(created.deploymentId(), 0, false).status());
        Set<String> left = ids(client.listE2BSandboxes("running"));
        grown.sandboxIds().forEach(sandbox -> assertFalse(left.contains(sandbox)));
    }

    @Test
    void aStartThatFailsIsRolledBack() {
        Set<String> before = ids(client.listE2BSandboxes("running"));
        E2BException e = assertThrows(
                E2BException.class, () -> deploy("base", Map.of("instances", 2, "start_command", "exit 7")));
        assertTrue(e.code() != E2BErrorCode.INTERNAL, e.toString());
        assertEquals(before, ids(client.listE2BSandboxes("running")));
    }

    // ---- templates

    @Test
    void aTemplateCarriesWhatTheSandboxChanged() {
        needs(Capability.SANDBOXES_APART);
        String sandbox = sandbox("base");
        String template = name();
        client.writeE2BFile(sandbox, "/opt/tool/file", "kept".getBytes(StandardCharsets.UTF_8));
        assertEquals("exported", client.exportE2BTemplate(sandbox, template, true).status());
        try {
            assertTrue(client.listE2BTemplates().templates().stream().anyMatch(one -> one.templateName().equals(template)));
            String copy = sandbox(template);
            assertEquals("kept", shell(copy, "cat /opt/tool/file").stdout());
            assertEquals(template, client.getE2BSandboxStatus(copy).template());
        } finally {
            client.deleteE2BTemplate(template);
        }
        fails(E2BErrorCode.NOT_FOUND, "template", () -> client.createE2BSandbox(name(), template));
        fails(E2BErrorCode.NOT_FOUND, null, () -> client.deleteE2BTemplate(template));
        fails(E2BErrorCode.ALREADY_EXISTS, "template_name", () -> client.exportE2BTemplate(sandbox, "base"));
    }

    @Test
    void aTemplateGoesToAFileAndComesBack(@TempDir Path directory) {
        needs(Capability.TEMPLATE_FILES);
        String sandbox = sandbox("base");
        String template = name();
        client.exportE2BTemplate(sandbox, template, false);
        client.exportE2BTemplateFile(template, directory.resolve("file"));
        client.deleteE2BTemplate(template);
        client.importE2BTemplateFile(directory.resolve("file"), template);
        client.deleteE2BTemplate(template);
    }

    // ---- health

    @Test
    void healthNamesTheBackendAndCountsWhatAnswers() {
        String sandbox = sandbox("base");
        HealthReport health = client.monitorE2BHealth(true);
        assertEquals(place.backend(), health.backend());
        assertEquals("healthy", health.overallHealth(), health.json().toString());
        assertTrue(health.sandboxes().stream().anyMatch(one -> one.json().get("sandbox_id").textValue().equals(sandbox)));
        assertEquals(health.liveSandboxes(), health.responsiveSandboxes());
    }

    // ---- bad input

    @Test
    void badInputIsNamedAndChangesNothing() {
        String sandbox = sandbox("base");
        Set<String> before = ids(client.listE2BSandboxes("all"));
        refuses("name", () -> client.createE2BSandbox(null));
        refuses("name", () -> client.createE2BSandbox("a\0b"));
        refuses("timeout", () -> client.createE2BSandbox(name(), "base", 0, 128, 1));
        refuses("timeout", () -> client.createE2BSandbox(name(), "base", 86_401, 128, 1));
        refuses("memory_mb", () -> client.createE2BSandbox(name(), "base", 60, 1, 1));
        refuses("cpu_count", () -> client.createE2BSandbox(name(), "base", 60, 128, 0));
        refuses("status_filter", () -> client.listE2BSandboxes("gone"));
        refuses("sandbox_id", () -> client.getE2BSandboxStatus(null));
        refuses("command", () -> client.executeE2BProcess(sandbox, " "));
        refuses("args[1]", () -> client.executeE2BProcess(sandbox, "echo", Arrays.asList("a", null), 10, true));
        refuses("args[1]", () -> client.executeE2BProcess(sandbox, "echo", List.of("a", "b\0c"), 10, true));
        refuses("timeout", () -> client.executeE2BProcess(sandbox, "true", null, 0, true));
        fails(E2BErrorCode.LIMIT_EXCEEDED, null, () -> client.executeE2BProcess(sandbox, "echo", List.of("x".repeat(200_000)), 10, true));
        refuses("language", () -> client.runE2BCode(sandbox, "cobol", "1"));
        refuses("code", () -> client.runE2BCode(sandbox, "javascript", null));
        refuses("context", () -> client.runE2BCode(sandbox, "javascript", "1", "Not A Name"));
        refuses("timeout", () -> client.runE2BCode(sandbox, "javascript", "1", null, 0));
        refuses("symbols", () -> client.runE2BAgent(sandbox, "momentum", List.of()));
        refuses("agent_type", () -> client.runE2BAgent(sandbox, "../x", List.of("A")));
        refuses("configuration", () -> client.deployE2BTemplate("base", "c", null));
        refuses("configuration.instances", () -> client.deployE2BTemplate("base", "c", Map.of("instances", 0)));
        refuses("category", () -> client.deployE2BTemplate("base", "", Map.of()));
        fails(E2BErrorCode.NOT_FOUND, null, () -> client.deployE2BTemplate("no-such-template", "c", Map.of()));
        refuses("instance_count", () -> client.scaleE2BDeployment("dep_none0000000000000000", -1));
        refuses("auto_scale", () -> client.scaleE2BDeployment("dep_none0000000000000000", 0, true));
        refuses("template_name", () -> client.exportE2BTemplate(sandbox, "No Name"));
        refuses("timeout", () -> client.setE2BTimeout(sandbox, 0));
        refuses("path", () -> client.writeE2BFile(sandbox, "a\0b", new byte[1]));
        refuses("path", () -> client.readE2BFile(sandbox, ""));
        refuses("content", () -> client.writeE2BFile(sandbox, "x", null));
        assertEquals(before, ids(client.listE2BSandboxes("all")));
    }

    @Test
    void aClosedClientAnswersClosed() {
        E2B closed = place.open();
        closed.close();
        closed.close();
        fails(E2BErrorCode.CLOSED, null, closed::listE2BSandboxes);
        fails(E2BErrorCode.CLOSED, null, () -> closed.createE2BSandbox(name()));
    }
}
