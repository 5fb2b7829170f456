package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Create, list, status, time-out, terminate. */
class SandboxTest extends EngineTest {
    @Test
    void createAnswersWhatIsInForce() {
        Instant before = Instant.now();
        SandboxCreated created = Documents.read(e2b().createE2BSandbox("my-sandbox", "base", 90, 64, 1));
        assertId("sb", created.sandboxId());
        assertEquals("my-sandbox", created.name());
        assertEquals("running", created.status());
        assertEquals("base", created.template());
        assertNull(created.templateId());
        assertEquals(90, created.timeout());
        assertEquals(64, created.limits().memoryMb());
        assertEquals(1, created.limits().cpuCount());
        assertEquals(32, created.limits().diskMb());
        assertEquals("local", created.backend());
        assertTrue(created.isolation().seccomp());
        assertTrue(created.isolation().namespaces().containsAll(List.of("user", "pid", "mount", "ipc", "uts", "net")),
                created.isolation().namespaces().toString());
        Duration life = Duration.between(created.startedAt(), created.expiresAt());
        assertTrue(Math.abs(life.toMillis() - 90_000) < 1_000, life.toString());
        assertTrue(!created.timestamp().isBefore(before.minusSeconds(1)));
        end(created.sandboxId());
    }

    @Test
    void absentArgumentsHaveTheirDefaults() {
        SandboxCreated created = e2b().createE2BSandbox(Engine.name());
        assertEquals("base", created.template());
        assertEquals(3_600, created.timeout());
        assertEquals(512, created.limits().memoryMb());
        assertEquals(1, created.limits().cpuCount());
        end(created.sandboxId());
        SandboxCreated other = e2b().createE2BSandbox(Engine.name(), null, null, null, null);
        assertEquals(created.limits(), other.limits());
        end(other.sandboxId());
    }

    @Test
    void namesNeedNotBeUniqueAndIdsNeverRepeat() {
        Set<String> ids = new HashSet<>();
        for (int i = 0; i < 50; i++) {
            String id = e2b().createE2BSandbox("same", "base", 60, 32, 1).sandboxId();
            assertTrue(ids.add(id), id);
            end(id);
        }
    }

    @ParameterizedTest
    @CsvSource(nullValues = "null", value = {
        "null,base,60,64,1,name", "'',base,60,64,1,name", "Upper,base,60,64,1,name", "../x,base,60,64,1,name",
        "ok,Base!,60,64,1,template", "ok,base,0,64,1,timeout", "ok,base,-1,64,1,timeout", "ok,base,86401,64,1,timeout",
        "ok,base,60,0,1,memory_mb", "ok,base,60,15,1,memory_mb", "ok,base,60,-5,1,memory_mb", "ok,base,60,64,0,cpu_count",
        "ok,base,60,64,-1,cpu_count", "ok,base,60,64,4097,cpu_count"
    })
    void badArgumentsAreNamed(String name, String template, Integer timeout, Integer memory, Integer cpus, String argument) {
        int before = e2b().listE2BSandboxes("all").totalCount();
        E2BException e = fails(E2BErrorCode.INVALID_ARGUMENT, argument, () -> e2b().createE2BSandbox(name, template, timeout, memory, cpus));
        assertTrue(e.getMessage().startsWith(argument + ": "), e.getMessage());
        assertEquals(before, e2b().listE2BSandboxes("all").totalCount());
    }

    @Test
    void unknownTemplateNamesTheKnownOnes() {
        E2BException e = fails(E2BErrorCode.NOT_FOUND, "template", () -> e2b().createE2BSandbox(Engine.name(), "no-such", 60, 64, 1));
        assertTrue(e.getMessage().contains("base") && e.getMessage().contains("python") && e.getMessage().contains("node"), e.getMessage());
    }

    @Test
    void namesWithNulOrLoneSurrogatesOrAMegabyteAreRefused() {
        fails(E2BErrorCode.INVALID_ARGUMENT, "name", () -> e2b().createE2BSandbox("a\0b"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "name", () -> e2b().createE2BSandbox("a\ud800"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "name", () -> e2b().createE2BSandbox("a".repeat(1024 * 1024)));
    }

    @Test
    void listShowsTheRunningOnesAndFilters() {
        String running = base();
        String ended = base();
        end(ended);
        SandboxList list = Documents.read(e2b().listE2BSandboxes());
        assertEquals(list.sandboxes().size(), list.totalCount());
        assertTrue(list.sandboxes().stream().anyMatch(one -> one.sandboxId().equals(running) && one.status().equals("running") && one.endedAt() == null));
        assertTrue(list.sandboxes().stream().noneMatch(one -> one.sandboxId().equals(ended)));
        assertEquals(ids(list), ids(e2b().listE2BSandboxes("running")));
        SandboxList terminated = Documents.read(e2b().listE2BSandboxes("terminated"));
        assertTrue(terminated.sandboxes().stream().anyMatch(one -> one.sandboxId().equals(ended) && one.endedAt() != null));
        assertTrue(ids(e2b().listE2BSandboxes("all")).containsAll(Set.of(running, ended)));
        assertEquals(0, e2b().listE2BSandboxes("paused").totalCount());
        end(running);
    }

    private static Set<String> ids(SandboxList list) {
        Set<String> ids = new HashSet<>();
        list.sandboxes().forEach(one -> ids.add(one.sandboxId()));
        return ids;
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "RUNNING", "alive", "running "})
    void otherFiltersAreRefused(String filter) {
        fails(E2BErrorCode.INVALID_ARGUMENT, "status_filter", () -> e2b().listE2BSandboxes(filter));
    }

    @Test
    void statusIsLive() throws Exception {
        String sandbox = e2b().createE2BSandbox("busy", "base", 100, 64, 1).sandboxId();
        SandboxStatus first = Documents.read(e2b().getE2BSandboxStatus(sandbox));
        assertEquals("running", first.status());
        assertEquals("busy", first.name());
        assertNull(first.endedAt());
        assertNull(first.reason());
        assertTrue(first.metrics().processes() >= 1);
        assertEquals(64L * 1024 * 1024, first.metrics().memoryLimitBytes());
        assertTrue(first.metrics().remainingSeconds() > 80 && first.metrics().remainingSeconds() <= 100);
        assertTrue(Duration.between(first.sampledAt(), first.timestamp()).toMillis() <= 150, first.json().toString());
        e2b().executeE2BProcess(sandbox, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done", null, 30, true);
        SandboxStatus second = e2b().getE2BSandboxStatus(sandbox);
        assertEquals(first.metrics().executions() + 1, second.metrics().executions());
        assertTrue(second.metrics().cpuSeconds() > first.metrics().cpuSeconds(), second.json().toString());
        assertTrue(second.metrics().uptimeSeconds() > first.metrics().uptimeSeconds());
        end(sandbox);
    }

    @ParameterizedTest
    @ValueSource(strings = {"sb_doesnotexist0000000000", "sb", "1", "../../etc", "SB_X"})
    void unknownIdsAreNotFound(String id) {
        fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().getE2BSandboxStatus(id));
        fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().executeE2BProcess(id, "true"));
        fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().runE2BCode(id, "javascript", "1"));
        fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().terminateE2BSandbox(id));
        fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().setE2BTimeout(id, 10));
        fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().readE2BFile(id, "x"));
    }

    @Test
    void anotherClientsSandboxIsNotFound() {
        try (Engine other = Engine.open()) {
            String theirs = other.sandbox("base");
            fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().getE2BSandboxStatus(theirs));
            assertTrue(ids(e2b().listE2BSandboxes("all")).stream().noneMatch(theirs::equals));
        }
    }

    @Test
    void nullIdsAreRefusedBeforeTheBoundary() {
        fails(E2BErrorCode.INVALID_ARGUMENT, "sandbox_id", () -> e2b().getE2BSandboxStatus(null));
        fails(E2BErrorCode.INVALID_ARGUMENT, "sandbox_id", () -> e2b().terminateE2BSandbox(null));
        fails(E2BErrorCode.INVALID_ARGUMENT, "command", () -> e2b().executeE2BProcess("sb", null));
        fails(E2BErrorCode.INVALID_ARGUMENT, "content", () -> e2b().writeE2BFile("sb", "p", null));
        fails(E2BErrorCode.INVALID_ARGUMENT, "file", () -> e2b().importE2BTemplateFile(null));
    }

    @Test
    void terminateEndsAndIsRemembered() {
        String sandbox = base();
        SandboxTerminated ended = Documents.read(e2b().terminateE2BSandbox(sandbox, false));
        assertEquals("terminated", ended.status());
        assertEquals(sandbox, ended.sandboxId());
        SandboxStatus status = Documents.read(e2b().getE2BSandboxStatus(sandbox));
        assertEquals("terminated", status.status());
        assertNotNull(status.endedAt());
        E2BException e = fails(E2BErrorCode.NOT_FOUND, "sandbox_id", () -> e2b().executeE2BProcess(sandbox, "true"));
        assertEquals("terminated", e.context().get("status"));
    }

    @Test
    void terminateWithForceIsFastWhateverRuns() {
        String sandbox = base();
        e2b().executeE2BProcess(sandbox, "trap '' TERM; setsid sleep 1000 & sleep 1000 &", null, 10, true);
        long begun = System.nanoTime();
        SandboxTerminated ended = e2b().terminateE2BSandbox(sandbox, true);
        assertTrue(ended.forced());
        assertTrue(System.nanoTime() - begun < 2_000_000_000L, ended.json().toString());
    }

    @Test
    void atItsDeadlineItExpires() throws Exception {
        String sandbox = e2b().createE2BSandbox("short", "base", 1, 64, 1).sandboxId();
        Instant until = Instant.now().plusSeconds(10);
        while (e2b().getE2BSandboxStatus(sandbox).status().equals("running") && Instant.now().isBefore(until)) {
            Thread.sleep(50);
        }
        SandboxStatus status = Documents.read(e2b().getE2BSandboxStatus(sandbox));
        assertEquals("expired", status.status());
        assertEquals(0, status.metrics().remainingSeconds());
        E2BException e = fails(E2BErrorCode.NOT_FOUND, () -> e2b().executeE2BProcess(sandbox, "true"));
        assertEquals("expired", e.context().get("status"));
        assertTrue(ids(e2b().listE2BSandboxes("expired")).contains(sandbox));
    }

    @Test
    void timeoutMovesTheDeadline() throws Exception {
        String sandbox = e2b().createE2BSandbox("longer", "base", 2, 64, 1).sandboxId();
        TimeoutSet set = Documents.read(e2b().setE2BTimeout(sandbox, 60));
        assertEquals(60, set.timeout());
        assertTrue(Duration.between(set.timestamp(), set.expiresAt()).toMillis() > 58_000);
        Thread.sleep(2_500);
        assertEquals("running", e2b().getE2BSandboxStatus(sandbox).status());
        e2b().setE2BTimeout(sandbox, 1);
        Thread.sleep(2_500);
        assertEquals("expired", e2b().getE2BSandboxStatus(sandbox).status());
        fails(E2BErrorCode.INVALID_ARGUMENT, "timeout", () -> e2b().setE2BTimeout(sandbox, 0));
    }

    @Test
    void memoryIsEnforcedNotStored() {
        String sandbox = e2b().createE2BSandbox("small", "base", 60, 32, 1).sandboxId();
        CodeResult result = e2b().runE2BCode(sandbox, "javascript", "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))", null, 30);
        assertTrue(result.outOfMemory() || result.error() != null, result.json().toString());
        String after = base();
        assertNotEquals(sandbox, after);
        assertFalse(e2b().runE2BCode(after, "javascript", "1 + 1").outOfMemory());
        end(after);
    }

    @Test
    void checkTellsWhatTheHostCanDo() {
        HostReport report = Documents.read(E2B.check());
        assertTrue(report.ready(), report.json().toString());
        assertFalse(report.facilities().isEmpty());
        assertNotNull(report.isolation());
        assertTrue(report.templates().stream().anyMatch(template -> template.templateName().equals("base") && template.available()));
    }
}
